/** The named parts of the conversation's statechart: its actor, delays, guards and actions. The chart: conversation.ts. */
import { and, assertEvent, assign, fromPromise, not, setup, stateIn } from 'xstate';
import { refreshStep, retryPause, utilisation } from './conversation-calculations.ts';
import type {
  CallFailureKind,
  CheckpointCallInput,
  CheckpointRef,
  ConversationContext,
  ConversationCounters,
  ConversationEvent,
  ConversationInput,
} from './conversation-events.ts';
import { milliseconds, tokens } from './units.ts';

/** A conversation that is over the threshold within this many turns after a compaction is in a loop. */
const LOOP_TURNS = 2;

const isFailure =
  (kind: CallFailureKind) =>
  ({ event }: { readonly event: ConversationEvent }): boolean =>
    event.type === 'checkpoint.failed' && event.failure.kind === kind;

function incremented({ counters }: ConversationContext, name: keyof ConversationCounters): ConversationCounters {
  return { ...counters, [name]: counters[name] + 1 };
}

export const conversationSetup = setup({
  types: {} as {
    context: ConversationContext;
    events: ConversationEvent;
    input: ConversationInput;
  },
  actors: {
    /** The background request for a summary. Rejects with a `CheckpointError`; `signal` aborts it when its state is left. */
    computeCheckpoint: fromPromise<CheckpointRef, CheckpointCallInput>(() =>
      Promise.reject(new Error('computeCheckpoint was not provided')),
    ),
  },
  delays: {
    retryPause: ({ context }) => context.retryPause ?? 0,
    idleTime: ({ context }) => context.ttl,
  },
  guards: {
    wasServed: ({ context }) => context.wasServed,
    hasCheckpoint: ({ context }) => context.checkpoint !== null,
    wantsCheckpoint: and([
      ({ context }) =>
        context.checkpoints &&
        context.turn !== null &&
        !context.looping &&
        (context.checkpoint === null || refreshStep(context) > 0) &&
        context.tries < context.maxTries &&
        // A request that the API refused is not sent again: the conversation has to grow first.
        (context.failure?.kind !== 'rejected' || context.turnMessages > context.triedMessages) &&
        utilisation(context) >= context.thresholds.checkpoint,
      // The client will most likely continue from the summary it was served, and a newer one would not be used.
      not(stateIn({ alive: { buffer: 'served' } })),
    ]),
    isPastSwapThreshold: ({ context }) => utilisation(context) >= context.thresholds.swap,
    divergedFromCall: ({ event }) => event.type === 'turn.started' && !event.continuesCallHistory,
    isCovered: ({ event }) =>
      (event.type === 'turn.started' || event.type === 'compaction.requested') && event.coveringCheckpoint !== null,
    isSkipped: isFailure('skipped'),
    isTooLong: isFailure('too_long'),
    isRejected: isFailure('rejected'),
    endsBelowThreshold: ({ event }) =>
      event.type === 'turn.completed' && utilisation(event) < event.thresholds.checkpoint,
    hasTriesLeft: ({ context }) => context.tries < context.maxTries,
    reachesNextRefreshStep: ({ context, event }) =>
      event.type === 'turn.completed' &&
      context.failure?.kind !== 'too_long' &&
      refreshStep({ ...context, used: event.used, effectiveWindow: event.effectiveWindow }) > context.lastRefreshStep,
  },
  actions: {
    recordRequest: assign(({ event }) => {
      assertEvent(event, 'turn.started');
      return { messages: event.messages, lastActivity: event.at };
    }),
    recordTurn: assign(({ context, event }) => {
      assertEvent(event, 'turn.completed');
      const { effectiveWindow, used } = event;
      const { checkpoint, checkpointRefresh } = context;
      const step = refreshStep({ used, effectiveWindow, checkpoint, checkpointRefresh });
      const isBelow = utilisation(event) < event.thresholds.checkpoint;
      const turns = context.turnsSinceReplaced === null ? null : context.turnsSinceReplaced + 1;
      return {
        used,
        effectiveWindow,
        thresholds: event.thresholds,
        lastRefreshStep: step,
        turnsSinceReplaced: turns === null || turns >= LOOP_TURNS ? null : turns,
        looping: context.checkpoints && !isBelow && (context.looping || turns !== null),
        turn: event.turn,
        messages: event.messages,
        turnMessages: event.messages,
        model: event.model,
        lastActivity: event.at,
        // Below the threshold again, or one refresh step further: the next checkpoint has its own attempts.
        tries: isBelow || step > context.lastRefreshStep ? 0 : context.tries,
        failure: isBelow ? null : context.failure,
      };
    }),
    recordActivity: assign(({ context, event }) => ({
      lastActivity: 'at' in event ? event.at : context.lastActivity,
    })),
    countServed: assign(({ context }) => ({ counters: incremented(context, 'served') })),
    countForwarded: assign(({ context }) => ({ counters: incremented(context, 'forwarded') })),
    adoptCoveringCheckpoint: assign(({ event }) => {
      assertEvent(event, ['turn.started', 'compaction.requested']);
      return { checkpoint: event.coveringCheckpoint };
    }),
    adoptCompletedCheckpoint: assign(({ context, event }) => {
      assertEvent(event, 'checkpoint.completed');
      return {
        checkpoint: event.checkpoint,
        // When this checkpoint ages or a rewind drops it, the next one has its own attempts.
        lastRefreshStep: 0,
        tries: 0,
        failure: null,
        counters: incremented(context, 'checkpoints'),
      };
    }),
    dropCheckpoint: assign({ checkpoint: null }),
    countAttempt: assign(({ context }) => ({ tries: context.tries + 1, triedMessages: context.turnMessages })),
    /** A skipped call is no attempt; the end of the next turn asks for it again. */
    uncountAttempt: assign(({ context }) => ({
      tries: context.tries - 1,
      counters: incremented(context, 'skipped'),
    })),
    recordFailure: assign(({ context, event }) => {
      assertEvent(event, 'checkpoint.failed');
      return { failure: event.failure, counters: incremented(context, 'failures') };
    }),
    resetAttempts: assign({ tries: 0, failure: null }),
    /** Without randomness here; the composition root provides one with jitter. */
    setRetryPause: assign(({ context }) => ({ retryPause: milliseconds(retryPause(context)) })),
    clearRetryPause: assign({ retryPause: null }),
    /** For the composition root: a failed call is repeated after `context.retryPause`. */
    onRetryScheduled: () => undefined,
    /** Usage, attempts and checkpoint belong to the history that was replaced. */
    startNewHistory: assign(({ context, event }) => {
      assertEvent(event, 'history.replaced');
      return {
        checkpoint: null,
        turnsSinceReplaced: 0,
        turn: null,
        turnMessages: 0,
        triedMessages: 0,
        used: tokens(0),
        messages: 0,
        lastRefreshStep: 0,
        tries: 0,
        failure: null,
        lastActivity: event.at,
        counters: event.confirmed ? incremented(context, 'confirmed') : context.counters,
      };
    }),
  },
});
