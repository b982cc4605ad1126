/** What is kept on disk: the state of conversations and checkpoints, and the record of compactions. */
import { join } from 'node:path';
import type { Timestamp } from '../../machines/units.ts';
import { recordCompactions } from '../compaction/records.ts';
import type { Config } from '../config/config.ts';
import type { Facts } from '../facts.ts';
import type { Log } from '../log.ts';
import { CompactionHistory } from './history.ts';
import { StateStore } from './state-store.ts';

export interface StoreOptions {
  readonly config: Pick<Config, 'dataDir' | 'conversationTtl'>;
  readonly facts: Pick<Facts, 'subscribe'>;
  readonly log: Log;
  readonly now: () => Timestamp;
}

export interface Store {
  readonly store: StateStore;
  readonly history: CompactionHistory;
}

/** Creates the store without opening its file, and records the compactions that `facts` report. */
export function createStore({ config, facts, log, now }: StoreOptions): Store {
  const file = join(config.dataDir, 'state', 'dbproxy.sqlite');
  const store = new StateStore({ file, log, now, ttl: config.conversationTtl });
  facts.subscribe(recordCompactions(store, now));
  return { store, history: new CompactionHistory(store) };
}
