/**
 * The store as one of the proxy's services. While it fails, the supervisor starts it again and again; the log reports the
 * same failure once an hour at most.
 */
import type { Timestamp } from '../../machines/units.ts';
import { messageOf, StoreError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { StateStore } from './state-store.ts';

const LOG_INTERVAL_MS = 3_600_000;

export interface StoreServiceOptions {
  readonly store: Pick<StateStore, 'open' | 'close' | 'isOpen' | 'onFailure'>;
  readonly log: Log;
  /** A monotonic clock, see `src/clock.ts`. */
  readonly monotonicNow: () => Timestamp;
  /** Saves what the file has missed and restores what it holds. Returns the fields of the log line. */
  readonly onOpen: () => { readonly checkpoints: number };
}

/** A series of failures. */
interface Outage {
  readonly since: Timestamp;
  readonly message: string;
  /** When it was logged last. */
  loggedAt: Timestamp;
  failures: number;
}

export class StoreService {
  readonly #options: StoreServiceOptions;
  #outage: Outage | null = null;

  constructor(options: StoreServiceOptions) {
    this.#options = options;
  }

  /**
   * Opens the file and brings it up to date.
   *
   * @throws StoreError when it cannot be opened, or fails with the first writes
   */
  start(): void {
    const { onOpen, store } = this.#options;
    try {
      store.open();
      const { checkpoints } = onOpen();
      if (!store.isOpen) throw new StoreError('the state file failed as soon as it was written');
      this.#logOpened(checkpoints);
    } catch (error) {
      this.#logFailed(error);
      throw error;
    }
  }

  /** Calls `onFailed` when the file fails later. Returns a function that ends the subscription. */
  onFailure(onFailed: (error: Error) => void): () => void {
    return this.#options.store.onFailure((error) => {
      this.#logFailed(error);
      onFailed(error);
    });
  }

  close(): void {
    this.#options.store.close();
  }

  #logOpened(checkpoints: number): void {
    const { log, monotonicNow } = this.#options;
    const outage = this.#outage;
    this.#outage = null;
    const { failures, since } = outage ?? { failures: 0, since: monotonicNow() };
    const missing = outage === null ? {} : { failures, closed_s: Math.round((monotonicNow() - since) / 1_000) };
    log.info('store.opened', { checkpoints, ...missing });
  }

  #logFailed(error: unknown): void {
    const { log, monotonicNow } = this.#options;
    const message = messageOf(error);
    const now = monotonicNow();
    const before = this.#outage;
    const outage = { since: before?.since ?? now, message, loggedAt: now, failures: (before?.failures ?? 0) + 1 };
    this.#outage = outage;
    if (before?.message !== message || now - before.loggedAt >= LOG_INTERVAL_MS) {
      log.error('store.failed', { message, failures: outage.failures });
    } else outage.loggedAt = before.loggedAt;
  }
}
