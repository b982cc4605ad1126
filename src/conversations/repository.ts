/**
 * What of the conversations outlives the process, as this folder needs it. `src/store` keeps it in a file; where there
 * is none, {@link nullRepository} keeps nothing. No call here throws or waits: a store that fails costs memory of the past,
 * never a request.
 */
import type { CheckpointRef, ForwardReason, PersistedState } from '../../machines/conversation-events.ts';
import type { Phase } from '../../machines/phases.ts';
import type { CheckpointId, ConversationId, Milliseconds, Timestamp, Tokens } from '../../machines/units.ts';
import type { ClientIdentity } from '../wire/identity.ts';
import type { Checkpoint, CheckpointRepository } from '../checkpoint/index.ts';

/** A conversation as it is kept. */
export interface ConversationRecord extends ClientIdentity {
  readonly id: ConversationId;
  /** What its histories began with, the newest last, see `directory.ts`. */
  readonly roots: readonly string[];
  readonly phase: Phase;
  /** The checkpoint whose summary was served last, until the client shows whether it took it. */
  readonly served: CheckpointId | null;
  readonly state: PersistedState;
  readonly lastActivity: Timestamp;
}

/** One message that was said after a checkpoint. */
export interface WalEntry {
  /** Its place in the history, from 0. */
  readonly message: number;
  /** Link of the fingerprint chain behind it: 16 bytes, latin1. Stands for it and for everything before it. */
  readonly fingerprint: string;
  /** Size of its JSON in the request. */
  readonly bytes: number;
}

/** A checkpoint as it is kept. */
export interface StoredCheckpoint {
  readonly checkpoint: Checkpoint;
  /** When a history was last found to begin with it. */
  readonly lastNeeded: Timestamp;
}

/** A conversation's write-ahead log. */
export interface WalRecord {
  /** What the messages follow. */
  readonly checkpoint: CheckpointRef;
  /** In the order of the history. */
  readonly entries: readonly WalEntry[];
}

/** What became of one compaction, for the history that people see. */
export interface CompactionRecord {
  readonly id: string;
  readonly conversation: ConversationId;
  readonly at: Timestamp;
  readonly model: string;
  readonly outcome: 'served' | 'forwarded';
  /** Why it was forwarded; null for one that was served. */
  readonly reason: ForwardReason | null;
  readonly tokensBefore: Tokens;
  /** The checkpoint that it was served from. */
  readonly checkpoint: CheckpointId | null;
  /** How long the client waited for it here. */
  readonly waited: Milliseconds;
  /** How long the client did not wait: the time of the checkpoint call less `waited`; 0 for a forwarded one. */
  readonly saved: Milliseconds;
}

/** What the first turn after a compaction tells of it. */
export interface CompactionUpdate {
  readonly conversation: ConversationId;
  /** True when the client went on from the summary served here; null where that is not known (yet). */
  readonly confirmed?: boolean;
  /** Tokens in use at the end of the first turn of the new history. */
  readonly tokensAfter?: Tokens;
}

export interface StateRepository extends CheckpointRepository {
  /** Every checkpoint that was not forgotten. */
  checkpoints(): readonly StoredCheckpoint[];
  /** The conversations of a speaker that were not forgotten, the latest last. */
  conversationsOf(speaker: ClientIdentity): readonly ConversationRecord[];
  /** The entries of a conversation's write-ahead log that follow `checkpoint`. */
  wal(conversation: ConversationId, checkpoint: CheckpointId): readonly WalEntry[];
  /** A conversation has changed; `read` tells its state when it is written, very soon. */
  saveConversation(conversation: ConversationId, read: () => ConversationRecord | null): void;
  /** A write-ahead log has changed; `read` tells what it is when it is written. Null: there is none any more. */
  saveWal(conversation: ConversationId, read: () => WalRecord | null): void;
  deleteConversation(conversation: ConversationId): void;
  addCompaction(record: CompactionRecord): void;
  updateCompaction(sequel: CompactionUpdate): void;
}

const nothing = (): void => undefined;

/** Keeps nothing. */
export const nullRepository: StateRepository = {
  checkpoints: () => [],
  conversationsOf: () => [],
  wal: () => [],
  saveConversation: nothing,
  saveWal: nothing,
  deleteConversation: nothing,
  saveCheckpoint: nothing,
  touchCheckpoint: nothing,
  deleteCheckpoint: nothing,
  addCompaction: nothing,
  updateCompaction: nothing,
};
