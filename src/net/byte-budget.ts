/**
 * The memory limit of copied bytes: request bodies until they are parsed (forwarder/body-copy.ts) and bodies for checkpoint
 * calls (checkpoint/calls.ts). Beyond the limit nothing is copied; requests are still forwarded, without checkpoints.
 */
import type { Log } from '../log.ts';

export interface ByteBudgetOptions {
  /** `DBPROXY_MAX_BUFFERED_BYTES`. */
  readonly limit: number;
  readonly log: Log;
}

/** The bytes of one owner. */
export interface Reservation {
  /** Reserves more bytes; returns false, without any effect, when the budget is exhausted. */
  grow(bytes: number): boolean;
  /** Releases all bytes; may be called repeatedly. */
  release(): void;
}

export class ByteBudget {
  readonly #options: ByteBudgetOptions;
  #used = 0;
  #full = false;

  constructor(options: ByteBudgetOptions) {
    this.#options = options;
  }

  /** Number of reserved bytes. */
  get used(): number {
    return this.#used;
  }

  /** Creates an empty reservation for one owner. */
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
    // Logged once until usage has dropped to half.
    if (!this.#full) log.warn('buffer.full', { limit, used: this.#used, effect: 'requests pass, no checkpoints' });
    this.#full = true;
    return false;
  }
}
