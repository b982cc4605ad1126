/** A supervisor on a simulated clock, whose listeners' sockets the test opens, breaks and closes itself. */
import { createActor, fromCallback, fromPromise, SimulatedClock, type SnapshotFrom } from 'xstate';
import { conversationMachine, type ConversationActor } from '../../machines/conversation.ts';
import type { CheckpointCallInput, CheckpointRef, ConversationInput } from '../../machines/conversation-events.ts';
import { listenerMachine, type ListenerName } from '../../machines/listener.ts';
import { conversationChild, supervisorMachine, type SupervisorActor } from '../../machines/supervisor.ts';
import { conversationId } from '../../machines/units.ts';
import { INPUT } from './conversation-rig.ts';
import { settle, type TransitionRecorder } from './walk.ts';

interface Deferred<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** What became of one listener's sockets. Each step takes the newest attempt. */
export class FakeListener {
  binds = 0;
  closes = 0;
  #binding: Deferred<{ port: number }> | undefined;
  #closing: Deferred<undefined> | undefined;
  #fail: ((event: { type: 'listener.failed'; readonly reason: string }) => void) | undefined;
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  bind(): Promise<{ port: number }> {
    this.binds += 1;
    return new Promise((resolve, reject) => (this.#binding = { resolve, reject }));
  }

  watch(sendBack: (event: { type: 'listener.failed'; readonly reason: string }) => void): void {
    this.#fail = sendBack;
  }

  close(): Promise<undefined> {
    this.closes += 1;
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
    this.#fail?.({ type: 'listener.failed', reason });
    return settle();
  }

  /** Makes the listener's own machine throw: its next state reads a value that cannot be read. */
  broken(): Promise<void> {
    this.#fail?.(poisoned({ type: 'listener.failed' as const }, 'reason'));
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
  readonly forwarder = new FakeListener(8443);
  readonly redirector = new FakeListener(8080);
  readonly actor: SupervisorActor;
  /** Errors that reached the root: there must never be one. */
  readonly errors: unknown[] = [];
  /** Listeners whose machine throws when it reports that it has closed. */
  readonly breaksOnClose = new Set<ListenerName>();
  readonly calls: Deferred<CheckpointRef>[] = [];

  constructor(recorder: TransitionRecorder) {
    const fakes = { forwarder: this.forwarder, redirector: this.redirector };
    const listener = listenerMachine.provide({
      actors: {
        bind: fromPromise(({ input }) => fakes[input.name].bind()),
        watch: fromCallback(({ input, sendBack }) => fakes[input.name].watch(sendBack)),
        close: fromPromise(({ input }) => fakes[input.name].close()),
      },
      actions: {
        reportClosed: ({ context }) => {
          if (this.breaksOnClose.has(context.name)) throw new Error('broke while closing');
          context.parent.send({ type: 'listener.closed', name: context.name });
        },
      },
    });
    const computeCheckpoint = fromPromise<CheckpointRef, CheckpointCallInput>(
      () => new Promise((resolve, reject) => this.calls.push({ resolve, reject })),
    );
    const conversation = conversationMachine.provide({ actors: { computeCheckpoint } });
    this.actor = createActor(supervisorMachine.provide({ actors: { listener, conversation } }), {
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

  /** Names of what runs below the supervisor. */
  get children(): string[] {
    return Object.keys(this.snapshot.children).sort();
  }

  /** In which state a listener's machine is; undefined where there is none. */
  listenerState(name: ListenerName): string | undefined {
    const child = this.snapshot.children[name];
    return child === undefined ? undefined : (child.getSnapshot() as SnapshotFrom<typeof listenerMachine>).value;
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
