/**
 * Writes to a socket in pieces worth their system call. The first small piece in a round of the event loop leaves at once;
 * what arrives in the same round after it, and large pieces, are gathered until the round ends. TLS hands over at most
 * 16 KB at a time, and one record of a stream of events after the other: sending each on alone costs many times as much.
 */
import type { Socket } from 'node:net';

/** Pieces from here on are always gathered … */
const LARGE = 8 * 1024;
/** … up to this much. */
const BATCH = 32 * 1024;
/** Bytes under way in the socket from which on the source should wait. */
const FULL = 256 * 1024;

export class BatchWriter {
  readonly #socket: Socket;
  #batch: Buffer[] = [];
  #bytes = 0;
  /** The end of this round, when it is waited for. */
  #roundEnd: NodeJS.Immediate | null = null;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Returns false when the source should wait for the socket's `drain`. */
  write(bytes: Buffer): boolean {
    if (bytes.length < LARGE && this.#roundEnd === null) this.#socket.write(bytes);
    else {
      this.#batch.push(bytes);
      this.#bytes += bytes.length;
      if (this.#bytes >= BATCH) this.flush();
    }
    this.#roundEnd ??= setImmediate(() => {
      this.#roundEnd = null;
      this.flush();
    });
    return !this.full;
  }

  /** True while the socket has more to send than is worth waiting for in memory. */
  get full(): boolean {
    return this.#socket.writableNeedDrain && this.#socket.writableLength >= FULL;
  }

  /** Sends what was gathered. */
  flush(): void {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#bytes = 0;
    if (this.#socket.destroyed) return;
    this.#socket.cork();
    for (const bytes of batch) this.#socket.write(bytes);
    this.#socket.uncork();
  }
}
