/**
 * Batches writes to a socket. TLS delivers at most 16 KB at a time, and a system call for each costs many times as much.
 * Chunks are gathered until the round of the event loop ends or the batch is large enough. The first chunk of a round
 * that is smaller than one TLS record flushes immediately: it is an SSE event or the end of a burst.
 *
 * Node concatenates several buffers before one write. So chunks that are adjacent in memory are merged into one view, and
 * chunks that arrive while the socket writes are gathered here.
 */
import type { Socket } from 'node:net';

/** Size of a full TLS record; more data usually follows one. */
const RECORD_BYTES = 16 * 1024;
/** A batch of this size is written without waiting for the end of the round. */
const BATCH_BYTES = 64 * 1024;
/** The source should pause while this many bytes are waiting. */
const FULL_BYTES = 256 * 1024;

export class BatchWriter {
  private readonly socket: Socket;
  private batch: Buffer[] = [];
  /** The chunk that an adjacent one extends; `lastBytes` is its length with all that has extended it. */
  private last: Buffer | null = null;
  private lastBytes = 0;
  private bytes = 0;
  /** Scheduled flush at the end of this round. */
  private roundEnd: NodeJS.Immediate | null = null;
  private readonly onRoundEnd = (): void => {
    this.roundEnd = null;
    this.hasSentSmall = false;
    this.flush();
  };
  /** True once a chunk smaller than a record has been flushed in this round. */
  private hasSentSmall = false;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /** Returns false when the source should pause until the socket emits `drain`. */
  write(bytes: Buffer): boolean {
    this.gather(bytes);
    const isFirstSmall = bytes.length < RECORD_BYTES && !this.hasSentSmall;
    if (this.socket.writableLength > 0) {
      if (this.bytes >= FULL_BYTES) this.flush();
    } else if (isFirstSmall || this.bytes >= BATCH_BYTES) {
      this.hasSentSmall ||= isFirstSmall;
      this.flush();
    }
    this.roundEnd ??= setImmediate(this.onRoundEnd);
    return !this.isFull;
  }

  /** True while the socket is behind and the waiting bytes reach the limit. */
  get isFull(): boolean {
    return this.socket.writableNeedDrain && this.socket.writableLength + this.bytes >= FULL_BYTES;
  }

  /** Writes the batch to the socket. */
  flush(): void {
    if (this.last === null) return;
    this.closeLast();
    const batch = this.batch;
    this.batch = [];
    this.bytes = 0;
    if (this.socket.destroyed) return;
    this.socket.cork();
    for (const bytes of batch) this.socket.write(bytes);
    this.socket.uncork();
  }

  private gather(bytes: Buffer): void {
    this.bytes += bytes.length;
    const { last } = this;
    if (last?.buffer === bytes.buffer && last.byteOffset + this.lastBytes === bytes.byteOffset) {
      this.lastBytes += bytes.length;
      return;
    }
    this.closeLast();
    this.last = bytes;
    this.lastBytes = bytes.length;
  }

  private closeLast(): void {
    const { last, lastBytes } = this;
    if (last === null) return;
    this.batch.push(last.length === lastBytes ? last : Buffer.from(last.buffer, last.byteOffset, lastBytes));
    this.last = null;
  }
}
