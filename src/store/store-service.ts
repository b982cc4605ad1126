/**
 * The store as one of the proxy's services: opened, given what it has missed, watched, and what the log says of all that.
 * The supervisor starts it again for as long as it fails; the log tells that once, and then rarely.
 */
import type { Timestamp } from '../../machines/units.ts';
import { messageOf, StoreError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { StateStore } from './state-store.ts';

/** How often the log says again that a store still fails for the same reason. */
const SAY_AGAIN_MS = 3_600_000;

export interface StoreServiceOptions {
  readonly store: Pick<StateStore, 'open' | 'close' | 'isOpen' | 'onFailure'>;
  readonly log: Log;
  /** A clock that nobody sets, see `src/clock.ts`. */
  readonly monotonicNow: () => Timestamp;
  /** The file is open: writes what it has missed and takes up what it has kept. Returns what the log is to say of it. */
  readonly onOpen: () => { readonly checkpoints: number };
}

/** What the log knows of a store that fails. */
interface Outage {
  readonly since: Timestamp;
  readonly message: string;
  /** When the log said so last. */
  said: Timestamp;
  failures: number;
}

export class StoreService {
  readonly #options: StoreServiceOptions;
  #outage: Outage | null = null;

  constructor(options: StoreServiceOptions) {
    this.#options = options;
  }

  /**
   * Opens the file and has it brought up to date.
   *
   * @throws StoreError when it cannot be used, now or after the first writes
   */
  start(): void {
    const { onOpen, store } = this.#options;
    try {
      store.open();
      const { checkpoints } = onOpen();
      if (!store.isOpen) throw new StoreError('the state file failed as soon as it was written');
      this.#noteOpened(checkpoints);
    } catch (error) {
      this.#noteFailed(error);
      throw error;
    }
  }

  /** Called when the file fails later. Returns how to stop being called. */
  onFailure(told: (error: Error) => void): () => void {
    return this.#options.store.onFailure((error) => {
      this.#noteFailed(error);
      told(error);
    });
  }

  close(): void {
    this.#options.store.close();
  }

  #noteOpened(checkpoints: number): void {
    const { log, monotonicNow } = this.#options;
    const outage = this.#outage;
    this.#outage = null;
    const { failures, since } = outage ?? { failures: 0, since: monotonicNow() };
    const missing = outage === null ? {} : { failures, closed_s: Math.round((monotonicNow() - since) / 1_000) };
    log.info('store.opened', { checkpoints, ...missing });
  }

  #noteFailed(error: unknown): void {
    const { log, monotonicNow } = this.#options;
    const message = messageOf(error);
    const now = monotonicNow();
    const before = this.#outage;
    const outage = { since: before?.since ?? now, message, said: now, failures: (before?.failures ?? 0) + 1 };
    this.#outage = outage;
    if (before?.message !== message || now - before.said >= SAY_AGAIN_MS) {
      log.error('store.failed', { message, failures: outage.failures });
    } else outage.said = before.said;
  }
}
