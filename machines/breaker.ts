/**
 * The circuit breaker of all checkpoint calls, as a statechart: closed, open for a while after many have failed, then
 * half open for one that tries whether the API is back. Requests of clients know nothing of it.
 * It does no I/O; `src/checkpoint/gate.ts` tells it what happens and asks it before each call.
 */
import { assign, setup, type ActorRefFrom, type SnapshotFrom } from 'xstate';
import { timestamp, type Timestamp } from './units.ts';

/** So many failures in a row, over all conversations, within so long, open it. */
export const FAILURES_TO_OPEN = 5;
export const FAILURE_WINDOW_MS = 120_000;
/** How long it stays open; doubles each time the one call that is let through fails too. */
export const COOL_DOWN_MS = 120_000;
export const COOL_DOWN_MAX_MS = 1_800_000;

/** Facts about checkpoint calls. What failed for a reason of its own (refused, too long, unusable) is no failure here. */
export type BreakerEvent =
  /** A call failed as the API fails when it is down: 429, 5xx, 529, no connection. */
  | { readonly type: 'call.failed'; readonly at: Timestamp }
  /** A call brought its summary. */
  | { readonly type: 'call.answered' }
  /** The call that a half-open breaker lets through has begun. */
  | { readonly type: 'probe.begun' }
  | { readonly type: 'probe.failed'; readonly at: Timestamp }
  /** … was answered, be it with a refusal: the API is there. */
  | { readonly type: 'probe.answered' }
  /** … was aborted, and has shown nothing. */
  | { readonly type: 'probe.abandoned' };

/** What the breaker remembers. */
export interface BreakerContext {
  /** When the last failures in a row were, oldest first. */
  readonly failures: readonly Timestamp[];
  /** How long it is open for, this time or the next, in milliseconds. */
  readonly coolDown: number;
  /** Until when it is open; null while it is not. */
  readonly resumesAt: Timestamp | null;
}

/** The failures in a row that are near enough to `at` to count; a clock that was set back counts as well. */
const recent = ({ failures }: BreakerContext, at: Timestamp): Timestamp[] =>
  [...failures.filter((failure) => Math.abs(at - failure) <= FAILURE_WINDOW_MS), at].slice(-FAILURES_TO_OPEN);

export const breakerMachine = setup({
  types: {} as { context: BreakerContext; events: BreakerEvent },
  delays: { coolDown: ({ context }) => context.coolDown },
  guards: {
    isOneTooMany: ({ context }, params: { at: Timestamp }) => recent(context, params.at).length >= FAILURES_TO_OPEN,
  },
  actions: {
    noteFailure: assign(({ context }, params: { at: Timestamp }) => ({ failures: recent(context, params.at) })),
    forgetFailures: assign({ failures: [] }),
    noteResumption: assign(({ context }, params: { at: Timestamp }) => ({
      resumesAt: timestamp(params.at + context.coolDown),
    })),
    lengthenCoolDown: assign(({ context }) => ({ coolDown: Math.min(COOL_DOWN_MAX_MS, context.coolDown * 2) })),
    beginAnew: assign({ failures: [], coolDown: COOL_DOWN_MS }),
    forgetResumption: assign({ resumesAt: null }),
  },
}).createMachine({
  id: 'breaker',
  context: { failures: [], coolDown: COOL_DOWN_MS, resumesAt: null },
  initial: 'closed',
  states: {
    closed: {
      description: 'Calls are made.',
      on: {
        'call.failed': [
          {
            guard: { type: 'isOneTooMany', params: ({ event }) => ({ at: event.at }) },
            target: 'open',
            actions: [
              { type: 'noteFailure', params: ({ event }) => ({ at: event.at }) },
              { type: 'noteResumption', params: ({ event }) => ({ at: event.at }) },
            ],
          },
          { actions: { type: 'noteFailure', params: ({ event }) => ({ at: event.at }) } },
        ],
        'call.answered': { actions: 'forgetFailures' },
      },
    },
    open: {
      description: 'No call is made. What calls begun before come to is not news.',
      after: { coolDown: 'halfOpen' },
      exit: 'forgetResumption',
    },
    halfOpen: {
      initial: 'waiting',
      states: {
        waiting: {
          description: 'The next call is let through.',
          on: { 'probe.begun': 'probing' },
        },
        probing: {
          description: 'It is under way, and no other.',
          on: {
            'probe.answered': { target: '#breaker.closed', actions: 'beginAnew' },
            'probe.failed': {
              target: '#breaker.open',
              actions: ['lengthenCoolDown', { type: 'noteResumption', params: ({ event }) => ({ at: event.at }) }],
            },
            'probe.abandoned': 'waiting',
          },
        },
      },
    },
  },
});

export type BreakerActor = ActorRefFrom<typeof breakerMachine>;
export type BreakerSnapshot = SnapshotFrom<typeof breakerMachine>;
