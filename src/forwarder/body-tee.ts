/** Keeps a copy of a request's body while it passes, up to what the API accepts. Chunks are shared, not copied. */
import { Transform, type TransformCallback } from 'node:stream';

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
