/**
 * One listening socket, as a statechart: bound, watched, bound again with growing pauses when it fails, closed in order.
 * The sockets belong to whoever provides `bind`, `watch` and `close`; the machine knows only the listener's name.
 */
import { assign, enqueueActions, fromCallback, fromPromise, setup, type ActorRefFrom } from 'xstate';

export type ListenerName = 'forwarder' | 'redirector';

export interface ListenerInput {
  readonly name: ListenerName;
  /** Who is told: `listener.listening`, `listener.down`, `listener.closed`. */
  readonly parent: { send(event: ListenerReport): void };
}

/** What a listener tells its supervisor. */
export type ListenerReport =
  | { readonly type: 'listener.listening'; readonly name: ListenerName; readonly port: number }
  /** Could not be bound, or failed after it was. `everBound` is false when it never listened at all. */
  | {
      readonly type: 'listener.down';
      readonly name: ListenerName;
      readonly reason: string;
      readonly everBound: boolean;
    }
  | { readonly type: 'listener.closed'; readonly name: ListenerName };

/** What a listener remembers. */
export interface ListenerContext extends ListenerInput {
  readonly port: number | null;
  /** Failures in a row: attempts to bind, and sockets that failed before they had listened for a while. */
  readonly failures: number;
  readonly everBound: boolean;
  readonly reason: string | null;
}

/** Pause before the n-th attempt in a row to bind again: 100 ms, doubled each time, 30 s at most. */
export function bindPause(failures: number): number {
  return Math.min(30_000, 100 * 2 ** Math.max(0, failures - 1));
}

/** A socket that has listened for this long has recovered: its next failure is the first in a row. */
export const SETTLED_AFTER_MS = 10_000;

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export const listenerMachine = setup({
  types: {} as {
    context: ListenerContext;
    input: ListenerInput;
    events: { type: 'listener.stop' } | { type: 'listener.failed'; reason: string };
  },
  actors: {
    /** Opens the socket; resolves with the port it got. */
    bind: fromPromise<{ port: number }, { name: ListenerName }>(() =>
      Promise.reject(new Error('bind was not provided')),
    ),
    /** Sends `listener.failed` when the open socket fails. */
    watch: fromCallback<{ type: 'listener.stop' }, { name: ListenerName }>(() => undefined),
    /** Stops accepting, drains, resolves when nothing is left. Never rejects for a socket that is already gone. */
    close: fromPromise<undefined, { name: ListenerName }>(() => Promise.resolve(undefined)),
  },
  delays: { bindPause: ({ context }) => bindPause(context.failures), settled: SETTLED_AFTER_MS },
  actions: {
    noteFailure: assign(({ context }, params: { reason: string }) => ({
      failures: context.failures + 1,
      reason: params.reason,
    })),
    reportListening: enqueueActions(({ context, enqueue }, params: { port: number }) => {
      enqueue.assign({ port: params.port, everBound: true, reason: null });
      enqueue(() => {
        context.parent.send({ type: 'listener.listening', name: context.name, port: params.port });
      });
    }),
    forgetFailures: assign({ failures: 0 }),
    reportDown: ({ context }) => {
      const { name, reason, everBound } = context;
      context.parent.send({ type: 'listener.down', name, reason: reason ?? 'unknown', everBound });
    },
    reportClosed: ({ context }) => context.parent.send({ type: 'listener.closed', name: context.name }),
  },
}).createMachine({
  id: 'listener',
  context: ({ input }) => ({ ...input, port: null, failures: 0, everBound: false, reason: null }),
  initial: 'binding',
  states: {
    binding: {
      invoke: {
        src: 'bind',
        input: ({ context }) => ({ name: context.name }),
        onDone: {
          target: 'listening',
          actions: { type: 'reportListening', params: ({ event }) => ({ port: event.output.port }) },
        },
        onError: {
          target: 'down',
          actions: { type: 'noteFailure', params: ({ event }) => ({ reason: reasonOf(event.error) }) },
        },
      },
      on: { 'listener.stop': 'closing' },
    },
    listening: {
      invoke: { src: 'watch', input: ({ context }) => ({ name: context.name }) },
      after: { settled: { actions: 'forgetFailures' } },
      on: {
        'listener.stop': 'closing',
        'listener.failed': {
          target: 'down',
          actions: { type: 'noteFailure', params: ({ event }) => ({ reason: event.reason }) },
        },
      },
    },
    down: {
      entry: 'reportDown',
      after: { bindPause: 'binding' },
      on: { 'listener.stop': 'closing' },
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

export type ListenerActor = ActorRefFrom<typeof listenerMachine>;
