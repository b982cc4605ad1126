/**
 * The repository of conversations, checkpoints and compactions, which `src/store` implements with a file. Its calls never
 * throw or block: when the store fails, persistence is lost, requests are not.
 */
import type { CheckpointRef, ForwardReason, PersistedState } from '../../machines/conversation-events.ts';
import type { Phase } from '../../machines/phases.ts';
import type { CheckpointId, ConversationId, Milliseconds, Timestamp, Tokens } from '../../machines/units.ts';
import type { ClientIdentity } from '../wire/identity.ts';
import type { Checkpoint, CheckpointRepository } from '../checkpoint/index.ts';

/** A saved conversation. */
export interface ConversationRecord extends ClientIdentity {
  readonly id: ConversationId;
  /** The roots of its histories, the newest last, see `directory.ts`. */
  readonly roots: readonly string[];
  readonly phase: Phase;
  /** The checkpoint whose summary was served last, until the client shows whether it uses it. */
  readonly served: CheckpointId | null;
  readonly state: PersistedState;
  readonly lastActivity: Timestamp;
}

/** One message after a checkpoint. */
export interface WalEntry {
  /** Its index in the history. */
  readonly message: number;
  /** The link of the fingerprint chain after it (16 bytes, latin1), which identifies it and everything before it. */
  readonly fingerprint: string;
  /** Size of its JSON in the request. */
  readonly bytes: number;
}

/** A saved checkpoint. */
export interface StoredCheckpoint {
  readonly checkpoint: Checkpoint;
  /** When it last matched a history. */
  readonly lastNeeded: Timestamp;
}

/** A conversation's write-ahead log. */
export interface WalRecord {
  /** The checkpoint that the messages follow. */
  readonly checkpoint: CheckpointRef;
  /** In the order of the history. */
  readonly entries: readonly WalEntry[];
}

/** One compaction, for `claude-db-proxy history` and `/api/history`. */
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
  /** How long the client waited for the proxy. */
  readonly waited: Milliseconds;
  /** Time that the client saved: the duration of the checkpoint call less `waited`; 0 when it was forwarded. */
  readonly saved: Milliseconds;
}

/** What the first turn after a compaction shows. */
export interface CompactionUpdate {
  readonly conversation: ConversationId;
  /** True when the client uses the summary that was served; undefined while that is not known. */
  readonly confirmed?: boolean;
  /** Tokens in use at the end of the first turn of the new history. */
  readonly tokensAfter?: Tokens;
}

export interface StateRepository extends CheckpointRepository {
  /** All saved checkpoints. */
  checkpoints(): readonly StoredCheckpoint[];
  /** The saved conversations of a client, the latest last. */
  conversationsOf(identity: ClientIdentity): readonly ConversationRecord[];
  /** The messages of a conversation after `checkpoint`. */
  wal(conversation: ConversationId, checkpoint: CheckpointId): readonly WalEntry[];
  /** Saves a conversation soon; `read` is called then. Null: it is closed, and nothing is saved. */
  saveConversation(conversation: ConversationId, read: () => ConversationRecord | null): void;
  /** Saves a write-ahead log soon; `read` is called then. Null: it is deleted. */
  saveWal(conversation: ConversationId, read: () => WalRecord | null): void;
  deleteConversation(conversation: ConversationId): void;
  addCompaction(record: CompactionRecord): void;
  updateCompaction(update: CompactionUpdate): void;
}

const nothing = (): void => undefined;

/** Saves nothing. */
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
