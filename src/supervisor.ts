/** The supervisor's actor with the real services and checkpoint calls. */
import { assign, createActor, fromCallback, fromPromise, toPromise } from 'xstate';
import type { BreakerActor } from '../machines/breaker.ts';
import { retryPause } from '../machines/conversation-calculations.ts';
import { conversationMachine } from '../machines/conversation.ts';
import { serviceMachine, type ServiceName } from '../machines/service.ts';
import { BREAKER, conversationChild, supervisorMachine, type SupervisorActor } from '../machines/supervisor.ts';
import { milliseconds } from '../machines/units.ts';
import type { CheckpointCalls } from './checkpoint/calls.ts';
import { loggedBreakerMachine } from './checkpoint/gate.ts';
import type { ActorHost } from './conversations/actors.ts';
import { messageOf } from './errors.ts';
import type { PublishFact } from './facts.ts';
import type { Log } from './log.ts';
import type { Service } from './services.ts';

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

function whenRunning(supervisor: SupervisorActor): Promise<void> {
  return new Promise((resolve) => {
    const subscription = supervisor.subscribe((snapshot) => {
      if (!snapshot.matches('running')) return;
      subscription.unsubscribe();
      resolve();
    });
  });
}

/** A supervisor that has been started. */
export interface RunningSupervisor {
  /** Resolves once all listeners listen. Rejects with an Error when the supervisor stopped before. */
  readonly started: Promise<void>;
  /** Resolves once everything has stopped. */
  stop(): Promise<void>;
}

export function runSupervisor(supervisor: SupervisorActor): RunningSupervisor {
  const stopped = toPromise(supervisor);
  stopped.catch(() => undefined); // logged by the supervisor's observer; stop() rejects with it
  const running = whenRunning(supervisor);
  supervisor.start();
  return {
    started: Promise.race([running, stopped]).then((output) => {
      if (output !== undefined) throw new Error(output.startFailure ?? 'the proxy stopped before it ran');
    }),
    async stop() {
      supervisor.send({ type: 'shutdown.requested' });
      await stopped;
    },
  };
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
