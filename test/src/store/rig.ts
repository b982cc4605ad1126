/** State files in directories of their own, and records to put into them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PersistedState } from '../../../machines/conversation-events.ts';
import { checkpointId, conversationId, milliseconds, timestamp, tokens } from '../../../machines/units.ts';
import type { Checkpoint } from '../../../src/checkpoint/index.ts';
import type { CompactionRecord, ConversationRecord } from '../../../src/conversations/repository.ts';
import { CompactionHistory } from '../../../src/store/history.ts';
import { StateStore } from '../../../src/store/state-store.ts';
import { recordingLog, type LogLine } from '../../support/rig.ts';

export const HOUR = 3_600_000;
export const START = 1_800_000_000_000;

export const STATE: PersistedState = {
  model: 'claude-sonnet-4-6',
  used: tokens(130_000),
  effectiveWindow: tokens(180_000),
  messages: 12,
  lastActivity: timestamp(START),
  checkpoint: { id: checkpointId('cp-1'), anchorMessages: 9, anchorTokens: tokens(126_000) },
  served: false,
  lastRefreshStep: 0,
  tries: 1,
  turnsSinceReplaced: 5,
  looping: true,
  counters: { checkpoints: 1, failures: 2, skipped: 6, served: 3, confirmed: 4, forwarded: 5 },
};

export const conversation = (id: string, changes: Partial<ConversationRecord> = {}): ConversationRecord => ({
  id: conversationId(id),
  session: id,
  agent: null,
  roots: ['root-a', 'root-b'],
  phase: 'WAL_ACTIVE',
  served: null,
  state: STATE,
  lastActivity: timestamp(START),
  ...changes,
});

export const checkpoint = (id: string, changes: Partial<Checkpoint> = {}): Checkpoint => ({
  id: checkpointId(id),
  conversation: conversationId('session-1'),
  prefix: {
    key: Buffer.from(`key of ${id}`.padEnd(16)).toString('latin1'),
    // Every byte that a hash can hold survives.
    keyWithoutSystem: Buffer.from(Array.from({ length: 16 }, (_, at) => (at * 17) % 256)).toString('latin1'),
    messages: 9,
    details: Buffer.from([0, 255, 1, 254]),
  },
  anchorTokens: tokens(126_000),
  summary: `Summary of ${id}: «ünïcödé» and\0nothing else.`,
  model: 'claude-sonnet-4-6',
  usage: { input: tokens(1), cacheCreation: tokens(20), cacheRead: tokens(300), output: tokens(4_000) },
  duration: milliseconds(31_000),
  createdAt: timestamp(START),
  ...changes,
});

export const compaction = (id: string, changes: Partial<CompactionRecord> = {}): CompactionRecord => ({
  id,
  conversation: conversationId('session-1'),
  at: timestamp(START),
  model: 'claude-sonnet-4-6',
  outcome: 'served',
  reason: null,
  tokensBefore: tokens(150_000),
  checkpoint: checkpointId('cp-1'),
  waited: milliseconds(12),
  saved: milliseconds(30_988),
  ...changes,
});

/** A directory for state files, and a clock. */
export class StoreRig {
  readonly directory = mkdtempSync(join(tmpdir(), 'dbproxy-store-'));
  readonly file = join(this.directory, 'state', 'dbproxy.sqlite');
  readonly log: LogLine[] = [];
  now = START;
  readonly #stores: StateStore[] = [];

  /** A store that is not open yet. */
  store(file = this.file): StateStore {
    const now = () => timestamp(this.now);
    const store = new StateStore({ file, log: recordingLog(this.log), now, ttl: milliseconds(2 * HOUR) });
    this.#stores.push(store);
    return store;
  }

  open(): StateStore {
    const store = this.store();
    store.open();
    return store;
  }

  history(store: StateStore): CompactionHistory {
    return new CompactionHistory(store);
  }

  events(name: string): LogLine[] {
    return this.log.filter(({ event }) => event === name);
  }

  close(): void {
    for (const store of this.#stores) store.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
