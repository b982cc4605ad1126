/** The double buffering itself: conversations, their checkpoints, and the compactions that are served from these. */
import type { Timestamp } from '../machines/units.ts';
import { CheckpointCalls } from './checkpoint/calls.ts';
import { CheckpointGate, type CheckpointGateOptions } from './checkpoint/gate.ts';
import { CheckpointIndex } from './checkpoint/index.ts';
import { Compactions } from './compaction/compactions.ts';
import type { Config } from './config/config.ts';
import type { ActorHost } from './conversations/actors.ts';
import { Conversations } from './conversations/conversations.ts';
import { ConversationDirectory } from './conversations/directory.ts';
import { RequestWindows } from './conversations/request-windows.ts';
import { Turns } from './conversations/turns.ts';
import { publishingRepository, type Facts } from './facts.ts';
import type { ByteBudget } from './net/byte-budget.ts';
import type { StateStore } from './store/state-store.ts';
import type { Upstream } from './upstream/upstream.ts';

export interface DoubleBufferOptions {
  readonly config: Config;
  readonly upstream: Upstream;
  readonly store: StateStore;
  readonly actors: ActorHost;
  readonly breaker: CheckpointGateOptions['breaker'];
  readonly budget: ByteBudget;
  readonly now: () => Timestamp;
  readonly monotonicNow: () => Timestamp;
  readonly facts: Facts;
}

export interface DoubleBuffer {
  readonly index: CheckpointIndex;
  readonly gate: CheckpointGate;
  readonly calls: CheckpointCalls;
  readonly conversations: Conversations;
  readonly turns: Turns;
  readonly compactions: Compactions;
  /** Writes all conversations to a store that has just been opened, and restores its checkpoints; returns their number. */
  synchronise(): { readonly checkpoints: number };
}

export function createDoubleBuffer(options: DoubleBufferOptions): DoubleBuffer {
  const { actors, breaker, budget, config, facts, monotonicNow, now, store, upstream } = options;
  const { publish } = facts;
  const index = new CheckpointIndex(publishingRepository(store, publish));
  const gate = new CheckpointGate({ limit: config.maxCheckpoints, now: monotonicNow, breaker });
  const calls = new CheckpointCalls({ upstream: upstream.client, gate, index, budget, now, monotonicNow, publish });
  const conversations = new Conversations({
    config,
    actors,
    directory: new ConversationDirectory(),
    index,
    calls,
    repository: store,
    now,
    facts,
  });
  const windows = new RequestWindows({ config, learned: upstream.modelWindows.learned });
  const shared = { config, conversations, index, calls, windows, now, monotonicNow, publish };
  const turns = new Turns(shared);
  return {
    index,
    gate,
    calls,
    conversations,
    turns,
    compactions: new Compactions({ ...shared, turns }),
    synchronise() {
      conversations.persistence.saveAll(conversations.actors.ids);
      const kept = store.checkpoints();
      for (const { checkpoint } of kept) index.restore(checkpoint, monotonicNow());
      return { checkpoints: kept.length };
    },
  };
}
