/**
 * The supervisor: owns the services (two listeners, store, dashboard), the circuit breaker and every conversation, and
 * survives the failure of each of them.
 *
 * Start: the store, then the forwarder, then the redirector, because its tunnels lead to the forwarder. A listener that
 * cannot be bound stops the start. The dashboard starts last, and the start does not wait for it. A service that fails
 * later is restarted alone, with backoff; so are store and dashboard at any time.
 * Stop: both listeners stop accepting and drain at the same time, because the redirector's tunnels end with the
 * forwarder's connections. Then the store writes the last state of the conversations, and they end.
 */
import { assign, enqueueActions, setup, spawnChild, type ActorRefFrom } from 'xstate';
import { breakerMachine } from './breaker.ts';
import { conversationMachine } from './conversation.ts';
import type { ConversationInput } from './conversation-events.ts';
import { serviceMachine, type ServiceName, type ServiceReport } from './service.ts';
import type { ConversationId } from './units.ts';

export type SupervisorEvent =
  | ServiceReport
  /** A conversation has begun or is restored. It has no effect for a conversation that is already open. */
  | { readonly type: 'conversation.opened'; readonly input: ConversationInput }
  | { readonly type: 'conversation.closed'; readonly id: ConversationId }
  | { readonly type: 'shutdown.requested' };

export interface ServiceStatus {
  readonly up: boolean;
  readonly port: number | null;
  readonly reason: string | null;
}

export interface SupervisorContext {
  readonly services: Readonly<Record<ServiceName, ServiceStatus>>;
  /** Services that are closed because of the shutdown. */
  readonly closed: readonly ServiceName[];
  /** Children whose own machine ended by a thrown error. */
  readonly crashes: number;
}

/** The result of a supervisor. `startFailure` is the reason why a listener could not be bound; null without one. */
export interface SupervisorOutput {
  readonly startFailure: string | null;
}

/** Id of a conversation's actor among the supervisor's children. */
export const conversationChild = (id: ConversationId): string => `conversation:${id}`;

const DOWN: ServiceStatus = { up: false, port: null, reason: null };
/** The services that the start depends on and that drain first at a shutdown. */
const LISTENERS: readonly ServiceName[] = ['forwarder', 'redirector'];
/** Id of the circuit breaker among the supervisor's children. */
export const BREAKER = 'breaker';
const SERVICES: ReadonlySet<string> = new Set<ServiceName>([...LISTENERS, 'store', 'dashboard']);

interface ChildEnded {
  readonly event: { readonly type: string; readonly actorId?: unknown };
}

/** The id of the child that an `xstate.done.actor.<id>` or `xstate.error.actor.<id>` event comes from. */
function childOf(event: ChildEnded['event']): { id: string } {
  return { id: typeof event.actorId === 'string' ? event.actorId : event.type.split('.').slice(3).join('.') };
}

/** The status of all services with one of them down. Its port stays, because clients use it again after a restart. */
function withDown({ services }: SupervisorContext, name: ServiceName, reason: string): SupervisorContext['services'] {
  return { ...services, [name]: { up: false, port: services[name].port, reason } };
}

