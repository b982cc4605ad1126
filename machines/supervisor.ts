/**
 * The supervisor: owns the services (two listeners, store, dashboard) and every conversation, and survives all of them.
 *
 * Start: the store; the forwarder; the redirector once the forwarder listens, so that no tunnel leads nowhere. A listener
 * that cannot be bound during the start stops the start. Then the dashboard, for which nobody waits. Whatever fails later,
 * store and dashboard at any time, is started again with backoff, alone.
 * Stop: both listeners stop accepting and drain, at once, because the tunnels that the redirector waits for end when the
 * forwarder lets go of them. Then the store writes the last state of the conversations, and they end.
 */
import { assign, enqueueActions, setup, type ActorRefFrom, type SnapshotFrom } from 'xstate';
import { conversationMachine } from './conversation.ts';
import type { ConversationInput } from './conversation-events.ts';
import { serviceMachine, type ServiceName, type ServiceReport } from './service.ts';
import type { ConversationId } from './units.ts';

export type SupervisorEvent =
  | ServiceReport
  /** A conversation was seen for the first time. Opening one that is open already changes nothing. */
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
  /** Services that have closed for good. */
  readonly closed: readonly ServiceName[];
  /** Conversations and services whose own machine ended by a thrown error, for `/health` and tests. */
  readonly crashes: number;
}

/** How a supervisor ends. `startFailure` holds the reason when it never got to run. */
export interface SupervisorOutput {
  readonly startFailure: string | null;
}

/** Name of a conversation among the supervisor's children. */
export const conversationChild = (id: ConversationId): string => `conversation:${id}`;

const DOWN: ServiceStatus = { up: false, port: null, reason: null };
/** The services that the start depends on, and that drain first when all stops. */
const LISTENERS: readonly ServiceName[] = ['forwarder', 'redirector'];
const SERVICES: ReadonlySet<string> = new Set<ServiceName>([...LISTENERS, 'store', 'dashboard']);

interface ChildEnded {
  readonly event: { readonly type: string; readonly actorId?: unknown };
}

/** Which child an `xstate.done.actor.<id>` or `xstate.error.actor.<id>` event is about. */
function childOf(event: ChildEnded['event']): { id: string } {
  return { id: typeof event.actorId === 'string' ? event.actorId : event.type.split('.').slice(3).join('.') };
}

/** The services' status with one of them down. Its port is kept: clients know it. */
function withDown({ services }: SupervisorContext, name: ServiceName, reason: string): SupervisorContext['services'] {
  return { ...services, [name]: { up: false, port: services[name].port, reason } };
}

