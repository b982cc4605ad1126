/**
 * What of the conversations outlives the process, and how it comes back: their records and their write-ahead logs. Both
 * are pulled at the moment of writing, so that any number of changes is one write. Told by conversations.ts and
 * actors.ts what has changed.
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
  /** Conversations that were idle for this long are not taken up again. */
  readonly ttl: Milliseconds;
  readonly now: () => Timestamp;
  readonly snapshot: (conversation: ConversationId) => ConversationSnapshot | undefined;
}

/** A conversation that an earlier process knew, to be opened with what is left of its state. */
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

  /** Takes up what an earlier process knew of a speaker's conversations, when the speaker is heard for the first time. */
  *restore(speaker: ClientIdentity): Generator<RestoredConversation> {
    const { directory, repository, index, servedSummaries, now, ttl } = this.#options;
    if (directory.hasConversationOf(speaker)) return;
    for (const record of repository.conversationsOf(speaker)) {
      if (record.lastActivity < now() - ttl) continue;
      const checkpoint = record.state.checkpoint === null ? null : index.get(record.state.checkpoint.id);
      const served = record.served === null ? null : index.get(record.served);
      directory.restore(record);
      // A summary that is gone cannot be known again; a checkpoint that is gone cannot be served.
      if (served !== null) servedSummaries.add(record.id, served);
      const kept = checkpoint === null ? null : record.state.checkpoint;
      if (kept !== null) {
        this.#walOf(record.id).replace({ checkpoint: kept, entries: repository.wal(record.id, kept.id) });
      }
      yield { conversation: record.id, state: { ...record.state, checkpoint: kept, served: served !== null } };
    }
  }

  /** What follows a conversation's checkpoint, as far as it was seen; null when it has none. */
  wal(conversation: ConversationId): WalRecord | null {
    return this.#wals.get(conversation)?.record ?? null;
  }

  /** Something follows a conversation's checkpoint. */
  recordWal(conversation: ConversationId, record: WalRecord): void {
    if (this.#walOf(conversation).replace(record)) this.#writeWal(conversation);
  }

  /** A conversation's actor has moved. */
  recordChange(conversation: ConversationId, { context: { checkpoint } }: ConversationSnapshot): void {
    if (checkpoint === null) {
      if (this.#wals.get(conversation)?.clear() === true) this.#writeWal(conversation);
    } else if (this.wal(conversation)?.checkpoint.id !== checkpoint.id) {
      this.recordWal(conversation, { checkpoint, entries: [] });
    }
    this.#write(conversation);
  }

  /** Has everything written that is known of these: to a file that may have missed some of it. */
  saveAll(conversations: readonly ConversationId[]): void {
    const { repository, index } = this.#options;
    for (const checkpoint of index.checkpoints) repository.saveCheckpoint(checkpoint);
    for (const conversation of conversations) {
      this.#write(conversation);
      this.#writeWal(conversation);
    }
  }

  /** Lets go of a conversation; `forGood`: in the file as well. */
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

  #writeWal(conversation: ConversationId): void {
    this.#options.repository.saveWal(conversation, () => this.wal(conversation));
  }

  #write(conversation: ConversationId): void {
    this.#options.repository.saveConversation(conversation, () => this.#record(conversation));
  }

  /** A conversation as it is kept; null for one that is gone. */
  #record(conversation: ConversationId): ConversationRecord | null {
    const { directory, servedSummaries, now, snapshot: find } = this.#options;
    const snapshot = find(conversation);
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
