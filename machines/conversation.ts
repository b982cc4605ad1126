/**
 * One conversation, as a statechart. It decides when a checkpoint is computed, retried, given up, servable, served.
 * It does no I/O: `computeCheckpoint` is a placeholder that the composition root provides.
 *
 * Two regions run side by side, as in double buffering: `call` fills the back buffer, `buffer` is what can be shown
 * at once, also while `call` computes what will take its place. `activity` is the idle timer. People see one phase derived from both, see `phases.ts`.
 */
import {
  and,
  assertEvent,
  assign,
  fromPromise,
  not,
  raise,
  setup,
  stateIn,
  type ActorRefFrom,
  type SnapshotFrom,
} from 'xstate';
import {
  CALL_FAILURE_KINDS,
  type CallFailure,
  type CheckpointCallInput,
  type CheckpointRef,
  type ConversationContext,
  type ConversationEvent,
  type ConversationInput,
  type PersistedState,
} from './conversation-events.ts';
import { milliseconds, tokens } from './units.ts';

/** First pause before a failed checkpoint call is tried again; doubles with each try. */
const RETRY_BASE_MS = 2_000;
const RETRY_MAX_MS = 60_000;
/** However long the API asks to wait: timers cannot count much further, and would then fire at once. */
const RETRY_AFTER_MAX_MS = 86_400_000;
/** A conversation that is over the threshold within so many turns after it was compacted is in a loop. */
const LOOP_TURNS = 2;
/** What is kept of a failure's message. */
const MESSAGE_LENGTH = 300;

/** What a new conversation begins with. */
const NEW_STATE: PersistedState = {
  model: null,
  used: tokens(0),
  effectiveWindow: tokens(0),
  messages: 0,
  lastActivity: null,
  checkpoint: null,
  served: false,
  lastRefreshStep: 0,
  tries: 0,
  turnsSinceReplaced: null,
  looping: false,
  counters: { checkpoints: 0, failures: 0, skipped: 0, served: 0, confirmed: 0, forwarded: 0 },
};

/** What of a conversation is worth to be remembered after the process. */
export function toPersisted(snapshot: Pick<ConversationSnapshot, 'context' | 'matches'>): PersistedState {
  const { model, used, effectiveWindow, messages, lastActivity } = snapshot.context;
  const { checkpoint, lastRefreshStep, tries, turnsSinceReplaced, looping, counters } = snapshot.context;
  const usage = { model, used, effectiveWindow, messages, lastActivity };
  const served = snapshot.matches({ alive: { buffer: 'served' } });
  return { ...usage, checkpoint, served, lastRefreshStep, tries, turnsSinceReplaced, looping, counters };
}

/** Share of the effective window in use, 0 while nothing is known. */
export function utilisation(context: Pick<ConversationContext, 'used' | 'effectiveWindow'>): number {
  return context.effectiveWindow > 0 ? context.used / context.effectiveWindow : 0;
}

/**
 * How often what was said since the checkpoint has outgrown the share of the window that it may age by: 0 for a
 * checkpoint that is new enough, and while there is none. Each time it grows by one, a newer checkpoint has its own tries.
 */
export function refreshStep(
  context: Pick<ConversationContext, 'used' | 'effectiveWindow' | 'checkpoint' | 'checkpointRefresh'>,
): number {
  const share = context.checkpointRefresh * context.effectiveWindow;
  if (context.checkpoint === null || share <= 0) return 0;
  return Math.max(0, Math.ceil((context.used - context.checkpoint.anchorTokens) / share) - 1);
}

/**
 * Pause before the next try: what the API asked for (a day at most), else 2 s, 4 s, 8 s … 60 s.
 *
 * @param dice in [0, 1): jitter, a quarter more at most, so that what failed together does not try again together
 */
export function retryPause(context: Pick<ConversationContext, 'tries' | 'failure'>, dice = 0): number {
  const asked = context.failure?.retryAfter ?? null;
  const backoff = Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** Math.max(0, context.tries - 1));
  return (asked === null ? backoff : Math.min(RETRY_AFTER_MAX_MS, asked)) * (1 + dice / 4);
}

const KINDS: ReadonlySet<unknown> = new Set(CALL_FAILURE_KINDS);

