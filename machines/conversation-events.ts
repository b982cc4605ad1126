/**
 * The events, input and context of a conversation's statechart.
 * None of them contains a message, a header or a credential: a checkpoint appears by its id only.
 */
import type { CheckpointId, ConversationId, Milliseconds, Timestamp, Tokens, TurnId } from './units.ts';

/** Shares of the effective context window, each in (0, 1). */
export interface Thresholds {
  /** At this share a checkpoint is wanted. Default 0.70. */
  readonly checkpoint: number;
  /** At this share the client is expected to compact. Default 0.80. */
  readonly swap: number;
}

/** A checkpoint by its id, and the position in the history where its summary ends (the anchor). */
export interface CheckpointRef {
  readonly id: CheckpointId;
  /** Messages of the history that the summary covers. */
  readonly anchorMessages: number;
  /** Tokens in use at the end of the turn that the checkpoint was computed from. */
  readonly anchorTokens: Tokens;
}

/** Why a checkpoint call ended without a summary. */
export const CALL_FAILURE_KINDS = [
  /** Repeated after a pause: 429, 5xx, 529, a broken connection, an error event, a truncated answer. */
  'transient',
  /** The API refused the request (400, 401, 403, 413, …): it is not sent again before the conversation has grown. */
  'rejected',
  /** The history does not fit the context window any more; only the client can shorten it. */
  'too_long',
  /** The answer is no summary: it is empty, a tool call or a refusal. */
  'unusable',
  /** The call was not sent, because too many run or too many failed recently. It does not count as an attempt. */
  'skipped',
] as const;
export type CallFailureKind = (typeof CALL_FAILURE_KINDS)[number];

/** A failed checkpoint call. */
export interface CallFailure {
  readonly kind: CallFailureKind;
  /** One line for people, without content of the conversation. */
  readonly message: string;
  /** The pause that the API asked for in `retry-after`, or null. */
  readonly retryAfter: Milliseconds | null;
}

/** Why a compaction request was forwarded to the API instead of being served. */
export const FORWARD_REASONS = [
  /** `DBPROXY_PASSTHROUGH`: the proxy serves no compaction. */
  'passthrough',
  /** No checkpoint covers the beginning of this history. */
  'no_checkpoint',
  /** `/compact <words>`, or another instruction that the checkpoint's summary did not follow. */
  'instructions',
  /** The messages since the checkpoint exceed the budget for recent messages. */
  'stale',
  /** The checkpoint call was still running at the end of the bounded wait. */
  'wait_timeout',
  /** The awaited checkpoint call failed, or the last one did. */
  'checkpoint_failed',
  /** Over the threshold again right after a compaction: one more summary of the proxy would not help. */
  'loop',
  /** The proxy does not recognise the shape of a message. */
  'unreadable',
] as const;
export type ForwardReason = (typeof FORWARD_REASONS)[number];

/** The events of a conversation, each in the past tense. */
export type ConversationEvent =
  /** A request of this conversation was read; its answer has not ended yet. */
  | {
      readonly type: 'turn.started';
      readonly at: Timestamp;
      readonly messages: number;
      /** The checkpoint with the longest prefix of this history, or null. */
      readonly coveringCheckpoint: CheckpointRef | null;
      /** False when the history no longer begins with what a running checkpoint call summarises. */
      readonly continuesCallHistory: boolean;
    }
  /** The answer to a request of this conversation ended without an error and reported its usage. */
  | {
      readonly type: 'turn.completed';
      readonly at: Timestamp;
      readonly turn: TurnId;
      /** Messages in the history of this turn's request. */
      readonly messages: number;
      /** input + cache creation + cache read + output of this answer. */
      readonly used: Tokens;
      /** Context window − min(max_tokens, 20,000). */
      readonly effectiveWindow: Tokens;
      readonly model: string;
      /** The thresholds of the launch that sent this turn; another launch may continue the same conversation. */
      readonly thresholds: Thresholds;
    }
  /** The client requested a summary of this conversation. */
  | { readonly type: 'compaction.requested'; readonly at: Timestamp; readonly coveringCheckpoint: CheckpointRef | null }
  /** A compaction was answered from a checkpoint. The next request shows whether the client continues from it. */
  | { readonly type: 'compaction.served'; readonly at: Timestamp; readonly checkpoint: CheckpointRef }
  /** A compaction request was forwarded to the API. */
  | { readonly type: 'compaction.forwarded'; readonly at: Timestamp; readonly reason: ForwardReason }
  /** The API's own summary reached the client. */
  | { readonly type: 'compaction.completed_by_api'; readonly at: Timestamp }
  /** The conversation continues from a summary. `confirmed`: from the one that the proxy served. */
  | { readonly type: 'history.replaced'; readonly at: Timestamp; readonly confirmed: boolean }
  /** A user reset the checkpoint of this conversation on the dashboard. */
  | { readonly type: 'conversation.reset'; readonly at: Timestamp }
  /** Raised when the checkpoint call ends with a summary. */
  | { readonly type: 'checkpoint.completed'; readonly checkpoint: CheckpointRef }
  /** Raised when the checkpoint call ends without one. */
  | { readonly type: 'checkpoint.failed'; readonly failure: CallFailure }
  /** Raised by the idle timer. */
  | { readonly type: 'conversation.idled' };