export const supervisorMachine = setup({
  types: {} as { context: SupervisorContext; events: SupervisorEvent; output: SupervisorOutput },
  actors: { conversation: conversationMachine, service: serviceMachine },
  guards: {
    isForwarder: (_, params: { name: ServiceName }) => params.name === 'forwarder',
    isRedirector: (_, params: { name: ServiceName }) => params.name === 'redirector',
    isEssential: (_, params: { name: ServiceName; everUp: boolean }) =>
      LISTENERS.includes(params.name) && !params.everUp,
    listenersClosed: ({ context }) => LISTENERS.every((name) => context.closed.includes(name)),
    allClosed: ({ context }) => context.closed.length === SERVICES.size,
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
    noteUp: assign(({ context }, params: { name: ServiceName; port: number | null }) => ({
      services: { ...context.services, [params.name]: { up: true, port: params.port, reason: null } },
    })),
    noteClosed: assign(({ context }, params: { name: ServiceName }) => ({
      closed: [...context.closed.filter((name) => name !== params.name), params.name],
      services: { ...context.services, [params.name]: { ...context.services[params.name], up: false } },
    })),
    noteDown: assign(({ context }, params: { name: ServiceName; reason: string }) => ({
      services: withDown(context, params.name, params.reason),
    })),
    openConversation: enqueueActions(({ enqueue, self }, params: { input: ConversationInput }) => {
      // A second child of the same id would orphan the first.
      const id = conversationChild(params.input.id);
      if (self.getSnapshot().children[id]) return;
      enqueue.spawnChild('conversation', { id, input: params.input });
    }),
    closeChild: enqueueActions(({ enqueue }, params: { id: string }) => {
      enqueue.stopChild(params.id);
    }),
    /** A service's machine itself broke: a new one takes its place. A conversation is let go. */
    replaceChild: enqueueActions(({ enqueue, self }, params: { id: string }) => {
      enqueue.stopChild(params.id);
      if (SERVICES.has(params.id)) {
        const name = params.id as ServiceName;
        enqueue.assign(({ context }) => ({ services: withDown(context, name, 'the service broke') }));
        if (self.getSnapshot().matches('stopping')) enqueue.raise({ type: 'service.closed', name });
        else enqueue.spawnChild('service', { id: name, input: { name, parent: self } });
      }
      enqueue.assign(({ context }) => ({ crashes: context.crashes + 1 }));
    }),
    closeConversations: enqueueActions(({ enqueue, self }) => {
      for (const id of Object.keys(self.getSnapshot().children)) enqueue.stopChild(id);
    }),
  },
}).createMachine({
  id: 'supervisor',
  context: { services: { forwarder: DOWN, redirector: DOWN, store: DOWN, dashboard: DOWN }, closed: [], crashes: 0 },
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
      actions: { type: 'closeChild', params: ({ event }) => ({ id: conversationChild(event.id) }) },
    },
    'xstate.done.actor.*': { actions: { type: 'closeChild', params: ({ event }: ChildEnded) => childOf(event) } },
    'xstate.error.actor.*': { actions: { type: 'replaceChild', params: ({ event }: ChildEnded) => childOf(event) } },
    'service.up': {
      actions: { type: 'noteUp', params: ({ event }) => ({ name: event.name, port: event.port }) },
    },
    'service.down': {
      actions: { type: 'noteDown', params: ({ event }) => ({ name: event.name, reason: event.reason }) },
    },
    'service.closed': { actions: { type: 'noteClosed', params: ({ event }) => ({ name: event.name }) } },
    'shutdown.requested': '.stopping',
  },
  states: {
    starting: {
      // The store is open before the first request can come.
      entry: { type: 'startService', params: { name: 'store' } },
      initial: 'forwarder',
      on: {
        'service.down': {
          guard: { type: 'isEssential', params: ({ event }) => ({ name: event.name, everUp: event.everUp }) },
          target: 'stopping',
          actions: { type: 'noteDown', params: ({ event }) => ({ name: event.name, reason: event.reason }) },
        },
      },
      states: {
        forwarder: {
          entry: { type: 'startService', params: { name: 'forwarder' } },
          on: {
            'service.up': {
              // The store is noted as up by the root.
              guard: { type: 'isForwarder', params: ({ event }) => ({ name: event.name }) },
              target: 'redirector',
              actions: { type: 'noteUp', params: ({ event }) => ({ name: event.name, port: event.port }) },
            },
          },
        },
        redirector: {
          entry: { type: 'startService', params: { name: 'redirector' } },
          on: {
            'service.up': {
              // A forwarder that failed meanwhile and came back is noted as such, by the root.
              guard: { type: 'isRedirector', params: ({ event }) => ({ name: event.name }) },
              target: '#supervisor.running',
              actions: { type: 'noteUp', params: ({ event }) => ({ name: event.name, port: event.port }) },
            },
          },
        },
      },
    },
    running: {
      entry: { type: 'startService', params: { name: 'dashboard' } },
      description: 'Both listeners have listened; each service is started again when it fails.',
    },
    stopping: {
      description: 'Nothing new is accepted; what is under way is finished, and what is known is written.',
      on: { 'shutdown.requested': {} },
      initial: 'draining',
      states: {
        draining: {
          entry: [
            { type: 'stopService', params: { name: 'redirector' } },
            { type: 'stopService', params: { name: 'forwarder' } },
            { type: 'stopService', params: { name: 'dashboard' } },
          ],
          always: { guard: 'listenersClosed', target: 'saving' },
        },
        saving: {
          entry: { type: 'stopService', params: { name: 'store' } },
          always: { guard: 'allClosed', target: '#supervisor.stopped' },
        },
      },
    },
    stopped: { type: 'final', entry: 'closeConversations' },
  },
});

export type SupervisorActor = ActorRefFrom<typeof supervisorMachine>;
export type SupervisorSnapshot = SnapshotFrom<typeof supervisorMachine>;
