/**
 * The vocabulary of a conversation: what can have happened to it, and what it remembers.
 * No event and no memory holds a message, a header or a credential: a checkpoint is named here, and kept elsewhere.
 */
import type { CheckpointId, ConversationId, Milliseconds, Timestamp, Tokens, TurnId } from './units.ts';

/** Shares of the effective context window at which something happens, each in (0, 1). */
export interface Thresholds {
  /** From here on a checkpoint is wanted. Default 0.70. */
  readonly checkpoint: number;
  /** From here on the client is expected to compact. Default 0.80. */
  readonly swap: number;
}

/** What the machine knows of a checkpoint: its name, and where in the history its summary ends (the anchor). */
export interface CheckpointRef {
  readonly id: CheckpointId;
  /** How many messages of the history the summary covers. */
  readonly anchorMessages: number;
  /** Tokens that were in use at the end of the turn it was computed from: what is in use above them came since. */
  readonly anchorTokens: Tokens;
}

/** Why a checkpoint call brought no summary. */
export const CALL_FAILURE_KINDS = [
  /** Worth another attempt after a pause: 429, 5xx, 529, a broken connection, an error event, a truncated answer. */
  'transient',
  /** The API refused this very request (400, 401, 403, 413, …): it is not sent again before the conversation has grown. */
  'rejected',
  /** The history no longer fits the window: only the client can shorten it. */
  'too_long',
  /** The answer is no summary: it is empty, a tool call or a refusal. */
  'unusable',
  /** The call was not sent, because too many run or too many have just failed. It does not count as an attempt. */
  'skipped',
] as const;
export type CallFailureKind = (typeof CALL_FAILURE_KINDS)[number];

/** A failed checkpoint call as the machine sees it. */
export interface CallFailure {
  readonly kind: CallFailureKind;
  /** For people: one line, no content. */
  readonly message: string;
  /** What the API asked for in `retry-after`, or null. */
  readonly retryAfter: Milliseconds | null;
}

/** Why a compaction request went to the API instead of being answered here. */
export const FORWARD_REASONS = [
  /** `DBPROXY_PASSTHROUGH`: nothing is ever served. */
  'passthrough',
  /** No checkpoint covers a beginning of this history. */
  'no_checkpoint',
  /** `/compact <words>`, or another instruction that a summary made beforehand cannot have followed. */
  'instructions',
  /** The messages since the checkpoint no longer fit the budget for recent messages. */
  'stale',
  /** The checkpoint call was still running when the bounded wait was over. */
  'wait_timeout',
  /** The checkpoint call that was awaited failed, or the last one did. */
  'checkpoint_failed',
  /** Compacted, and over the threshold again at once: one more summary of the proxy would not help either. */
  'loop',
  /** A message has a shape that the proxy does not know. */
  'unreadable',
] as const;
export type ForwardReason = (typeof FORWARD_REASONS)[number];

/** Facts a conversation is told, each in the past tense. */
export type ConversationEvent =
  /** A request of this conversation was read, before its answer had ended. */
  | {
      readonly type: 'turn.started';
      readonly at: Timestamp;
      readonly messages: number;
      /** The checkpoint with the longest prefix of this history, or null. */
      readonly coveringCheckpoint: CheckpointRef | null;
      /** False when the history no longer begins with what a running checkpoint call summarises. */
      readonly continuesCallHistory: boolean;
    }
  /** The answer to a request of this conversation has ended well, and told its usage. */
  | {
      readonly type: 'turn.completed';
      readonly at: Timestamp;
      readonly turn: TurnId;
      /** Length of the history that this turn asked with. */
      readonly messages: number;
      /** input + cache creation + cache read + output of this answer. */
      readonly used: Tokens;
      /** Context window − min(max_tokens, 20,000). */
      readonly effectiveWindow: Tokens;
      readonly model: string;
      /** Those of the launch that this turn belongs to: another launch may go on with the same conversation. */
      readonly thresholds: Thresholds;
    }
  /** The client asked for a summary of this conversation. */
  | { readonly type: 'compaction.requested'; readonly at: Timestamp; readonly coveringCheckpoint: CheckpointRef | null }
  /** … and was answered from a checkpoint. Whether it takes it, the next request shows. */
  | { readonly type: 'compaction.served'; readonly at: Timestamp; readonly checkpoint: CheckpointRef }
  /** … and the request went to the API. */
  | { readonly type: 'compaction.forwarded'; readonly at: Timestamp; readonly reason: ForwardReason }
  /** … and the API's own summary reached the client. */
  | { readonly type: 'compaction.completed_by_api'; readonly at: Timestamp }
  /** The conversation goes on from a summary instead of its old history. `confirmed`: from the one served here. */
  | { readonly type: 'history.replaced'; readonly at: Timestamp; readonly confirmed: boolean }
  /** Somebody wants this conversation to begin anew with its checkpoint: see `src/dashboard`. */
  | { readonly type: 'conversation.reset'; readonly at: Timestamp }
  /** Raised when the checkpoint call ends with a summary. */
  | { readonly type: 'checkpoint.completed'; readonly checkpoint: CheckpointRef }
  /** Raised when the checkpoint call ends without one. */
  | { readonly type: 'checkpoint.failed'; readonly failure: CallFailure }
  /** Raised by the idle timer. */
  | { readonly type: 'conversation.idled' };

