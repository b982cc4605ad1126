/**
 * The circuit breaker of all checkpoint calls, as a statechart: closed, open for a while after many failures in a row,
 * then half open for one probe call. It never affects the requests of clients.
 * It does no I/O: `src/checkpoint/gate.ts` sends it the outcome of each call and reads its state before each call.
 */
import { assign, setup, type ActorRefFrom, type SnapshotFrom } from 'xstate';
import { timestamp, type Timestamp } from './units.ts';

/** Failures in a row, across all conversations and within the window, that open the breaker. */
export const FAILURES_TO_OPEN = 5;
export const FAILURE_WINDOW_MS = 120_000;
/** How long the breaker stays open; doubles each time the probe fails. */
export const COOL_DOWN_MS = 120_000;
export const COOL_DOWN_MAX_MS = 1_800_000;

/** Outcomes of checkpoint calls. A refused, too long or unusable call says nothing about the API's health. */
export type BreakerEvent =
  /** A call failed in the way the API fails when it is down: 429, 5xx, 529, no connection. */
  | { readonly type: 'call.failed'; readonly at: Timestamp }
  /** A call ended with a summary. */
  | { readonly type: 'call.answered' }
  /** The probe, the one call that a half-open breaker lets through, has begun. */
  | { readonly type: 'probe.begun' }
  | { readonly type: 'probe.failed'; readonly at: Timestamp }
  /** The API answered the probe, possibly with a refusal: it is up again. */
  | { readonly type: 'probe.answered' }
  /** The probe was aborted before an answer. */
  | { readonly type: 'probe.abandoned' };

export interface BreakerContext {
  /** Times of the last failures in a row, oldest first. */
  readonly failures: readonly Timestamp[];
  /** Length of the current or next open period, in milliseconds. */
  readonly coolDown: number;
  /** End of the open period; null unless the breaker is open. */
  readonly resumesAt: Timestamp | null;
}

/** The failures in a row within the window around `at`: also later ones, because the clock may have been set back. */
const recent = ({ failures }: BreakerContext, at: Timestamp): Timestamp[] =>
  [...failures.filter((failure) => Math.abs(at - failure) <= FAILURE_WINDOW_MS), at].slice(-FAILURES_TO_OPEN);

export const breakerMachine = setup({
  types: {} as { context: BreakerContext; events: BreakerEvent },
  delays: { coolDown: ({ context }) => context.coolDown },
  guards: {
    reachesFailureLimit: ({ context }, params: { at: Timestamp }) =>
      recent(context, params.at).length >= FAILURES_TO_OPEN,
  },
  actions: {
    recordFailure: assign(({ context }, params: { at: Timestamp }) => ({ failures: recent(context, params.at) })),
    resetFailures: assign({ failures: [] }),
    setResumption: assign(({ context }, params: { at: Timestamp }) => ({
      resumesAt: timestamp(params.at + context.coolDown),
    })),
    lengthenCoolDown: assign(({ context }) => ({ coolDown: Math.min(COOL_DOWN_MAX_MS, context.coolDown * 2) })),
    reset: assign({ failures: [], coolDown: COOL_DOWN_MS }),
    clearResumption: assign({ resumesAt: null }),
    /** Placeholders for the composition root, which logs what happens. */
    onOpened: () => undefined,
    onHalfOpened: () => undefined,
    onClosed: () => undefined,
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
            guard: { type: 'reachesFailureLimit', params: ({ event }) => ({ at: event.at }) },
            target: 'open',
            actions: [
              { type: 'recordFailure', params: ({ event }) => ({ at: event.at }) },
              { type: 'setResumption', params: ({ event }) => ({ at: event.at }) },
            ],
          },
          { actions: { type: 'recordFailure', params: ({ event }) => ({ at: event.at }) } },
        ],
        'call.answered': { actions: 'resetFailures' },
      },
    },
    open: {
      description: 'No call is made. The outcome of calls that began earlier is ignored.',
      entry: 'onOpened',
      after: { coolDown: 'halfOpen' },
      exit: 'clearResumption',
    },
    halfOpen: {
      entry: 'onHalfOpened',
      initial: 'waiting',
      states: {
        waiting: {
          description: 'The next call is let through as the probe.',
          on: { 'probe.begun': 'probing' },
        },
        probing: {
          description: 'The probe is running; no other call is let through.',
          on: {
            'probe.answered': { target: '#breaker.closed', actions: ['reset', 'onClosed'] },
            'probe.failed': {
              target: '#breaker.open',
              actions: ['lengthenCoolDown', { type: 'setResumption', params: ({ event }) => ({ at: event.at }) }],
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
