/** What the proxy does by the clock while it runs: renews certificates, drops what is old, loads what only pages need. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Milliseconds, Timestamp } from '../machines/units.ts';
import { timestamp } from '../machines/units.ts';
import type { Certificates } from './certificates/certificates.ts';
import type { CheckpointIndex } from './checkpoint/index.ts';
import type { Forwarder } from './forwarder/forwarder.ts';
import type { StateStore } from './store/state-store.ts';

/** How often certificates and the history of 90 days are looked at. */
const DAY_MS = 86_400_000;
/** How often checkpoints that no conversation needs are dropped. */
const SWEEP_MS = 60_000;
/** Time between the start and the loading of modules that the data path does not need. */
const PRELOAD_MS = 200;

export interface HousekeepingOptions {
  readonly certificates: Pick<Certificates, 'renewIfDue'>;
  readonly forwarder: Pick<Forwarder, 'reloadCertificates'>;
  readonly index: CheckpointIndex;
  readonly store: StateStore;
  /** How long a checkpoint is kept that no request needs. */
  readonly ttl: Milliseconds;
  readonly monotonicNow: () => Timestamp;
  /** Loads the modules that the data path does not need. */
  readonly preload: () => Promise<unknown>;
}

export interface Housekeeping {
  /** Begins to preload. Resolves with true once everything is loaded, with false when loading failed or was stopped. */
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
