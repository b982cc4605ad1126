/** A copy of a request's body to read, up to what the API accepts. Chunks are shared, not copied. */
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import { headerValue, type RawHeaders } from '../wire/headers.ts';

/** The API's own limit for a request (wire.md, Requests). */
export const MAX_BODY_BYTES = 32 * 1024 * 1024;

export class BodyCopy {
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** True once the body is larger than anything the API accepts: there is no copy then. */
  get overflowed(): boolean {
    return this.#bytes > MAX_BODY_BYTES;
  }

  add(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.overflowed) this.#chunks = [];
    else this.#chunks.push(chunk);
  }

  /** The whole body, once; null when it is too large. */
  take(): Buffer | null {
    const chunks = this.#chunks;
    this.#chunks = [];
    return this.overflowed ? null : Buffer.concat(chunks);
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
