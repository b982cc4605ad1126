/** A copy of a request's body to read, as far as the API accepts it and there is room. Chunks are shared, not copied. */
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import type { ByteBudget, Reservation } from '../byte-budget.ts';
import { headerValue, type RawHeaders } from '../wire/headers.ts';

/** The API's own limit for a request (wire.md, Requests). */
export const MAX_BODY_BYTES = 32 * 1024 * 1024;

export class BodyCopy {
  readonly #room: Reservation;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #overflowed = false;

  constructor(budget: ByteBudget) {
    this.#room = budget.reserve();
  }

  /** True once the body is larger than anything the API accepts, or than what there is room for: there is no copy then. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  /** @param copies how often these bytes are kept, here and beside */
  add(chunk: Buffer, copies = 1): void {
    if (this.#overflowed) return;
    this.#bytes += chunk.length;
    if (this.#bytes > MAX_BODY_BYTES || !this.#room.grow(chunk.length * copies)) this.drop();
    else this.#chunks.push(chunk);
  }

  /** The whole body, once; null when there is no copy. It is accounted for until {@link drop}. */
  take(): Buffer | null {
    const chunks = this.#chunks;
    this.#chunks = [];
    return this.#overflowed ? null : Buffer.concat(chunks);
  }

  /** Asks for room for what a compressed body has become. False: there is none. */
  growTo(bytes: number): boolean {
    return bytes <= this.#bytes || this.#room.grow(bytes - this.#bytes);
  }

  /** Gives the copy up, and its room back. Whoever took the body has no more use for it. */
  drop(): void {
    this.#overflowed = true;
    this.#chunks = [];
    this.#room.release();
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
