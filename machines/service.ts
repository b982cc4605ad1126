/**
 * One part of the proxy that can fail by itself (a listening socket, the store, the dashboard), as a statechart: started, watched,
 * started again with growing pauses when it fails, closed in order. Sockets and files belong to whoever provides `start`,
 * `watch` and `close`; the machine knows only the service's name.
 */
import { assign, enqueueActions, fromCallback, fromPromise, setup, type ActorRefFrom } from 'xstate';

/**
 * `forwarder` and `redirector` listen; nothing works without them. `store` keeps state and `dashboard` shows it; all else
 * works without them.
 */
export type ServiceName = 'forwarder' | 'redirector' | 'store' | 'dashboard';

export interface ServiceInput {
  readonly name: ServiceName;
  /** Who is told: `service.up`, `service.down`, `service.closed`. */
  readonly parent: { send(event: ServiceReport): void };
}

/** What a service tells its supervisor. `port` is null for one that listens nowhere. */
export type ServiceReport =
  | { readonly type: 'service.up'; readonly name: ServiceName; readonly port: number | null }
  /** Could not be started, or failed after it was. `everUp` is false when it never was up at all. */
  | {
      readonly type: 'service.down';
      readonly name: ServiceName;
      readonly reason: string;
      readonly everUp: boolean;
    }
  | { readonly type: 'service.closed'; readonly name: ServiceName };

/** What a service remembers. */
export interface ServiceContext extends ServiceInput {
  readonly port: number | null;
  /** Failures in a row: attempts to start, and times it failed before it had been up for a while. */
  readonly failures: number;
  readonly everUp: boolean;
  readonly reason: string | null;
}

/** Pause before the n-th attempt in a row to start again: 100 ms, doubled each time, 30 s at most. */
export function startPause(failures: number): number {
  return Math.min(30_000, 100 * 2 ** Math.max(0, failures - 1));
}

/** A service that has been up for this long has recovered: its next failure is the first in a row. */
export const SETTLED_AFTER_MS = 10_000;

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export const serviceMachine = setup({
  types: {} as {
    context: ServiceContext;
    input: ServiceInput;
    events: { type: 'service.stop' } | { type: 'service.failed'; reason: string };
  },
  actors: {
    /** Opens it; resolves with the port it got, null for what listens nowhere. */
    start: fromPromise<{ port: number | null }, { name: ServiceName }>(() =>
      Promise.reject(new Error('start was not provided')),
    ),
    /** Sends `service.failed` when it fails later. */
    watch: fromCallback<{ type: 'service.stop' }, { name: ServiceName }>(() => undefined),
    /** Ends it in order, resolves when nothing is left. Never rejects for what is already gone. */
    close: fromPromise<undefined, { name: ServiceName }>(() => Promise.resolve(undefined)),
  },
  delays: { startPause: ({ context }) => startPause(context.failures), settled: SETTLED_AFTER_MS },
  actions: {
    noteFailure: assign(({ context }, params: { reason: string }) => ({
      failures: context.failures + 1,
      reason: params.reason,
    })),
    reportUp: enqueueActions(({ context, enqueue }, params: { port: number | null }) => {
      enqueue.assign({ port: params.port, everUp: true, reason: null });
      enqueue(() => {
        context.parent.send({ type: 'service.up', name: context.name, port: params.port });
      });
    }),
    forgetFailures: assign({ failures: 0 }),
    reportDown: ({ context }) => {
      const { name, reason, everUp } = context;
      context.parent.send({ type: 'service.down', name, reason: reason ?? 'unknown', everUp });
    },
    reportClosed: ({ context }) => context.parent.send({ type: 'service.closed', name: context.name }),
  },
}).createMachine({
  id: 'service',
  context: ({ input }) => ({ ...input, port: null, failures: 0, everUp: false, reason: null }),
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
          actions: { type: 'noteFailure', params: ({ event }) => ({ reason: reasonOf(event.error) }) },
        },
      },
      on: { 'service.stop': 'closing' },
    },
    up: {
      invoke: { src: 'watch', input: ({ context }) => ({ name: context.name }) },
      after: { settled: { actions: 'forgetFailures' } },
      on: {
        'service.stop': 'closing',
        'service.failed': {
          target: 'down',
          actions: { type: 'noteFailure', params: ({ event }) => ({ reason: event.reason }) },
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

export type ServiceActor = ActorRefFrom<typeof serviceMachine>;