/** Counts per conversation. */
export interface ConversationCounters {
  readonly checkpoints: number;
  readonly failures: number;
  /** Calls that were wanted but not sent, see `skipped` in `CALL_FAILURE_KINDS`. */
  readonly skipped: number;
  readonly served: number;
  readonly confirmed: number;
  readonly forwarded: number;
}

/** The stored state of a conversation: a later process restores its phase from it. */
export interface PersistedState {
  readonly model: string | null;
  readonly used: Tokens;
  readonly effectiveWindow: Tokens;
  readonly messages: number;
  readonly lastActivity: Timestamp | null;
  readonly checkpoint: CheckpointRef | null;
  /** A summary was served, and the client has not confirmed it yet. */
  readonly served: boolean;
  readonly lastRefreshStep: number;
  readonly tries: number;
  readonly turnsSinceReplaced: number | null;
  readonly looping: boolean;
  readonly counters: ConversationCounters;
}

/** The input of a conversation's actor. */
export interface ConversationInput {
  readonly id: ConversationId;
  readonly thresholds: Thresholds;
  /** Share of the effective window, in (0, 1), by which a checkpoint may age before a newer one is wanted. Default 0.10. */
  readonly checkpointRefresh: number;
  /** False in passthrough: the conversation is tracked, but no checkpoint is computed. */
  readonly checkpoints: boolean;
  /** Idle time after which the conversation expires. */
  readonly ttl: Milliseconds;
  /** Attempts at a checkpoint after the threshold is crossed, and again after each refresh step. */
  readonly maxTries: number;
  /** The state stored by an earlier process; null for a new conversation. */
  readonly persisted: PersistedState | null;
}

/** The context of a conversation: small, serialisable, free of content. */
export interface ConversationContext extends Omit<ConversationInput, 'persisted'> {
  readonly model: string | null;
  readonly used: Tokens;
  readonly effectiveWindow: Tokens;
  /** Messages in the latest history. */
  readonly messages: number;
  readonly lastActivity: Timestamp | null;
  /** The last completed turn: a checkpoint call is made from its request. */
  readonly turn: TurnId | null;
  /** Messages in the history of that turn. */
  readonly turnMessages: number;
  /** Messages in the history that the last checkpoint call was made from. */
  readonly triedMessages: number;
  /** Turns completed since the history was replaced by a summary; null without one, or once `LOOP_TURNS` have passed. */
  readonly turnsSinceReplaced: number | null;
  /** In a compaction loop: compactions are forwarded until a turn ends below the checkpoint threshold. */
  readonly looping: boolean;
  /** The servable checkpoint; it stays so while a newer one is computed. */
  readonly checkpoint: CheckpointRef | null;
  /** The refresh step at the end of the last turn, see `refreshStep`. */
  readonly lastRefreshStep: number;
  /** Checkpoint calls since the last success, crossing of the threshold or refresh step. */
  readonly tries: number;
  readonly failure: CallFailure | null;
  /** Pause before the next attempt while a failed call waits for it; null otherwise. */
  readonly retryPause: Milliseconds | null;
  /** An earlier process stored this conversation in the state `served`. */
  readonly wasServed: boolean;
  readonly counters: ConversationCounters;
}

/** The input of the checkpoint call: ids only; body and credentials stay with the actor that performs it. */
export interface CheckpointCallInput {
  readonly conversation: ConversationId;
  readonly turn: TurnId | null;
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** The servable checkpoint that the new one replaces; null without one. */
  readonly replaces: CheckpointId | null;
}
