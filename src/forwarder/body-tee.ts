/** A request's body while it passes: a copy to read, up to what the API accepts. Chunks are shared, not copied. */
import { Transform, type TransformCallback } from 'node:stream';
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import { headerValue, type RawHeaders } from '../wire/headers.ts';

/** The API's own limit for a request (wire.md, Requests). */
export const MAX_BODY_BYTES = 32 * 1024 * 1024;

export class BodyTee extends Transform {
  #chunks: Buffer[] = [];
  #bytes = 0;
  #overflow = false;
  readonly #onWhole: (body: Buffer) => void;

  /** @param onWhole hears the whole body once, before its end is passed on; never of one that is over the limit */
  constructor(onWhole: (body: Buffer) => void) {
    super();
    this.#onWhole = onWhole;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.#bytes += chunk.length;
    if (this.#bytes > MAX_BODY_BYTES) {
      this.#overflow = true;
      this.#chunks = [];
    } else this.#chunks.push(chunk);
    callback(null, chunk);
  }

  override _flush(callback: TransformCallback): void {
    const whole = this.#overflow ? null : Buffer.concat(this.#chunks);
    this.#chunks = [];
    callback();
    if (whole !== null) this.#onWhole(whole);
  }
}

/**
 * A body as the API will read it. Claude Code may send its requests gzipped (source of 2.1.330, off behind a proxy).
 *
 * @returns null for an encoding that is not known, a broken body, or one that grows beyond the API's limit
 */
export function decodeBody(headers: RawHeaders, body: Buffer): Buffer | null {
  const limit = { maxOutputLength: MAX_BODY_BYTES };
  try {
    switch (headerValue(headers, 'content-encoding')?.trim().toLowerCase() ?? '') {
      case '':
      case 'identity':
        return body;
      case 'gzip':
      case 'x-gzip':
        return gunzipSync(body, limit);
      case 'br':
        return brotliDecompressSync(body, limit);
      case 'deflate':
        return inflateSync(body, limit);
      default:
        return null;
    }
  } catch {
    return null;
  }
}
