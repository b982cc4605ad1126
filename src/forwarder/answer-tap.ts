/** Reads an answer while it passes: its usage and how it ended, whatever its form (stream or JSON) and its encoding. */
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import { AnswerReader } from '../wire/answer-reader.ts';
import { headerValue, withHeaderValue, type RawHeaders } from '../wire/headers.ts';
import { SseReader } from '../wire/sse.ts';

/** What is kept of an answer to be read at its end, JSON or compressed: a larger one is not read. */
const MAX_KEPT_BYTES = 8 * 1024 * 1024;
/** … and how large a compressed one may become. */
const MAX_DECODED_BYTES = 32 * 1024 * 1024;

/** Takes zstd out of `accept-encoding`: Node 20 cannot read it, and the client takes the others as well. */
export const withReadableEncodings = (headers: RawHeaders): RawHeaders =>
  withHeaderValue(headers, 'accept-encoding', (value) => {
    const kept = value.split(',').filter((coding) => !/^\s*zstd\b/i.test(coding));
    return kept.join(',').trim() || 'identity';
  });

type Decode = (body: Buffer, options: { readonly maxOutputLength: number }) => Buffer;

function decoderFor(encoding: string): Decode | 'plain' | 'unreadable' {
  switch (encoding.trim().toLowerCase()) {
    case '':
    case 'identity':
      return 'plain';
    case 'gzip':
    case 'x-gzip':
      return gunzipSync;
    case 'br':
      return brotliDecompressSync;
    case 'deflate':
      return inflateSync;
    default:
      return 'unreadable';
  }
}

export interface AnswerTap {
  push(chunk: Buffer): void;
  end(): void;
}

/**
 * Begins to read an answer. A compressed one is kept and decoded within `end`: zlib's streams decode in threads of their
 * own, and what one turn told could then arrive after the next had begun.
 *
 * @param onEnd called once with what was read, within `end`; not at all for an answer that cannot be read
 * @param onOver called once within `end`, after `onEnd`, whether or not the answer could be read
 */
export function tapAnswer(
  headers: RawHeaders,
  onEnd: (reader: AnswerReader) => void,
  onOver: () => void = () => undefined,
): AnswerTap {
  const decode = decoderFor(headerValue(headers, 'content-encoding') ?? '');
  if (decode === 'unreadable') return { push: () => undefined, end: onOver };
  const reader = new AnswerReader({ keepText: false });
  const sse = new SseReader((event) => reader.takeEvent(event), AnswerReader.readsWithoutText);
  const streamed = (headerValue(headers, 'content-type') ?? '').includes('text/event-stream');
  const asItComes = streamed && decode === 'plain';
  const kept: Buffer[] = [];
  let bytes = 0;
  const finish = (): void => {
    if (!asItComes) {
      const body = decode === 'plain' ? Buffer.concat(kept) : decoded(decode, kept);
      if (body === null) return;
      if (streamed) sse.push(body);
      else reader.takeBody(body.toString('utf8'));
    }
    onEnd(reader);
  };
  return {
    push(chunk) {
      if (asItComes) sse.push(chunk);
      else if ((bytes += chunk.length) <= MAX_KEPT_BYTES) kept.push(chunk);
    },
    end() {
      try {
        finish();
      } finally {
        onOver();
      }
    },
  };
}

/** Null for garbage where a compressed body was announced: the client has it as it is, there is nothing to learn from it. */
function decoded(decode: Decode, kept: readonly Buffer[]): Buffer | null {
  try {
    return decode(Buffer.concat(kept), { maxOutputLength: MAX_DECODED_BYTES });
  } catch {
    return null;
  }
}
