/** A supervisor on a simulated clock, whose services the test opens, breaks and closes itself. */
import { createActor, enqueueActions, fromCallback, fromPromise, SimulatedClock, type SnapshotFrom } from 'xstate';
import { conversationMachine, type ConversationActor } from '../../machines/conversation.ts';
import type { CheckpointCallInput, CheckpointRef, ConversationInput } from '../../machines/conversation-events.ts';
import { serviceMachine, type ServiceName } from '../../machines/service.ts';
import { conversationChild, supervisorMachine, type SupervisorActor } from '../../machines/supervisor.ts';
import { conversationId } from '../../machines/units.ts';
import { INPUT } from './conversation-rig.ts';
import { settle, type TransitionRecorder } from './walk.ts';

interface Deferred<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** What became of one service's sockets. Each step takes the newest attempt. */
export class FakeService {
  binds = 0;
  closes = 0;
  #binding: Deferred<{ port: number | null }> | undefined;
  #closing: Deferred<undefined> | undefined;
  #fail: ((event: { type: 'service.failed'; readonly reason: string }) => void) | undefined;
  readonly #port: number | null;
  /** A willing one starts and closes by itself. */
  willing: boolean;

  constructor(port: number | null, manner: 'held' | 'willing' = 'held') {
    this.#port = port;
    this.willing = manner === 'willing';
  }

  bind(): Promise<{ port: number | null }> {
    this.binds += 1;
    if (this.willing) return Promise.resolve({ port: this.#port });
    return new Promise((resolve, reject) => (this.#binding = { resolve, reject }));
  }

  watch(sendBack: (event: { type: 'service.failed'; readonly reason: string }) => void): void {
    this.#fail = sendBack;
  }

  close(): Promise<undefined> {
    this.closes += 1;
    if (this.willing) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => (this.#closing = { resolve, reject }));
  }

  bound(): Promise<void> {
    this.#binding?.resolve({ port: this.#port });
    return settle();
  }

  refused(error: unknown = new Error('EADDRINUSE')): Promise<void> {
    this.#binding?.reject(error);
    return settle();
  }

  failed(reason = 'EMFILE'): Promise<void> {
    this.#fail?.({ type: 'service.failed', reason });
    return settle();
  }

  /** Makes the service's own machine throw: its next state reads a value that cannot be read. */
  broken(): Promise<void> {
    this.#fail?.(poisoned({ type: 'service.failed' as const }, 'reason'));
    return settle();
  }

  closed(): Promise<void> {
    this.#closing?.resolve(undefined);
    return settle();
  }

  notClosed(): Promise<void> {
    this.#closing?.reject(new Error('already gone'));
    return settle();
  }
}

/** An event that throws when `field` is looked at: every action and guard that needs it throws. */
export function poisoned<T extends object, Field extends string>(event: T, field: Field): T & Record<Field, never> {
  return Object.defineProperty({ ...event }, field, {
    get: () => {
      throw new Error(`poisoned ${field}`);
    },
  }) as T & Record<Field, never>;
}

export class SupervisorRig {
  readonly clock = new SimulatedClock();
  readonly forwarder = new FakeService(8443);
  readonly redirector = new FakeService(8080);
  readonly store = new FakeService(null);
  readonly dashboard = new FakeService(null, 'willing');
  readonly actor: SupervisorActor;
  /** Errors that reached the root: there must never be one. */
  readonly errors: unknown[] = [];
  /** Services whose machine throws when it reports that it has closed. */
  readonly breaksOnClose = new Set<ServiceName>();
  readonly calls: Deferred<CheckpointRef>[] = [];

  constructor(recorder: TransitionRecorder) {
    const fakes = {
      forwarder: this.forwarder,
      redirector: this.redirector,
      store: this.store,
      dashboard: this.dashboard,
    };
    const service = serviceMachine.provide({
      actors: {
        start: fromPromise(({ input }) => fakes[input.name].bind()),
        watch: fromCallback(({ input, sendBack }) => fakes[input.name].watch(sendBack)),
        close: fromPromise(({ input }) => fakes[input.name].close()),
      },
      actions: {
        reportClosed: enqueueActions(({ context: { name, parent }, enqueue }) => {
          if (this.breaksOnClose.has(name)) throw new Error('broke while closing');
          enqueue.sendTo(parent, { type: 'service.closed', name });
        }),
      },
    });
    const computeCheckpoint = fromPromise<CheckpointRef, CheckpointCallInput>(
      () => new Promise((resolve, reject) => this.calls.push({ resolve, reject })),
    );
    const conversation = conversationMachine.provide({ actors: { computeCheckpoint } });
    this.actor = createActor(supervisorMachine.provide({ actors: { service, conversation } }), {
      clock: this.clock,
      inspect: recorder.inspect,
    });
    this.actor.subscribe({ error: (error: unknown) => this.errors.push(error) });
    this.actor.start();
  }

  get snapshot() {
    return this.actor.getSnapshot();
  }

  get value() {
    return this.snapshot.value;
  }

  /** Ids of the supervisor's children, except store, dashboard and breaker. */
  get children(): string[] {
    return Object.keys(this.snapshot.children)
      .filter((name) => !['store', 'dashboard', 'breaker'].includes(name))
      .sort();
  }

  /** In which state a service's machine is; undefined where there is none. */
  serviceState(name: ServiceName): string | undefined {
    const child = this.snapshot.children[name];
    return child === undefined ? undefined : (child.getSnapshot() as SnapshotFrom<typeof serviceMachine>).value;
  }

  open(id: string, input: Partial<ConversationInput> = {}): this {
    this.actor.send({ type: 'conversation.opened', input: { ...INPUT, ...input, id: conversationId(id) } });
    return this;
  }

  conversation(id: string): ConversationActor | undefined {
    return this.snapshot.children[conversationChild(conversationId(id))] as ConversationActor | undefined;
  }

  /** Both listeners listen. */
  async run(): Promise<this> {
    await this.forwarder.bound();
    await this.redirector.bound();
    return this;
  }
}
