/**
 * The one account of bytes that are kept besides being passed on: bodies of requests while they are read and answered
 * (forwarder/body-copy.ts), and those held for checkpoint calls (conversations/calls.ts).
 * Beyond its limit nothing more is kept. The requests pass all the same: they lose what the proxy adds, nothing else.
 */
import type { Log } from '../log.ts';

export interface ByteBudgetOptions {
  /** `DBPROXY_MAX_BUFFERED_BYTES`. */
  readonly limit: number;
  readonly log: Log;
}

/** What one owner has kept. */
export interface Reservation {
  /** Asks for more. False: there is no room, and nothing was added. */
  grow(bytes: number): boolean;
  /** Gives everything back. Any number of times. */
  release(): void;
}

export class ByteBudget {
  readonly #options: ByteBudgetOptions;
  #used = 0;
  #full = false;

  constructor(options: ByteBudgetOptions) {
    this.#options = options;
  }

  /** Bytes that are kept now. */
  get used(): number {
    return this.#used;
  }

  /** An account of its own for one owner, empty at first. */
  reserve(): Reservation {
    let mine = 0;
    return {
      grow: (bytes) => {
        if (!this.#take(bytes)) return false;
        mine += bytes;
        return true;
      },
      release: () => {
        this.#used -= mine;
        mine = 0;
        if (this.#used <= this.#options.limit / 2) this.#full = false;
      },
    };
  }

  #take(bytes: number): boolean {
    const { limit, log } = this.#options;
    if (this.#used + bytes <= limit) {
      this.#used += bytes;
      return true;
    }
    // Said once per crowd.
    if (!this.#full) log.warn('buffer.full', { limit, used: this.#used, effect: 'requests pass, no checkpoints' });
    this.#full = true;
    return false;
  }
}
