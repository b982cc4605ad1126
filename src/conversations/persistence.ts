/**
 * Saves conversations and their write-ahead logs, and restores what an earlier process has saved. A record is read when
 * it is written, so that any number of changes before that is one write.
 */
import { toPersisted, type ConversationSnapshot } from '../../machines/conversation.ts';
import type { PersistedState } from '../../machines/conversation-events.ts';
import { phaseOf } from '../../machines/phases.ts';
import type { ConversationId, Milliseconds, Timestamp } from '../../machines/units.ts';
import type { ClientIdentity } from '../wire/identity.ts';
import type { CheckpointIndex } from '../checkpoint/index.ts';
import type { ServedSummaryTracker } from '../compaction/served-summary-tracker.ts';
import type { ConversationDirectory } from './directory.ts';
import type { ConversationRecord, StateRepository, WalRecord } from './repository.ts';
import { WriteAheadLog } from './write-ahead-log.ts';

export interface ConversationPersistenceOptions {
  readonly directory: ConversationDirectory;
  readonly repository: StateRepository;
  readonly index: CheckpointIndex;
  readonly servedSummaries: ServedSummaryTracker;
  /** Conversations that were idle for this long are not restored. */
  readonly ttl: Milliseconds;
  readonly now: () => Timestamp;
  readonly snapshot: (conversation: ConversationId) => ConversationSnapshot | undefined;
}

/** A saved conversation with as much of its state as is still valid. */
export interface RestoredConversation {
  readonly conversation: ConversationId;
  readonly state: PersistedState;
}

export class ConversationPersistence {
  readonly #options: ConversationPersistenceOptions;
  readonly #wals = new Map<ConversationId, WriteAheadLog>();

  constructor(options: ConversationPersistenceOptions) {
    this.#options = options;
  }

  /** Restores the saved conversations of a client, unless it has conversations already. */
  *restore(identity: ClientIdentity): Generator<RestoredConversation> {
    const { directory, repository, index, servedSummaries, now, ttl } = this.#options;
    if (directory.hasConversationOf(identity)) return;
    for (const record of repository.conversationsOf(identity)) {
      if (record.lastActivity < now() - ttl) continue;
      const checkpoint = record.state.checkpoint === null ? null : index.get(record.state.checkpoint.id);
      const served = record.served === null ? null : index.get(record.served);
      directory.restore(record);
      // Without its checkpoint a served summary is not recognised, and nothing can be served.
      if (served !== null) servedSummaries.add(record.id, served);
      const kept = checkpoint === null ? null : record.state.checkpoint;
      if (kept !== null) {
        this.#walOf(record.id).replace({ checkpoint: kept, entries: repository.wal(record.id, kept.id) });
      }
      yield { conversation: record.id, state: { ...record.state, checkpoint: kept, served: served !== null } };
    }
  }

  /** The messages after a conversation's checkpoint, as of the latest request; null when it has no checkpoint. */
  wal(conversation: ConversationId): WalRecord | null {
    return this.#wals.get(conversation)?.record ?? null;
  }

  /** Records the messages after a conversation's checkpoint. */
  recordWal(conversation: ConversationId, record: WalRecord): void {
    if (this.#walOf(conversation).replace(record)) this.#saveWal(conversation);
  }

  /** Records a new state of a conversation. */
  recordChange(conversation: ConversationId, { context: { checkpoint } }: ConversationSnapshot): void {
    if (checkpoint === null) {
      if (this.#wals.get(conversation)?.clear() === true) this.#saveWal(conversation);
    } else if (this.wal(conversation)?.checkpoint.id !== checkpoint.id) {
      this.recordWal(conversation, { checkpoint, entries: [] });
    }
    this.#save(conversation);
  }

  /** Saves all checkpoints and these conversations: a file that was just opened may have missed changes. */
  saveAll(conversations: readonly ConversationId[]): void {
    const { repository, index } = this.#options;
    for (const checkpoint of index.checkpoints) repository.saveCheckpoint(checkpoint);
    for (const conversation of conversations) {
      this.#save(conversation);
      this.#saveWal(conversation);
    }
  }

  /** Forgets a conversation. `forGood`: deletes what is saved of it as well. */
  forget(conversation: ConversationId, forGood: boolean): void {
    this.#wals.delete(conversation);
    if (forGood) this.#options.repository.deleteConversation(conversation);
  }

  #walOf(conversation: ConversationId): WriteAheadLog {
    const known = this.#wals.get(conversation);
    if (known !== undefined) return known;
    const wal = new WriteAheadLog();
    this.#wals.set(conversation, wal);
    return wal;
  }

  #saveWal(conversation: ConversationId): void {
    this.#options.repository.saveWal(conversation, () => this.wal(conversation));
  }

  #save(conversation: ConversationId): void {
    this.#options.repository.saveConversation(conversation, () => this.#record(conversation));
  }

  /** The record of a conversation; null for one that is closed. */
  #record(conversation: ConversationId): ConversationRecord | null {
    const { directory, servedSummaries, now, snapshot: snapshotOf } = this.#options;
    const snapshot = snapshotOf(conversation);
    const known = directory.describe(conversation);
    if (snapshot === undefined || known === null) return null;
    const state = toPersisted(snapshot);
    const { agent, roots, session } = known;
    return {
      id: conversation,
      session,
      agent,
      roots,
      phase: phaseOf(snapshot),
      served: servedSummaries.pendingFor(conversation),
      state,
      lastActivity: state.lastActivity ?? now(),
    };
  }
}
