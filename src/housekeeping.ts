/** Periodic work of the proxy: renews certificates, deletes what has expired, preloads the modules of the pages. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Milliseconds, Timestamp } from '../machines/units.ts';
import { timestamp } from '../machines/units.ts';
import type { Certificates } from './certificates/certificates.ts';
import type { CheckpointIndex } from './checkpoint/index.ts';
import type { Forwarder } from './forwarder/forwarder.ts';
import type { StateStore } from './store/state-store.ts';

/** Interval for certificates and the history of 90 days. */
const DAY_MS = 86_400_000;
/** Interval for expired checkpoints and the check of the state file. */
const SWEEP_MS = 60_000;
/** Delay between the start and the preloading. */
const PRELOAD_MS = 200;

export interface HousekeepingOptions {
  readonly certificates: Pick<Certificates, 'renewIfDue'>;
  readonly forwarder: Pick<Forwarder, 'reloadCertificates'>;
  readonly index: CheckpointIndex;
  readonly store: StateStore;
  /** How long an unused checkpoint is kept. */
  readonly ttl: Milliseconds;
  readonly monotonicNow: () => Timestamp;
  /** Loads the modules that the data path does not need. */
  readonly preload: () => Promise<unknown>;
}

export interface Housekeeping {
  /** Starts preloading. Resolves with true when all modules are loaded, with false when loading failed or was stopped. */
  preload(): Promise<boolean>;
  stop(): void;
}

export function startHousekeeping(options: HousekeepingOptions): Housekeeping {
  const { certificates, forwarder, index, monotonicNow, preload, store, ttl } = options;
  const daily = setInterval(() => {
    store.deleteOldHistory();
    void certificates.renewIfDue().then((renewed) => {
      if (renewed) forwarder.reloadCertificates();
    });
  }, DAY_MS);
  const sweep = setInterval(() => {
    index.expire(timestamp(monotonicNow() - ttl));
    store.checkFile();
  }, SWEEP_MS);
  const preloading = new AbortController();
  return {
    preload: () =>
      delay(PRELOAD_MS, undefined, { ref: false, signal: preloading.signal })
        .then(preload)
        .then(
          () => true,
          () => false,
        ),
    stop() {
      clearInterval(daily);
      clearInterval(sweep);
      preloading.abort();
    },
  };
}
