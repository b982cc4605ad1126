/**
 * Writes to a socket in pieces worth their system call. TLS hands over at most 16 KB at a time, and one record of a stream
 * of events after the other: sending each on alone costs many times as much. So what arrives in a round of the event loop
 * is gathered until it ends or there is enough. The first piece in it that is less than a full record leaves at once, with
 * what was gathered before it: an event, or the end of what the other side sent together.
 *
 * A socket that is given several buffers at once puts them together first. So pieces that lie side by side in memory are
 * given to it as one, and what comes while it writes waits here rather than in it.
 */
import type { Socket } from 'node:net';

/** A full TLS record, which hardly ever comes alone. */
const RECORD = 16 * 1024;
/** So much is worth a write. */
const BATCH = 64 * 1024;
/** Bytes under way from which on the source should wait. */
const FULL = 256 * 1024;

export class BatchWriter {
  private readonly socket: Socket;
  private batch: Buffer[] = [];
  /** The last piece, and how much of its memory belongs to it: what lies behind it in there is added to it. */
  private last: Buffer | null = null;
  private lastBytes = 0;
  private bytes = 0;
  /** The end of this round, when it is waited for. */
  private roundEnd: NodeJS.Immediate | null = null;
  private readonly onRoundEnd = (): void => {
    this.roundEnd = null;
    this.smallSent = false;
    this.flush();
  };
  /** A piece that is no full record has left in this round. */
  private smallSent = false;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /** Returns false when the source should wait for the socket's `drain`. */
  write(bytes: Buffer): boolean {
    this.gather(bytes);
    const ends = bytes.length < RECORD && !this.smallSent;
    if (this.socket.writableLength > 0) {
      if (this.bytes >= FULL) this.flush();
    } else if (ends || this.bytes >= BATCH) {
      this.smallSent ||= ends;
      this.flush();
    }
    this.roundEnd ??= setImmediate(this.onRoundEnd);
    return !this.full;
  }

  /** True while the socket has more to send than is worth waiting for in memory. */
  get full(): boolean {
    return this.socket.writableNeedDrain && this.socket.writableLength + this.bytes >= FULL;
  }

  /** Sends what was gathered. */
  flush(): void {
    if (this.last === null) return;
    this.endPiece();
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
    this.endPiece();
    this.last = bytes;
    this.lastBytes = bytes.length;
  }

  private endPiece(): void {
    const { last, lastBytes } = this;
    if (last === null) return;
    this.batch.push(last.length === lastBytes ? last : Buffer.from(last.buffer, last.byteOffset, lastBytes));
    this.last = null;
  }
}