export const supervisorMachine = setup({
  types: {} as { context: SupervisorContext; events: SupervisorEvent; output: SupervisorOutput },
  actors: { breaker: breakerMachine, conversation: conversationMachine, service: serviceMachine },
  guards: {
    isForwarder: (_, params: { name: ServiceName }) => params.name === 'forwarder',
    isRedirector: (_, params: { name: ServiceName }) => params.name === 'redirector',
    isFailedStart: (_, params: { name: ServiceName; hasBeenUp: boolean }) =>
      LISTENERS.includes(params.name) && !params.hasBeenUp,
    areListenersClosed: ({ context }) => LISTENERS.every((name) => context.closed.includes(name)),
    areAllClosed: ({ context }) => context.closed.length === SERVICES.size,
  },
  actions: {
    startService: enqueueActions(({ enqueue, self }, params: { name: ServiceName }) => {
      enqueue.spawnChild('service', { id: params.name, input: { name: params.name, parent: self } });
    }),
    stopService: enqueueActions(({ enqueue, self }, params: { name: ServiceName }) => {
      const child = self.getSnapshot().children[params.name];
      if (child) enqueue.sendTo(child, { type: 'service.stop' });
      else enqueue.raise({ type: 'service.closed', name: params.name });
    }),
    recordUp: assign(({ context }, params: { name: ServiceName; port: number | null }) => ({
      services: { ...context.services, [params.name]: { up: true, port: params.port, reason: null } },
    })),
    recordClosed: assign(({ context }, params: { name: ServiceName }) => ({
      closed: [...context.closed.filter((name) => name !== params.name), params.name],
      services: { ...context.services, [params.name]: { ...context.services[params.name], up: false } },
    })),
    recordDown: assign(({ context }, params: { name: ServiceName; reason: string }) => ({
      services: withDown(context, params.name, params.reason),
    })),
    openConversation: enqueueActions(({ enqueue, self }, params: { input: ConversationInput }) => {
      // A second child with the same id would orphan the first.
      const id = conversationChild(params.input.id);
      if (self.getSnapshot().children[id]) return;
      enqueue.spawnChild('conversation', { id, input: params.input });
    }),
    stopChild: enqueueActions(({ enqueue }, params: { id: string }) => {
      enqueue.stopChild(params.id);
    }),
    /** Replaces the actor of a service or the breaker; a conversation is tracked anew with its next request. */
    replaceCrashedChild: enqueueActions(({ enqueue, self }, params: { id: string }) => {
      enqueue.stopChild(params.id);
      if (SERVICES.has(params.id)) {
        const name = params.id as ServiceName;
        enqueue.assign(({ context }) => ({ services: withDown(context, name, 'the service broke') }));
        if (self.getSnapshot().matches('stopping')) enqueue.raise({ type: 'service.closed', name });
        else enqueue.spawnChild('service', { id: name, input: { name, parent: self } });
      }
      if (params.id === BREAKER) enqueue.spawnChild('breaker', { id: BREAKER });
      enqueue.assign(({ context }) => ({ crashes: context.crashes + 1 }));
    }),
    stopChildren: enqueueActions(({ enqueue, self }) => {
      for (const id of Object.keys(self.getSnapshot().children)) enqueue.stopChild(id);
    }),
  },
}).createMachine({
  id: 'supervisor',
  context: { services: { forwarder: DOWN, redirector: DOWN, store: DOWN, dashboard: DOWN }, closed: [], crashes: 0 },
  entry: spawnChild('breaker', { id: BREAKER }),
  initial: 'starting',
  output: ({ context }) => {
    const refused = LISTENERS.map((name) => context.services[name]).find(
      (listener) => listener.port === null && listener.reason !== null,
    );
    return { startFailure: refused?.reason ?? null };
  },
  on: {
    'conversation.opened': {
      actions: { type: 'openConversation', params: ({ event }) => ({ input: event.input }) },
    },
    'conversation.closed': {
      actions: { type: 'stopChild', params: ({ event }) => ({ id: conversationChild(event.id) }) },
    },
    'xstate.done.actor.*': { actions: { type: 'stopChild', params: ({ event }: ChildEnded) => childOf(event) } },
    'xstate.error.actor.*': {
      actions: { type: 'replaceCrashedChild', params: ({ event }: ChildEnded) => childOf(event) },
    },
    'service.up': {
      actions: { type: 'recordUp', params: ({ event }) => ({ name: event.name, port: event.port }) },
    },
    'service.down': {
      actions: { type: 'recordDown', params: ({ event }) => ({ name: event.name, reason: event.reason }) },
    },
    'service.closed': { actions: { type: 'recordClosed', params: ({ event }) => ({ name: event.name }) } },
    'shutdown.requested': '.stopping',
  },
  states: {
    starting: {
      // The store is open before the first request can arrive.
      entry: { type: 'startService', params: { name: 'store' } },
      initial: 'forwarder',
      on: {
        'service.down': {
          guard: { type: 'isFailedStart', params: ({ event }) => ({ name: event.name, hasBeenUp: event.hasBeenUp }) },
          target: 'stopping',
          actions: { type: 'recordDown', params: ({ event }) => ({ name: event.name, reason: event.reason }) },
        },
      },
      states: {
        forwarder: {
          entry: { type: 'startService', params: { name: 'forwarder' } },
          on: {
            'service.up': {
              // `service.up` of the store is recorded by the root state.
              guard: { type: 'isForwarder', params: ({ event }) => ({ name: event.name }) },
              target: 'redirector',
              actions: { type: 'recordUp', params: ({ event }) => ({ name: event.name, port: event.port }) },
            },
          },
        },
        redirector: {
          entry: { type: 'startService', params: { name: 'redirector' } },
          on: {
            'service.up': {
              // `service.up` of a forwarder that failed and was restarted is recorded by the root state.
              guard: { type: 'isRedirector', params: ({ event }) => ({ name: event.name }) },
              target: '#supervisor.running',
              actions: { type: 'recordUp', params: ({ event }) => ({ name: event.name, port: event.port }) },
            },
          },
        },
      },
    },
    running: {
      entry: { type: 'startService', params: { name: 'dashboard' } },
      description: 'Both listeners have been up; a service that fails is restarted.',
    },
    stopping: {
      description: 'No connection is accepted; requests in progress end, and the state of the conversations is saved.',
      on: { 'shutdown.requested': {} },
      initial: 'draining',
      states: {
        draining: {
          entry: [
            { type: 'stopService', params: { name: 'redirector' } },
            { type: 'stopService', params: { name: 'forwarder' } },
            { type: 'stopService', params: { name: 'dashboard' } },
          ],
          always: { guard: 'areListenersClosed', target: 'saving' },
        },
        saving: {
          entry: { type: 'stopService', params: { name: 'store' } },
          always: { guard: 'areAllClosed', target: '#supervisor.stopped' },
        },
      },
    },
    stopped: { type: 'final', entry: 'stopChildren' },
  },
});

export type SupervisorActor = ActorRefFrom<typeof supervisorMachine>;
