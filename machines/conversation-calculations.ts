/** The arithmetic of a conversation: pure functions of its context, used by the statechart and by whoever shows it. */
import { CALL_FAILURE_KINDS, type CallFailure, type ConversationContext } from './conversation-events.ts';
import { milliseconds } from './units.ts';

/** First pause before a failed checkpoint call is repeated; doubles with each attempt. */
const RETRY_BASE_MS = 2_000;
const RETRY_MAX_MS = 60_000;
/** Upper bound of `retry-after`: a timer of more than 2^31 ms (24.8 days) would fire at once. */
const RETRY_AFTER_MAX_MS = 86_400_000;
/** Characters that are kept of a failure's message. */
const MESSAGE_LENGTH = 300;

/** Share of the effective window in use; 0 while the window is unknown. */
export function utilisation(context: Pick<ConversationContext, 'used' | 'effectiveWindow'>): number {
  return context.effectiveWindow > 0 ? context.used / context.effectiveWindow : 0;
}

/**
 * How far the servable checkpoint has aged, in steps of the refresh share: max(0, ceil((used − anchorTokens) /
 * (checkpointRefresh × effectiveWindow)) − 1); 0 without a checkpoint. Above 0 a newer checkpoint is wanted, and each
 * further step gives that one new attempts.
 */
export function refreshStep(
  context: Pick<ConversationContext, 'used' | 'effectiveWindow' | 'checkpoint' | 'checkpointRefresh'>,
): number {
  const share = context.checkpointRefresh * context.effectiveWindow;
  if (context.checkpoint === null || share <= 0) return 0;
  return Math.max(0, Math.ceil((context.used - context.checkpoint.anchorTokens) / share) - 1);
}

/**
 * Pause before the next attempt, in milliseconds: what the API asked for (a day at most), else 2 s, 4 s, 8 s … 60 s.
 *
 * @param random in [0, 1): adds up to a quarter, so that calls which failed together are not repeated together
 */
export function retryPause(context: Pick<ConversationContext, 'tries' | 'failure'>, random = 0): number {
  const asked = context.failure?.retryAfter ?? null;
  const backoff = Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** Math.max(0, context.tries - 1));
  return (asked === null ? backoff : Math.min(RETRY_AFTER_MAX_MS, asked)) * (1 + random / 4);
}

const KINDS: ReadonlySet<unknown> = new Set(CALL_FAILURE_KINDS);

/** Reads a thrown value: a `CheckpointError` by its fields, anything else as a transient failure. */
export function callFailure(error: unknown): CallFailure {
  const thrown = (typeof error === 'object' && error !== null ? error : {}) as Record<string, unknown>;
  const { failure, message, retryAfterMs } = thrown;
  return {
    kind: KINDS.has(failure) ? (failure as CallFailure['kind']) : 'transient',
    message: (typeof message === 'string' ? message : 'the checkpoint call failed').slice(0, MESSAGE_LENGTH),
    retryAfter: typeof retryAfterMs === 'number' ? milliseconds(retryAfterMs) : null,
  };
}