/** How often what happened to a conversation. */
export interface ConversationCounters {
  readonly checkpoints: number;
  readonly failures: number;
  /** Calls that were wanted and not made, see `skipped`. */
  readonly skipped: number;
  readonly served: number;
  readonly confirmed: number;
  readonly forwarded: number;
}

/** What of a conversation outlives the process that knew it: enough to be in the phase again that it was in. */
export interface PersistedState {
  readonly model: string | null;
  readonly used: Tokens;
  readonly effectiveWindow: Tokens;
  readonly messages: number;
  readonly lastActivity: Timestamp | null;
  readonly checkpoint: CheckpointRef | null;
  /** A summary was served, and the client has not shown yet whether it took it. */
  readonly served: boolean;
  readonly lastRefreshStep: number;
  readonly tries: number;
  readonly turnsSinceReplaced: number | null;
  readonly looping: boolean;
  readonly counters: ConversationCounters;
}

/** What a conversation starts from. */
export interface ConversationInput {
  readonly id: ConversationId;
  readonly thresholds: Thresholds;
  /** Share of the effective window, in (0, 1), that may come after a checkpoint before a newer one is computed. Default 0.10. */
  readonly checkpointRefresh: number;
  /** False in passthrough: tracked, but no checkpoint is ever computed. */
  readonly checkpoints: boolean;
  /** Idle time after which the conversation is forgotten. */
  readonly ttl: Milliseconds;
  /** How often a checkpoint is tried per crossing: of the threshold, or of the share that one may age by. */
  readonly maxTries: number;
  /** What an earlier process knew of it; null for a conversation that is new. */
  readonly persisted: PersistedState | null;
}

/** What a conversation remembers. Small, serialisable, free of content. */
export interface ConversationContext extends Omit<ConversationInput, 'persisted'> {
  readonly model: string | null;
  readonly used: Tokens;
  readonly effectiveWindow: Tokens;
  /** Messages in the history that was heard of last. */
  readonly messages: number;
  readonly lastActivity: Timestamp | null;
  /** The last completed turn: the one a checkpoint call starts from. */
  readonly turn: TurnId | null;
  /** Messages in the history of that turn, and in the one that the last checkpoint call was made from. */
  readonly turnMessages: number;
  readonly triedMessages: number;
  /** Turns completed since the history was replaced by a summary; null when it never was, or that is a while ago. */
  readonly turnsSinceReplaced: number | null;
  /** In a compaction loop: left to the API until a turn ends below the checkpoint threshold. */
  readonly looping: boolean;
  /** The servable checkpoint; it stays so while a newer one is computed. */
  readonly checkpoint: CheckpointRef | null;
  /** How often the share that a checkpoint may age by had been outgrown at the last turn's end, see `outgrown`. */
  readonly lastRefreshStep: number;
  /** Checkpoint calls begun since the last crossing and none has succeeded. */
  readonly tries: number;
  readonly failure: CallFailure | null;
  /** Pause before the next attempt while a failed call waits for it; null otherwise. */
  readonly retryPause: Milliseconds | null;
  /** It begins where a summary was served by an earlier process. */
  readonly wasServed: boolean;
  readonly counters: ConversationCounters;
}

/** What the checkpoint call is given: names only; whoever performs it keeps body and credentials to itself. */
export interface CheckpointCallInput {
  readonly conversation: ConversationId;
  readonly turn: TurnId | null;
  /** 1 for the first try since the crossing. */
  readonly attempt: number;
  /** The servable checkpoint whose place the new one is to take; null for a conversation that has none. */
  readonly replaces: CheckpointId | null;
}
