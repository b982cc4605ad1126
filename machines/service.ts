/**
 * A part of the proxy that can fail alone (a listening socket, the store, the dashboard), as a statechart: started,
 * watched, restarted with growing pauses when it fails, closed in order. Sockets and files belong to the actors `start`,
 * `watch` and `close`, which the composition root provides; the machine knows only the service's name.
 */
import { assign, enqueueActions, fromCallback, fromPromise, sendTo, setup, type ActorRef, type Snapshot } from 'xstate';

/**
 * `forwarder` and `redirector` listen; nothing works without them. `store` keeps state and `dashboard` shows it; the
 * proxy also works without these two.
 */
export type ServiceName = 'forwarder' | 'redirector' | 'store' | 'dashboard';

export interface ServiceInput {
  readonly name: ServiceName;
  /** The supervisor, which receives the reports. */
  readonly parent: ActorRef<Snapshot<unknown>, ServiceReport>;
}

/** What a service reports to its supervisor. `port` is null for a service without a listening socket. */
export type ServiceReport =
  | { readonly type: 'service.up'; readonly name: ServiceName; readonly port: number | null }
  /** The start failed, or the service failed later; `hasBeenUp` is false until a start has succeeded. */
  | {
      readonly type: 'service.down';
      readonly name: ServiceName;
      readonly reason: string;
      readonly hasBeenUp: boolean;
    }
  | { readonly type: 'service.closed'; readonly name: ServiceName };

export type ServiceEvent =
  | { readonly type: 'service.stop' }
  /** Sent by `watch`. */
  | { readonly type: 'service.failed'; readonly reason: string };

export interface ServiceContext extends ServiceInput {
  readonly port: number | null;
  /** Failures in a row: failed starts, and failures before the service had been up for `STABLE_AFTER_MS`. */
  readonly failures: number;
  readonly hasBeenUp: boolean;
  readonly reason: string | null;
}

/** Pause before the next start, in milliseconds: 100 after the first failure in a row, doubled each time, 30,000 at most. */
export function startPause(failures: number): number {
  return Math.min(30_000, 100 * 2 ** Math.max(0, failures - 1));
}

/** A service that has been up for this long is stable: its next failure is the first in a row. */
export const STABLE_AFTER_MS = 10_000;

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export const serviceMachine = setup({
  types: {} as {
    context: ServiceContext;
    input: ServiceInput;
    events: ServiceEvent;
  },
  actors: {
    /** Starts the service; resolves with its port, null without a listening socket. */
    start: fromPromise<{ port: number | null }, { name: ServiceName }>(() =>
      Promise.reject(new Error('start was not provided')),
    ),
    /** Sends `service.failed` when the service fails after its start. */
    watch: fromCallback<{ type: 'service.stop' }, { name: ServiceName }>(() => undefined),
    /** Closes the service; resolves when its resources are released, also when they already were. */
    close: fromPromise<undefined, { name: ServiceName }>(() => Promise.resolve(undefined)),
  },
  delays: { startPause: ({ context }) => startPause(context.failures), stable: STABLE_AFTER_MS },
  actions: {
    recordFailure: assign(({ context }, params: { reason: string }) => ({
      failures: context.failures + 1,
      reason: params.reason,
    })),
    reportUp: enqueueActions(({ context, enqueue }, params: { port: number | null }) => {
      enqueue.assign({ port: params.port, hasBeenUp: true, reason: null });
      enqueue.sendTo(context.parent, { type: 'service.up', name: context.name, port: params.port });
    }),
    resetFailures: assign({ failures: 0 }),
    reportDown: sendTo(
      ({ context }) => context.parent,
      ({ context: { name, reason, hasBeenUp } }) => ({
        type: 'service.down',
        name,
        reason: reason ?? 'unknown',
        hasBeenUp,
      }),
    ),
    reportClosed: sendTo(
      ({ context }) => context.parent,
      ({ context: { name } }) => ({ type: 'service.closed', name }),
    ),
  },
}).createMachine({
  id: 'service',
  context: ({ input }) => ({ ...input, port: null, failures: 0, hasBeenUp: false, reason: null }),
  initial: 'starting',
  states: {
    starting: {
      invoke: {
        src: 'start',
        input: ({ context }) => ({ name: context.name }),
        onDone: {
          target: 'up',
          actions: { type: 'reportUp', params: ({ event }) => ({ port: event.output.port }) },
        },
        onError: {
          target: 'down',
          actions: { type: 'recordFailure', params: ({ event }) => ({ reason: reasonOf(event.error) }) },
        },
      },
      on: { 'service.stop': 'closing' },
    },
    up: {
      invoke: { src: 'watch', input: ({ context }) => ({ name: context.name }) },
      after: { stable: { actions: 'resetFailures' } },
      on: {
        'service.stop': 'closing',
        'service.failed': {
          target: 'down',
          actions: { type: 'recordFailure', params: ({ event }) => ({ reason: event.reason }) },
        },
      },
    },
    down: {
      entry: 'reportDown',
      after: { startPause: 'starting' },
      on: { 'service.stop': 'closing' },
    },
    closing: {
      invoke: {
        src: 'close',
        input: ({ context }) => ({ name: context.name }),
        onDone: 'closed',
        onError: 'closed',
      },
    },
    closed: { type: 'final', entry: 'reportClosed' },
  },
});
