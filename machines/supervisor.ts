/**
 * The supervisor: owns the two listeners and every conversation, and survives all of them.
 *
 * Start: the forwarder first, the redirector once the forwarder listens, so that no tunnel leads nowhere.
 * A listener that cannot be bound during the start stops the start; one that fails later is bound again with backoff.
 * Stop: both listeners stop accepting and drain, then the conversations end. Both at once, because the tunnels that the
 * redirector waits for end when the forwarder lets go of them.
 */
import { assign, enqueueActions, setup, type ActorRefFrom, type SnapshotFrom } from 'xstate';
import { conversationMachine } from './conversation.ts';
import type { ConversationInput } from './conversation-events.ts';
import { listenerMachine, type ListenerName, type ListenerReport } from './listener.ts';
import type { ConversationId } from './units.ts';

export type SupervisorEvent =
  | ListenerReport
  /** A conversation was seen for the first time. Opening one that is open already changes nothing. */
  | { readonly type: 'conversation.opened'; readonly input: ConversationInput }
  | { readonly type: 'conversation.closed'; readonly id: ConversationId }
  | { readonly type: 'shutdown.requested' };

export interface ListenerStatus {
  readonly up: boolean;
  readonly port: number | null;
  readonly reason: string | null;
}

export interface SupervisorContext {
  readonly listeners: Readonly<Record<ListenerName, ListenerStatus>>;
  /** Listeners that have closed for good. */
  readonly closed: readonly ListenerName[];
  /** Conversations and listeners whose own machine ended by a thrown error, for `/health` and tests. */
  readonly crashes: number;
}

/** How a supervisor ends. `startFailure` holds the reason when it never got to run. */
export interface SupervisorOutput {
  readonly startFailure: string | null;
}

/** Name of a conversation among the supervisor's children. */
export const conversationChild = (id: ConversationId): string => `conversation:${id}`;

const DOWN: ListenerStatus = { up: false, port: null, reason: null };
const LISTENERS: ReadonlySet<string> = new Set<ListenerName>(['forwarder', 'redirector']);

interface ChildEnded {
  readonly event: { readonly type: string; readonly actorId?: unknown };
}

/** Which child an `xstate.done.actor.<id>` or `xstate.error.actor.<id>` event is about. */
function childOf(event: ChildEnded['event']): { id: string } {
  return { id: typeof event.actorId === 'string' ? event.actorId : event.type.split('.').slice(3).join('.') };
}

/** The listeners' status with one of them down. Its port is kept: clients know it. */
function withDown(
  { listeners }: SupervisorContext,
  name: ListenerName,
  reason: string,
): SupervisorContext['listeners'] {
  return { ...listeners, [name]: { up: false, port: listeners[name].port, reason } };
}

export const supervisorMachine = setup({
  types: {} as { context: SupervisorContext; events: SupervisorEvent; output: SupervisorOutput },
  actors: { conversation: conversationMachine, listener: listenerMachine },
  guards: {
    isRedirector: (_, params: { name: ListenerName }) => params.name === 'redirector',
    wasNeverBound: (_, params: { everBound: boolean }) => !params.everBound,
    bothClosed: ({ context }) => context.closed.length === LISTENERS.size,
  },
  actions: {
    startListener: enqueueActions(({ enqueue, self }, params: { name: ListenerName }) => {
      enqueue.spawnChild('listener', { id: params.name, input: { name: params.name, parent: self } });
    }),
    stopListener: enqueueActions(({ enqueue, self }, params: { name: ListenerName }) => {
      const child = self.getSnapshot().children[params.name];
      if (child) enqueue.sendTo(child, { type: 'listener.stop' });
      else enqueue.raise({ type: 'listener.closed', name: params.name });
    }),
    noteListening: assign(({ context }, params: { name: ListenerName; port: number }) => ({
      listeners: { ...context.listeners, [params.name]: { up: true, port: params.port, reason: null } },
    })),
    noteClosed: assign(({ context }, params: { name: ListenerName }) => ({
      closed: [...context.closed.filter((name) => name !== params.name), params.name],
      listeners: { ...context.listeners, [params.name]: { ...context.listeners[params.name], up: false } },
    })),
    noteDown: assign(({ context }, params: { name: ListenerName; reason: string }) => ({
      listeners: withDown(context, params.name, params.reason),
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
    /** A listener's machine itself broke: a new one takes its place. A conversation is let go. */
    replaceChild: enqueueActions(({ enqueue, self }, params: { id: string }) => {
      enqueue.stopChild(params.id);
      if (LISTENERS.has(params.id)) {
        const name = params.id as ListenerName;
        enqueue.assign(({ context }) => ({ listeners: withDown(context, name, 'the listener broke') }));
        if (self.getSnapshot().matches('stopping')) enqueue.raise({ type: 'listener.closed', name });
        else enqueue.spawnChild('listener', { id: name, input: { name, parent: self } });
      }
      enqueue.assign(({ context }) => ({ crashes: context.crashes + 1 }));
    }),
    closeConversations: enqueueActions(({ enqueue, self }) => {
      for (const id of Object.keys(self.getSnapshot().children)) enqueue.stopChild(id);
    }),
  },
}).createMachine({
  id: 'supervisor',
  context: { listeners: { forwarder: DOWN, redirector: DOWN }, closed: [], crashes: 0 },
  initial: 'starting',
  output: ({ context }) => {
    const refused = Object.values(context.listeners).find(
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
    'listener.listening': {
      actions: { type: 'noteListening', params: ({ event }) => ({ name: event.name, port: event.port }) },
    },
    'listener.down': {
      actions: { type: 'noteDown', params: ({ event }) => ({ name: event.name, reason: event.reason }) },
    },
    'listener.closed': { actions: { type: 'noteClosed', params: ({ event }) => ({ name: event.name }) } },
    'shutdown.requested': '.stopping',
  },
  states: {
    starting: {
      initial: 'forwarder',
      on: {
        'listener.down': {
          guard: { type: 'wasNeverBound', params: ({ event }) => ({ everBound: event.everBound }) },
          target: 'stopping',
          actions: { type: 'noteDown', params: ({ event }) => ({ name: event.name, reason: event.reason }) },
        },
      },
      states: {
        forwarder: {
          entry: { type: 'startListener', params: { name: 'forwarder' } },
          on: {
            'listener.listening': {
              target: 'redirector',
              actions: { type: 'noteListening', params: ({ event }) => ({ name: event.name, port: event.port }) },
            },
          },
        },
        redirector: {
          entry: { type: 'startListener', params: { name: 'redirector' } },
          on: {
            'listener.listening': {
              // A forwarder that failed meanwhile and came back is noted as such, by the root.
              guard: { type: 'isRedirector', params: ({ event }) => ({ name: event.name }) },
              target: '#supervisor.running',
              actions: { type: 'noteListening', params: ({ event }) => ({ name: event.name, port: event.port }) },
            },
          },
        },
      },
    },
    running: { description: 'Both listeners have listened; each is bound again when it fails.' },
    stopping: {
      description: 'Nothing new is accepted; what is under way is finished.',
      entry: [
        { type: 'stopListener', params: { name: 'redirector' } },
        { type: 'stopListener', params: { name: 'forwarder' } },
      ],
      on: { 'shutdown.requested': {} },
      always: { guard: 'bothClosed', target: 'stopped' },
    },
    stopped: { type: 'final', entry: 'closeConversations' },
  },
});

export type SupervisorActor = ActorRefFrom<typeof supervisorMachine>;
export type SupervisorSnapshot = SnapshotFrom<typeof supervisorMachine>;
