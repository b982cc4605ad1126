/** Decodes bodies by their `content-encoding`, as far as Node 20 can: not zstd. */
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import { headerValue, type RawHeaders } from '../wire/headers.ts';

/** Returns the decoded body, or null when it is broken or larger than `maxBytes` once decoded. */
export type BodyDecoder = (body: Buffer, maxBytes: number) => Buffer | null;

const decoderWith =
  (decode: typeof gunzipSync): BodyDecoder =>
  (body, maxBytes) => {
    try {
      return decode(body, { maxOutputLength: maxBytes });
    } catch {
      return null;
    }
  };

/** The decoder of a body that is not encoded. */
export const plainBody: BodyDecoder = (body) => body;
const gunzip = decoderWith(gunzipSync);

const DECODERS: ReadonlyMap<string, BodyDecoder> = new Map([
  ['', plainBody],
  ['identity', plainBody],
  ['gzip', gunzip],
  ['x-gzip', gunzip],
  ['br', decoderWith(brotliDecompressSync)],
  ['deflate', decoderWith(inflateSync)],
]);

/** The decoder for a message with these headers, null for an encoding that is not supported. */
export const bodyDecoder = (headers: RawHeaders): BodyDecoder | null =>
  DECODERS.get((headerValue(headers, 'content-encoding') ?? '').trim().toLowerCase()) ?? null;