/** Reads a thrown value as a {@link CallFailure}: a `CheckpointError` by its fields, anything else as transient. */
function callFailure(error: unknown): CallFailure {
  const thrown = (typeof error === 'object' && error !== null ? error : {}) as Record<string, unknown>;
  const kind = KINDS.has(thrown['failure']) ? (thrown['failure'] as CallFailure['kind']) : 'transient';
  const retryAfter = thrown['retryAfterMs'];
  return {
    kind,
    message: (typeof thrown['message'] === 'string' ? thrown['message'] : 'the checkpoint call failed').slice(
      0,
      MESSAGE_LENGTH,
    ),
    retryAfter: typeof retryAfter === 'number' ? milliseconds(retryAfter) : null,
  };
}

export const conversationMachine = setup({
  types: {} as {
    context: ConversationContext;
    events: ConversationEvent;
    input: ConversationInput;
  },
  actors: {
    /** The background summary request. Rejects with a `CheckpointError`; aborted through `signal` when left. */
    computeCheckpoint: fromPromise<CheckpointRef, CheckpointCallInput>(() =>
      Promise.reject(new Error('computeCheckpoint was not provided')),
    ),
  },
  delays: {
    retryPause: ({ context }) => retryPause(context),
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
        // The very request that the API refused is never sent again: the conversation has to move on first.
        (context.failure?.kind !== 'rejected' || context.turnMessages > context.triedMessages) &&
        utilisation(context) >= context.thresholds.checkpoint,
      // Most likely the client goes on from the summary that it was served: a newer one would be for nobody.
      not(stateIn({ alive: { buffer: 'served' } })),
    ]),
    pastSwap: ({ context }) => utilisation(context) >= context.thresholds.swap,
    divergedFromCall: ({ event }) => event.type === 'turn.started' && !event.continuesCallHistory,
    isCovered: ({ event }) =>
      (event.type === 'turn.started' || event.type === 'compaction.requested') && event.coveringCheckpoint !== null,
    isUncovered: ({ event }) =>
      (event.type === 'turn.started' || event.type === 'compaction.requested') && event.coveringCheckpoint === null,
    wasSkipped: (_, params: { failure: CallFailure }) => params.failure.kind === 'skipped',
    failedForGood: (_, params: { failure: CallFailure }) => params.failure.kind === 'too_long',
    failedForThisTurn: (_, params: { failure: CallFailure }) => params.failure.kind === 'rejected',
    endsBelow: ({ event }) => event.type === 'turn.completed' && utilisation(event) < event.thresholds.checkpoint,
    hasTriesLeft: ({ context }) => context.tries < context.maxTries,
    crossesAgain: ({ context, event }) =>
      event.type === 'turn.completed' &&
      context.failure?.kind !== 'too_long' &&
      refreshStep({ ...context, used: event.used, effectiveWindow: event.effectiveWindow }) > context.lastRefreshStep,
  },
  actions: {
    noteRequest: assign(({ event }) => {
      assertEvent(event, 'turn.started');
      return { messages: event.messages, lastActivity: event.at };
    }),
    noteTurn: assign(({ context, event }) => {
      assertEvent(event, 'turn.completed');
      const { effectiveWindow, used } = event;
      const { checkpoint, checkpointRefresh } = context;
      const lastRefreshStep = refreshStep({ used, effectiveWindow, checkpoint, checkpointRefresh });
      // Below the threshold again, or past one more share: the next call has its own tries.
      const below = utilisation(event) < event.thresholds.checkpoint;
      const turns = context.turnsSinceReplaced === null ? null : context.turnsSinceReplaced + 1;
      return {
        used,
        effectiveWindow,
        thresholds: event.thresholds,
        lastRefreshStep,
        turnsSinceReplaced: turns === null || turns >= LOOP_TURNS ? null : turns,
        looping: context.checkpoints && !below && (context.looping || turns !== null),
        turn: event.turn,
        messages: event.messages,
        turnMessages: event.messages,
        model: event.model,
        lastActivity: event.at,
        tries: below || lastRefreshStep > context.lastRefreshStep ? 0 : context.tries,
        failure: below ? null : context.failure,
      };
    }),
    noteActivity: assign(({ context, event }) => ({ lastActivity: 'at' in event ? event.at : context.lastActivity })),
    noteServed: assign(({ context }) => ({ counters: { ...context.counters, served: context.counters.served + 1 } })),
    noteForwarded: assign(({ context }) => ({
      counters: { ...context.counters, forwarded: context.counters.forwarded + 1 },
    })),
    adoptCoveringCheckpoint: assign(({ event }) => {
      assertEvent(event, ['turn.started', 'compaction.requested']);
      return { checkpoint: event.coveringCheckpoint };
    }),
    adoptCompleted: assign(({ context, event }) => {
      assertEvent(event, 'checkpoint.completed');
      return {
        checkpoint: event.checkpoint,
        // Should this checkpoint age, or be left by a rewind, the next one has its own tries.
        lastRefreshStep: 0,
        tries: 0,
        failure: null,
        counters: { ...context.counters, checkpoints: context.counters.checkpoints + 1 },
      };
    }),
    dropCheckpoint: assign({ checkpoint: null }),
    countAttempt: assign(({ context }) => ({ tries: context.tries + 1, triedMessages: context.turnMessages })),
    /** The try was none. The next turn's end asks again. */
    uncountAttempt: assign(({ context }) => ({
      tries: context.tries - 1,
      counters: { ...context.counters, skipped: context.counters.skipped + 1 },
    })),
    noteFailure: assign(({ context }, params: { failure: CallFailure }) => ({
      failure: params.failure,
      counters: { ...context.counters, failures: context.counters.failures + 1 },
    })),
    /** A new history: what was counted, tried and computed belonged to the old one. */
    beginHistory: assign(({ context, event }) => {
      assertEvent(event, 'history.replaced');
      const confirmed = context.counters.confirmed + (event.confirmed ? 1 : 0);
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
        counters: { ...context.counters, confirmed },
      };
    }),
    forgetTries: assign({ tries: 0, failure: null }),
  },
}).createMachine({
  id: 'conversation',
  context: ({ input: { persisted, ...input } }) => {
    const { served: wasServed, ...state } = persisted ?? NEW_STATE;
    const tried = { turn: null, turnMessages: 0, triedMessages: 0, failure: null };
    return { ...input, ...state, ...tried, wasServed };
  },
  initial: 'alive',
  states: {
    alive: {
      type: 'parallel',
      on: { 'conversation.idled': 'expired' },
      states: {
        buffer: {
          description: 'What a compaction could be answered from, now.',
          initial: 'restoring',
          on: { 'conversation.reset': { target: '.empty', actions: 'dropCheckpoint' } },
          states: {
            restoring: {
              description: 'Takes up what an earlier process knew.',
              always: [
                { guard: 'wasServed', target: 'served' },
                { guard: 'hasCheckpoint', target: 'ready' },
                { target: 'empty' },
              ],
            },
            empty: {
              on: {
                'checkpoint.completed': { target: 'ready', actions: 'adoptCompleted' },
                'turn.started': [
                  { guard: 'isCovered', target: 'ready', actions: ['noteRequest', 'adoptCoveringCheckpoint'] },
                  { actions: 'noteRequest' },
                ],
                'compaction.requested': { guard: 'isCovered', target: 'ready', actions: 'adoptCoveringCheckpoint' },
                'turn.completed': { actions: 'noteTurn' },
                'history.replaced': { actions: 'beginHistory' },
              },
            },
            ready: {
              initial: 'wal',
              on: {
                'checkpoint.completed': { actions: 'adoptCompleted' },
                'turn.started': [
                  { guard: 'isUncovered', target: 'empty', actions: ['noteRequest', 'dropCheckpoint'] },
                  { actions: ['noteRequest', 'adoptCoveringCheckpoint'] },
                ],
                'compaction.requested': [
                  { guard: 'isUncovered', target: 'empty', actions: 'dropCheckpoint' },
                  { actions: 'adoptCoveringCheckpoint' },
                ],
                'compaction.served': { target: 'served', actions: 'noteServed' },
                'turn.completed': { target: '.wal', actions: 'noteTurn' },
                'history.replaced': { target: 'empty', actions: 'beginHistory' },
              },
              states: {
                wal: {
                  description: 'New messages are recorded after the checkpoint.',
                  always: { guard: 'pastSwap', target: 'swapReady' },
                },
                swapReady: { description: 'The client is expected to compact.' },
              },
            },
            served: {
              description: 'A summary was served; the next request shows whether the client took it.',
              on: {
                'compaction.requested': { guard: 'isUncovered', target: 'empty', actions: 'dropCheckpoint' },
                'compaction.served': { actions: 'noteServed' },
                // Another conversation's checkpoint was served while this one's own was computed.
                'checkpoint.completed': { actions: 'adoptCompleted' },
                'turn.started': [
                  { guard: 'isUncovered', target: 'empty', actions: ['noteRequest', 'dropCheckpoint'] },
                  // The old history goes on: the client did not take the summary. It stays good for the next time.
                  { target: 'ready', actions: ['noteRequest', 'adoptCoveringCheckpoint'] },
                ],
                'turn.completed': { actions: 'noteTurn' },
                'history.replaced': { target: 'empty', actions: 'beginHistory' },
              },
            },
          },
        },
        call: {
          description: 'The background summary request.',
          initial: 'idle',
          on: {
            // What was tried, and why it failed, says nothing about another history.
            'turn.started': { guard: 'divergedFromCall', target: '.idle', actions: 'forgetTries' },
            'compaction.completed_by_api': '.idle',
            'history.replaced': '.idle',
            // Usage stays known: the next turn past the threshold tries again.
            'conversation.reset': { target: '.idle', actions: 'forgetTries' },
          },
          states: {
            idle: {
              on: { 'turn.completed': { target: 'considering' } },
            },
            considering: {
              description: 'A turn has ended and its usage is noted.',
              always: [{ guard: 'wantsCheckpoint', target: 'running' }, { target: 'idle' }],
            },
            running: {
              entry: 'countAttempt',
              invoke: {
                src: 'computeCheckpoint',
                input: ({ context }) => ({
                  conversation: context.id,
                  turn: context.turn,
                  attempt: context.tries,
                  replaces: context.checkpoint?.id ?? null,
                }),
                onDone: {
                  target: 'idle',
                  actions: raise(({ event }) => ({ type: 'checkpoint.completed', checkpoint: event.output })),
                },
                onError: [
                  {
                    guard: { type: 'wasSkipped', params: ({ event }) => ({ failure: callFailure(event.error) }) },
                    target: 'idle',
                    actions: 'uncountAttempt',
                  },
                  {
                    guard: { type: 'failedForGood', params: ({ event }) => ({ failure: callFailure(event.error) }) },
                    target: 'givenUp',
                    actions: { type: 'noteFailure', params: ({ event }) => ({ failure: callFailure(event.error) }) },
                  },
                  {
                    guard: {
                      type: 'failedForThisTurn',
                      params: ({ event }) => ({ failure: callFailure(event.error) }),
                    },
                    target: 'idle',
                    actions: { type: 'noteFailure', params: ({ event }) => ({ failure: callFailure(event.error) }) },
                  },
                  {
                    guard: 'hasTriesLeft',
                    target: 'waitingToRetry',
                    actions: { type: 'noteFailure', params: ({ event }) => ({ failure: callFailure(event.error) }) },
                  },
                  {
                    target: 'givenUp',
                    actions: { type: 'noteFailure', params: ({ event }) => ({ failure: callFailure(event.error) }) },
                  },
                ],
              },
            },
            waitingToRetry: {
              description: 'A call failed; the next one starts after a pause, if it is still wanted then.',
              after: { retryPause: [{ guard: 'wantsCheckpoint', target: 'running' }, { target: 'idle' }] },
            },
            givenUp: {
              description:
                'No further call until this history is left, below the threshold again, or past one more share.',
              on: {
                'turn.completed': [
                  { guard: 'endsBelow', target: 'idle' },
                  { guard: 'crossesAgain', target: 'considering' },
                ],
              },
            },
          },
        },
        activity: {
          initial: 'recent',
          states: {
            recent: {
              after: { idleTime: { actions: raise({ type: 'conversation.idled' }) } },
              on: {
                'turn.started': { target: 'recent', reenter: true },
                'turn.completed': { target: 'recent', reenter: true },
                'compaction.requested': { target: 'recent', reenter: true, actions: 'noteActivity' },
                'compaction.served': { target: 'recent', reenter: true, actions: 'noteActivity' },
                'compaction.forwarded': { target: 'recent', reenter: true, actions: ['noteActivity', 'noteForwarded'] },
                'compaction.completed_by_api': { target: 'recent', reenter: true, actions: 'noteActivity' },
                'history.replaced': { target: 'recent', reenter: true },
                'conversation.reset': { target: 'recent', reenter: true },
              },
            },
          },
        },
      },
    },
    expired: { type: 'final' },
  },
});

export type ConversationActor = ActorRefFrom<typeof conversationMachine>;
export type ConversationSnapshot = SnapshotFrom<typeof conversationMachine>;
