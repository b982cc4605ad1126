/** A copy of a request's body for parsing, limited by the API's maximum and the byte budget. */
import type { ByteBudget, Reservation } from '../net/byte-budget.ts';
import type { Framing } from '../http1/framing.ts';
import { bodyDecoder } from '../http1/content-encoding.ts';
import type { RawHeaders } from '../wire/headers.ts';

/** The API's own limit of a request (wire.md, Requests). */
export const MAX_COPIED_BYTES = 32 * 1024 * 1024;

export class BodyCopy {
  private readonly reservation: Reservation;
  /** Size of {@link buffer}; null when the size is unknown, and chunks are collected instead. */
  private readonly size: number | null;
  private buffer: Buffer | null = null;
  private chunks: Buffer[] = [];
  private bytes = 0;
  private isFull = false;

  /** @param framing a sized body is copied into one buffer of that size */
  constructor(budget: ByteBudget, framing: Framing) {
    this.reservation = budget.reserve();
    this.size = framing.kind === 'sized' && framing.bytes <= MAX_COPIED_BYTES ? framing.bytes : null;
  }

  /** True once the body exceeds the API's limit or the budget: nothing more is added. */
  get hasOverflowed(): boolean {
    return this.isFull;
  }

  /**
   * Adds a chunk; returns false when the copy has overflowed.
   *
   * @param copies how often these bytes are kept in memory, by the caller too
   */
  add(chunk: Buffer, copies = 1): boolean {
    if (this.isFull) return false;
    if (this.bytes + chunk.length > MAX_COPIED_BYTES || !this.reservation.grow(chunk.length * copies)) {
      this.isFull = true;
      return false;
    }
    if (this.size === null) this.chunks.push(chunk);
    else {
      // Untouched memory costs nothing: announcing a large size does no harm.
      this.buffer ??= Buffer.allocUnsafeSlow(this.size);
      chunk.copy(this.buffer, this.bytes);
    }
    this.bytes += chunk.length;
    return true;
  }

  /**
   * View of the `length` bytes added last; null when chunks are collected. A view keeps the whole buffer in memory, also
   * after {@link release}, which no longer accounts for it.
   */
  lastSlice(length: number): Buffer | null {
    return this.buffer?.subarray(this.bytes - length, this.bytes) ?? null;
  }

  /** Hands out what was added so far, even after an overflow. The budget accounts for it until {@link release}. */
  toBuffer(): Buffer {
    const body = this.buffer?.subarray(0, this.bytes) ?? Buffer.concat(this.chunks);
    this.buffer = null;
    this.chunks = [];
    return body;
  }

  /** Raises the reservation to the size of the decoded body; returns false when the budget is exhausted. */
  reserve(bytes: number): boolean {
    return bytes <= this.bytes || this.reservation.grow(bytes - this.bytes);
  }

  /** Drops the copy and its reservation. The body from {@link toBuffer} is not used after this. */
  release(): void {
    this.isFull = true;
    this.buffer = null;
    this.chunks = [];
    this.reservation.release();
  }
}

/**
 * Decodes a request's body. Claude Code may send its requests gzipped (source of 2.1.330, off behind a proxy).
 *
 * @returns null for an unsupported encoding, a broken body, or one that grows beyond the API's limit
 */
export const decodeBody = (headers: RawHeaders, body: Buffer): Buffer | null =>
  bodyDecoder(headers)?.(body, MAX_COPIED_BYTES) ?? null;
