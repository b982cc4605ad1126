/** Reads a copy of a passing answer: its usage and how it ended, whatever its form (event stream or JSON) and encoding. */
import { bodyDecoder, plainBody } from '../http1/content-encoding.ts';
import { AnswerReader } from '../wire/answer-reader.ts';
import { headerValue, withHeaderValue, type RawHeaders } from '../wire/headers.ts';
import { SseReader } from '../wire/sse.ts';

/** JSON and compressed answers are buffered until they end; bytes beyond this limit are dropped. */
const MAX_BUFFERED_BYTES = 8 * 1024 * 1024;
/** Limit of a compressed answer once decoded. */
const MAX_DECODED_BYTES = 32 * 1024 * 1024;

/** Removes zstd from `accept-encoding`: Node 20 cannot decode it, and the client accepts other encodings as well. */
export const withReadableEncodings = (headers: RawHeaders): RawHeaders =>
  withHeaderValue(headers, 'accept-encoding', (value) => {
    const kept = value.split(',').filter((coding) => !/^\s*zstd\b/i.test(coding));
    return kept.join(',').trim() || 'identity';
  });

export interface AnswerTap {
  push(chunk: Buffer): void;
  end(): void;
}

/**
 * Begins to read an answer. A compressed one is decoded synchronously within `end`: zlib's streams decode in other
 * threads, and the result could then arrive after the next turn has begun.
 *
 * @param onRead called once within `end` with what was read; not called for an answer that cannot be decoded
 */
export function tapAnswer(headers: RawHeaders, onRead: (reader: AnswerReader) => void): AnswerTap {
  const decode = bodyDecoder(headers);
  if (decode === null) return { push: () => undefined, end: () => undefined };
  const reader = new AnswerReader({ keepText: false });
  const sse = new SseReader((event) => reader.takeEvent(event), AnswerReader.readsWithoutText);
  const isStream = (headerValue(headers, 'content-type') ?? '').includes('text/event-stream');
  const isParsedOnArrival = isStream && decode === plainBody;
  const buffered: Buffer[] = [];
  let bytes = 0;
  return {
    push(chunk) {
      if (isParsedOnArrival) sse.push(chunk);
      else if ((bytes += chunk.length) <= MAX_BUFFERED_BYTES) buffered.push(chunk);
    },
    end() {
      if (!isParsedOnArrival) {
        const body = decode(Buffer.concat(buffered), MAX_DECODED_BYTES);
        // The client gets a broken body as it is; it says nothing about the conversation.
        if (body === null) return;
        if (isStream) sse.push(body);
        else reader.takeBody(body.toString('utf8'));
      }
      onRead(reader);
    },
  };
}
