/** Reads an answer while it passes: its usage and how it ended, whatever its form (stream or JSON) and its encoding. */
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { Transform } from 'node:stream';
import { AnswerReader } from '../wire/answer.ts';
import { headerValue, withHeaderValue, type RawHeaders } from '../wire/headers.ts';
import { SseReader } from '../wire/sse.ts';

/** A JSON answer larger than this is not read. */
const MAX_JSON_BYTES = 8 * 1024 * 1024;

/** Takes zstd out of `accept-encoding`: Node 20 cannot read it, and the client takes the others as well. */
export const withReadableEncodings = (headers: RawHeaders): string[] =>
  withHeaderValue(headers, 'accept-encoding', (value) => {
    const kept = value.split(',').filter((coding) => !/^\s*zstd\b/i.test(coding));
    return kept.join(',').trim() || 'identity';
  });

function decoderFor(encoding: string): Transform | null | 'unreadable' {
  switch (encoding.trim().toLowerCase()) {
    case '':
    case 'identity':
      return null;
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'br':
      return createBrotliDecompress();
    case 'deflate':
      return createInflate();
    default:
      return 'unreadable';
  }
}

export interface PassingAnswer {
  push(chunk: Buffer): void;
  end(): void;
}

/**
 * Begins to read an answer.
 *
 * @param onEnd called once with what was read, after `end`; not at all for an answer that cannot be read
 * @param onOver called once after `end`, and after `onEnd`, whether or not the answer could be read
 */
export function readPassingAnswer(
  headers: RawHeaders,
  onEnd: (reader: AnswerReader) => void,
  onOver: () => void = () => undefined,
): PassingAnswer {
  const reader = new AnswerReader({ keepText: false });
  const sse = new SseReader((event) => reader.takeEvent(event), AnswerReader.readsWithoutText);
  const streamed = (headerValue(headers, 'content-type') ?? '').includes('text/event-stream');
  const json: Buffer[] = [];
  let bytes = 0;
  const take = (chunk: Buffer): void => {
    if (streamed) sse.push(chunk);
    else if ((bytes += chunk.length) <= MAX_JSON_BYTES) json.push(chunk);
  };
  const finish = (): void => {
    if (!streamed) reader.takeBody(Buffer.concat(json).toString('utf8'));
    onEnd(reader);
  };
  const decoder = decoderFor(headerValue(headers, 'content-encoding') ?? '');
  if (decoder === 'unreadable') return { push: () => undefined, end: onOver };
  if (decoder === null) {
    const end = (): void => {
      try {
        finish();
      } finally {
        onOver();
      }
    };
    return { push: take, end };
  }
  decoder.on('data', take);
  decoder.on('end', finish);
  // Garbage where a compressed body was announced: the client has it as it is, there is nothing to learn from it.
  decoder.on('error', () => decoder.destroy());
  return {
    push: (chunk) => decoder.write(chunk),
    end: () => {
      if (decoder.destroyed) onOver();
      else decoder.once('close', onOver).end();
    },
  };
}
