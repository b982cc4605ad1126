/** A copy of a request's body to read, as far as the API accepts it and there is room. */
import type { ByteBudget, Reservation } from '../net/byte-budget.ts';
import type { Framing } from '../http1/framing.ts';
import { bodyDecoder } from '../http1/content-encoding.ts';
import type { RawHeaders } from '../wire/headers.ts';

/** The API's own limit for a request (wire.md, Requests). */
export const MAX_BODY_BYTES = 32 * 1024 * 1024;

export class BodyCopy {
  private readonly room: Reservation;
  /** Where a body goes whose size is known: in one piece from the start. */
  private readonly size: number | null;
  private whole: Buffer | null = null;
  private chunks: Buffer[] = [];
  private bytes = 0;
  private full = false;

  /** @param framing how the body is delimited: with a size that is told there are no pieces to put together */
  constructor(budget: ByteBudget, framing: Framing) {
    this.room = budget.reserve();
    this.size = framing.kind === 'sized' && framing.bytes <= MAX_BODY_BYTES ? framing.bytes : null;
  }

  /** True once the body is larger than anything the API accepts, or than what there is room for: nothing is added then. */
  get overflowed(): boolean {
    return this.full;
  }

  /**
   * Returns false when it has overflowed.
   *
   * @param copies how often these bytes are kept, here and beside
   */
  add(chunk: Buffer, copies = 1): boolean {
    if (this.full) return false;
    if (this.bytes + chunk.length > MAX_BODY_BYTES || !this.room.grow(chunk.length * copies)) {
      this.full = true;
      return false;
    }
    if (this.size === null) this.chunks.push(chunk);
    else {
      // Memory that nobody has written to costs nothing: a size that is only announced does no harm.
      this.whole ??= Buffer.allocUnsafeSlow(this.size);
      chunk.copy(this.whole, this.bytes);
    }
    this.bytes += chunk.length;
    return true;
  }

  /**
   * The `length` bytes that were added last, in the place where they are kept; null where each piece has its own. As long
   * as a slice is used, all of that place stays in memory, also after {@link release}, when it no longer counts.
   */
  lastSlice(length: number): Buffer | null {
    return this.whole?.subarray(this.bytes - length, this.bytes) ?? null;
  }

  /** What has come so far, also when it has overflowed since. It is accounted for until {@link release}. */
  toBuffer(): Buffer {
    const taken = this.whole?.subarray(0, this.bytes) ?? Buffer.concat(this.chunks);
    this.whole = null;
    this.chunks = [];
    return taken;
  }

  /** Asks for room for what a compressed body has become. False: there is none. */
  growTo(bytes: number): boolean {
    return bytes <= this.bytes || this.room.grow(bytes - this.bytes);
  }

  /** Gives the copy up, and its room back. Whoever took the body has no more use for it. */
  release(): void {
    this.full = true;
    this.whole = null;
    this.chunks = [];
    this.room.release();
  }
}

/**
 * Decodes a request's body. Claude Code may send its requests gzipped (source of 2.1.330, off behind a proxy).
 *
 * @returns null for an unsupported encoding, a broken body, or one that grows beyond the API's limit
 */
export const decodeBody = (headers: RawHeaders, body: Buffer): Buffer | null =>
  bodyDecoder(headers)?.(body, MAX_BODY_BYTES) ?? null;
