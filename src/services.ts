/**
 * The four services that the supervisor owns: the two listeners, the store and the dashboard. Each one can fail alone and
 * is started again alone (machines/supervisor.ts); this file connects their machines with the real sockets and files.
 */
import { assign, createActor, fromCallback, fromPromise } from 'xstate';
import { retryPause } from '../machines/conversation-calculations.ts';
import { conversationMachine } from '../machines/conversation.ts';
import { serviceMachine, type ServiceName } from '../machines/service.ts';
import type { BreakerActor } from '../machines/breaker.ts';
import { BREAKER, conversationChild, supervisorMachine, type SupervisorActor } from '../machines/supervisor.ts';
import { milliseconds } from '../machines/units.ts';
import type { Access } from './admin/access/access.ts';
import type { CheckpointCalls } from './checkpoint/calls.ts';
import { loggedBreakerMachine } from './checkpoint/gate.ts';
import type { Config } from './config/config.ts';
import type { ActorHost } from './conversations/actors.ts';
import type { Dashboard } from './dashboard/dashboard.ts';
import { messageOf } from './errors.ts';
import type { PublishFact } from './facts.ts';
import type { Forwarder } from './forwarder/forwarder.ts';
import type { Log } from './log.ts';
import type { Redirector } from './redirector/redirector.ts';
import type { CompactionHistory } from './store/history.ts';
import type { StoreService } from './store/store-service.ts';

/** A part of the proxy that can fail and be started again by itself. */
export interface Service {
  /** Resolves with the port that it listens on; null when it has none. */
  start(): Promise<number | null>;
  /** Calls `onFailed` when it fails after its start. Returns a function that ends the subscription. */
  onFailure(onFailed: (error: Error) => void): () => void;
  close(): Promise<void>;
}

/** Where the listeners are bound. Filled in as they start; a port that was chosen once is kept, because clients know it. */
export interface BoundAddresses {
  readonly ports: Partial<Record<ServiceName, number>>;
  /** The address behind `config.host`, which may be a name. */
  address: string;
}

export interface ServicesOptions {
  readonly config: Config;
  readonly log: Log;
  readonly access: Access;
  readonly bound: BoundAddresses;
  readonly forwarder: Forwarder;
  readonly redirector: Redirector;
  readonly store: StoreService;
  readonly dashboard: Dashboard;
  readonly history: CompactionHistory;
}

/** The services, ready to be started by the supervisor. */
export function createServices(options: ServicesOptions): Record<ServiceName, Service> {
  const { access, bound, config, dashboard, forwarder, history, log, redirector, store } = options;
  const configured = { forwarder: config.dashboardPort, redirector: config.proxyPort };
  const listener = (name: keyof typeof configured, socket: Forwarder | Redirector): Service => ({
    async start() {
      const { address, port } = await socket.listen(config.host, bound.ports[name] ?? configured[name]);
      bound.ports[name] = port;
      bound.address = address;
      log.info('listener.listening', { listener: name, host: config.host, port });
      return port;
    },
    onFailure: (onFailed) => socket.onFailure(onFailed),
    close: () => socket.close(),
  });
  return {
    forwarder: listener('forwarder', forwarder),
    redirector: listener('redirector', redirector),
    store: {
      start() {
        store.start();
        dashboard.remember(history);
        return Promise.resolve(null);
      },
      onFailure: (onFailed) => store.onFailure(onFailed),
      close() {
        store.close();
        return Promise.resolve();
      },
    },
    dashboard: {
      start() {
        dashboard.open(forwarder.pages, access);
        return Promise.resolve(null);
      },
      onFailure: (onFailed) => dashboard.onFailure(onFailed),
      close() {
        dashboard.close();
        return Promise.resolve();
      },
    },
  };
}

export interface SupervisorOptions {
  readonly services: Record<ServiceName, Service>;
  readonly calls: CheckpointCalls;
  readonly publish: PublishFact;
  readonly log: Log;
}

/** The supervisor's actor with its real services and checkpoint calls, not yet started. */
export function createSupervisor({ calls, log, publish, services }: SupervisorOptions): SupervisorActor {
  const supervisor = createActor(
    supervisorMachine.provide({
      actors: {
        breaker: loggedBreakerMachine(log),
        conversation: conversationMachine.provide({
          actors: { computeCheckpoint: fromPromise(({ input, signal }) => calls.compute(input, signal)) },
          actions: {
            setRetryPause: assign(({ context }) => ({ retryPause: milliseconds(retryPause(context, Math.random())) })),
            onRetryScheduled({ context: { id, retryPause: pause } }) {
              if (pause !== null) publish({ type: 'checkpoint.postponed', conversation: id, pause });
            },
          },
        }),
        service: serviceMachine.provide({
          actors: {
            start: fromPromise(async ({ input }) => ({ port: await services[input.name].start() })),
            watch: fromCallback(({ input, sendBack }) =>
              services[input.name].onFailure((error) => {
                sendBack({ type: 'service.failed', reason: error.message });
              }),
            ),
            close: fromPromise(async ({ input }) => {
              await services[input.name].close();
              return undefined;
            }),
          },
        }),
      },
    }),
  );
  supervisor.subscribe({
    error: (error: unknown) => log.error('supervisor.failed', { message: messageOf(error) }),
  });
  return supervisor;
}

/** Resolves once all listeners listen. */
export function whenRunning(supervisor: SupervisorActor): Promise<void> {
  return new Promise((resolve) => {
    const subscription = supervisor.subscribe((snapshot) => {
      if (!snapshot.matches('running')) return;
      subscription.unsubscribe();
      resolve();
    });
  });
}

/** The circuit breaker; undefined before the start and after the end of the supervisor. */
export const breakerOf = (supervisor: SupervisorActor): BreakerActor | undefined =>
  supervisor.getSnapshot().children[BREAKER] as BreakerActor | undefined;

/** The conversations' actors as the supervisor's children. The supervisor is made later than its users. */
export function supervisedActors(supervisor: () => SupervisorActor): ActorHost {
  const get: ActorHost['get'] = (id) =>
    supervisor().getSnapshot().children[conversationChild(id)] as ReturnType<ActorHost['get']>;
  return {
    get,
    open(input) {
      supervisor().send({ type: 'conversation.opened', input });
      return get(input.id);
    },
    close: (id) => supervisor().send({ type: 'conversation.closed', id }),
  };
}
