/**
 * One conversation, as a statechart. It decides when a checkpoint is computed, retried, given up, servable and served.
 * The chart does no I/O: the composition root provides `computeCheckpoint`.
 *
 * Two regions work as in double buffering: `call` fills the back buffer, and `buffer` is what a compaction can be
 * answered from meanwhile. `activity` does the bookkeeping and owns the idle timer. The phase that people see is derived
 * from the first two, see phases.ts. Whether a compaction is served is decided outside, by a pure function over the
 * index of checkpoints (src/compaction); the chart learns the outcome as an event.
 */
import { raise, type ActorRefFrom, type SnapshotFrom } from 'xstate';
import { callFailure } from './conversation-calculations.ts';
import type { PersistedState } from './conversation-events.ts';
import { conversationSetup } from './conversation-setup.ts';
import { tokens } from './units.ts';

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

/** What of a conversation is stored. */
export function toPersisted(snapshot: Pick<ConversationSnapshot, 'context' | 'matches'>): PersistedState {
  const { model, used, effectiveWindow, messages, lastActivity } = snapshot.context;
  const { checkpoint, lastRefreshStep, tries, turnsSinceReplaced, looping, counters } = snapshot.context;
  const usage = { model, used, effectiveWindow, messages, lastActivity };
  const served = snapshot.matches({ alive: { buffer: 'served' } });
  return { ...usage, checkpoint, served, lastRefreshStep, tries, turnsSinceReplaced, looping, counters };
}

export const conversationMachine = conversationSetup.createMachine({
  id: 'conversation',
  context: ({ input: { persisted, ...input } }) => {
    const { served: wasServed, ...state } = persisted ?? NEW_STATE;
    const attempts = { turn: null, turnMessages: 0, triedMessages: 0, failure: null, retryPause: null };
    return { ...input, ...state, ...attempts, wasServed };
  },
  initial: 'alive',
  states: {
    alive: {
      type: 'parallel',
      on: { 'conversation.idled': 'expired' },
      states: {
        buffer: {
          description: 'What a compaction can be answered from, now.',
          initial: 'restoring',
          on: {
            'turn.started': [
              { guard: 'isCovered', target: '.ready', actions: 'adoptCoveringCheckpoint' },
              { target: '.empty', actions: 'dropCheckpoint' },
            ],
            'compaction.requested': [
              { guard: 'isCovered', target: '.ready', actions: 'adoptCoveringCheckpoint' },
              { target: '.empty', actions: 'dropCheckpoint' },
            ],
            'checkpoint.completed': { target: '.ready', actions: 'adoptCompletedCheckpoint' },
            'history.replaced': { target: '.empty', actions: 'startNewHistory' },
            'conversation.reset': { target: '.empty', actions: 'dropCheckpoint' },
          },
          states: {
            restoring: {
              description: 'Chooses the state in which an earlier process left the conversation.',
              always: [
                { guard: 'wasServed', target: 'served' },
                { guard: 'hasCheckpoint', target: 'ready' },
                { target: 'empty' },
              ],
            },
            empty: {},
            ready: {
              description: 'A checkpoint is servable. The two states in here are labels for people: both serve alike.',
              initial: 'wal',
              on: {
                'turn.completed': '.wal',
                'compaction.served': { target: 'served', actions: 'countServed' },
              },
              states: {
                wal: {
                  description: 'New messages are recorded after the checkpoint.',
                  always: { guard: 'isPastSwapThreshold', target: 'swapReady' },
                },
                swapReady: { description: 'The client is expected to compact.' },
              },
            },
            served: {
              description: 'A summary was served; the next request shows whether the client continues from it.',
              on: {
                'compaction.served': { actions: 'countServed' },
                // The client repeats its request: the answer is still unconfirmed.
                'compaction.requested': { guard: 'isCovered' },
                // The summary of another conversation was served while the own one was computed.
                'checkpoint.completed': { actions: 'adoptCompletedCheckpoint' },
              },
            },
          },
        },
        call: {
          description: 'The background request for a summary.',
          initial: 'idle',
          on: {
            // The attempts and the failure belong to the other history.
            'turn.started': { guard: 'divergedFromCall', target: '.idle', actions: 'resetAttempts' },
            'compaction.completed_by_api': '.idle',
            'history.replaced': '.idle',
            // Usage stays known: the next turn past the threshold begins a new call.
            'conversation.reset': { target: '.idle', actions: 'resetAttempts' },
          },
          states: {
            idle: {
              on: { 'turn.completed': 'considering' },
            },
            considering: {
              description: 'A turn has ended and its usage is recorded.',
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
                  actions: raise(({ event }) => ({ type: 'checkpoint.completed', checkpoint: event.output })),
                },
                onError: {
                  actions: raise(({ event }) => ({ type: 'checkpoint.failed', failure: callFailure(event.error) })),
                },
              },
              on: {
                'checkpoint.completed': 'idle',
                'checkpoint.failed': [
                  { guard: 'isSkipped', target: 'idle', actions: 'uncountAttempt' },
                  { guard: 'isTooLong', target: 'givenUp', actions: 'recordFailure' },
                  { guard: 'isRejected', target: 'idle', actions: 'recordFailure' },
                  { guard: 'hasTriesLeft', target: 'waitingToRetry', actions: 'recordFailure' },
                  { target: 'givenUp', actions: 'recordFailure' },
                ],
              },
            },
            waitingToRetry: {
              description: 'A call failed; the next one begins after a pause if it is still wanted then.',
              entry: ['setRetryPause', 'onRetryScheduled'],
              after: { retryPause: [{ guard: 'wantsCheckpoint', target: 'running' }, { target: 'idle' }] },
              exit: 'clearRetryPause',
            },
            givenUp: {
              description:
                'No further call until the history is replaced, below the threshold again, or one refresh step further.',
              on: {
                'turn.completed': [
                  { guard: 'endsBelowThreshold', target: 'idle' },
                  { guard: 'reachesNextRefreshStep', target: 'considering' },
                ],
              },
            },
          },
        },
        activity: {
          description: 'Records what happened; each event restarts the idle timer.',
          initial: 'recent',
          on: {
            'turn.started': { target: '.recent', actions: 'recordRequest' },
            'turn.completed': { target: '.recent', actions: 'recordTurn' },
            'compaction.forwarded': { target: '.recent', actions: ['recordActivity', 'countForwarded'] },
            'compaction.*': { target: '.recent', actions: 'recordActivity' },
            'history.replaced': '.recent',
            'conversation.reset': '.recent',
          },
          states: {
            recent: {
              after: { idleTime: { actions: raise({ type: 'conversation.idled' }) } },
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
