/**
 * Looks into the running actors: who there is, and what each event made of whom. Taps XState's inspection only while
 * somebody looks; then it costs some microseconds per event, and otherwise nothing. A throw in an inspector would come
 * out where an event is sent, so none leaves here.
 */
import type { AnyActorRef, InspectionEvent } from 'xstate';
import type { ActorView, InspectionRecord, InspectorView, MachineGraph } from '../../../web/contract.ts';
import { actorView, graphOf, statesOf, statusOf, type Inspected } from './actors.ts';
import { contextOf, payloadOf } from './redact.ts';

/** Records that are kept for looking back. */
const CAPACITY = 2_000;

type EventRecord = Extract<InspectionRecord, { readonly kind: 'event' }>;
type Unnumbered<R> = R extends InspectionRecord ? Omit<R, 'seq'> : never;

/** An event on its way: told when it is sent, complete when its receiver has taken it. */
interface Underway {
  readonly event: object;
  record: Omit<EventRecord, 'seq'>;
  readonly edges: string[];
}

export interface InspectorOptions {
  /** The root of the actor system. */
  readonly root: () => AnyActorRef;
  readonly now: () => number;
  /** Called after records were added. */
  readonly onRecords: () => void;
  readonly onError: (error: unknown) => void;
}

export class Inspector {
  readonly #options: InspectorOptions;
  #watching = 0;
  #stop: (() => void) | null = null;
  #seq = 0;
  #records: InspectionRecord[] = [];
  readonly #actors = new Map<string, ActorView>();
  readonly #machines: Record<string, MachineGraph> = {};
  /** What one event has set off so far, in the order in which it was sent or happened. */
  #round: (Underway | Unnumbered<InspectionRecord>)[] = [];
  /** By receiver: the events of this round that it has not taken yet. It takes them in this order. */
  readonly #waiting = new Map<string, Underway[]>();

  constructor(options: InspectorOptions) {
    this.#options = options;
  }

  /** Begins to look, or goes on looking, until the returned function is called. */
  watch(): () => void {
    this.#watching += 1;
    if (this.#stop === null) this.#begin();
    let watching = true;
    return () => {
      if (!watching) return;
      watching = false;
      this.#watching -= 1;
      if (this.#watching === 0) this.#end();
    };
  }

  view(): InspectorView {
    return {
      machines: { ...this.#machines },
      actors: [...this.#actors.values()].filter(({ status }) => status === 'active'),
      records: this.#records.slice(-CAPACITY),
    };
  }

  /** Number of the newest record. */
  get newest(): number {
    return this.#seq;
  }

  /** Records after `seq`, oldest first. */
  after(seq: number): readonly InspectionRecord[] {
    const missing = this.#seq - seq;
    return missing <= 0 ? [] : this.#records.slice(-missing);
  }

  /** True for an actor that is one of `sessions`, or below one. */
  isWithin(session: string, sessions: ReadonlySet<string>): boolean {
    for (let at: string | null = session; at !== null; at = this.#actors.get(at)?.parent ?? null) {
      if (sessions.has(at)) return true;
    }
    return false;
  }

  #begin(): void {
    const root = this.#options.root();
    this.#meet(root);
    const subscription = root.system.inspect((event: InspectionEvent) => {
      try {
        this.#take(event);
      } catch (error) {
        this.#options.onError(error);
      }
    });
    this.#stop = () => subscription.unsubscribe();
  }

  #end(): void {
    this.#stop?.();
    this.#stop = null;
    this.#records = [];
    this.#round = [];
    this.#waiting.clear();
    this.#actors.clear();
  }

  /** Takes up an actor that was there before, and all below it. */
  #meet(actor: AnyActorRef): void {
    this.#note(actor);
    const snapshot: unknown = actor.getSnapshot();
    if (typeof snapshot !== 'object' || snapshot === null || !('children' in snapshot)) return;
    for (const child of Object.values(snapshot.children as Readonly<Record<string, AnyActorRef | undefined>>)) {
      if (child !== undefined) this.#meet(child);
    }
  }

  #note(actor: Inspected): ActorView {
    const view = actorView(actor);
    this.#actors.set(view.session, view);
    const graph = graphOf(actor);
    if (graph !== null) this.#machines[graph.graph.id] ??= graph.graph;
    return view;
  }

  #take(told: InspectionEvent): void {
    const actor = told.actorRef as unknown as Inspected;
    switch (told.type) {
      case '@xstate.event':
        if (told.event.type === 'xstate.init') this.#started(actor);
        else this.#sent(actor, told.event, told.sourceRef?.sessionId ?? null);
        return;
      case '@xstate.microstep': {
        const graph = graphOf(actor);
        const edges = told._transitions.flatMap((transition) => graph?.edgesOf(transition) ?? []);
        this.#waiting.get(actor.sessionId)?.[0]?.edges.push(...edges);
        return;
      }
      case '@xstate.snapshot':
        this.#taken(actor, told.event, told.snapshot);
        return;
      default:
        return;
    }
  }

  #started(actor: Inspected): void {
    this.#add({ kind: 'started', at: this.#options.now(), actor: this.#note(actor) });
  }

  #sent(actor: Inspected, event: { readonly type: string }, sender: string | null): void {
    const states = this.#actors.get(actor.sessionId)?.states ?? [];
    const record: Omit<EventRecord, 'seq'> = {
      kind: 'event',
      at: this.#options.now(),
      sender,
      receiver: actor.sessionId,
      type: event.type,
      payload: payloadOf(event),
      before: states,
      after: states,
      edges: [],
      context: {},
    };
    const entry: Underway = { event, record, edges: [] };
    const waiting = this.#waiting.get(actor.sessionId);
    if (waiting === undefined) this.#waiting.set(actor.sessionId, [entry]);
    else waiting.push(entry);
    this.#add(entry);
  }

  #taken(actor: Inspected, event: object, snapshot: unknown): void {
    const before = this.#actors.get(actor.sessionId);
    const after = statesOf(snapshot);
    const status = statusOf(snapshot);
    const waiting = this.#waiting.get(actor.sessionId);
    const entry = waiting?.[0];
    if (entry?.event === event) {
      waiting?.shift();
      const states = before?.states ?? [];
      entry.record = { ...entry.record, before: states, after, context: contextOf(snapshot) };
    }
    if (before === undefined) return;
    this.#actors.set(actor.sessionId, { ...before, states: after, status });
    if (status === 'active' || before.status !== 'active') return;
    this.#add({ kind: 'ended', at: this.#options.now(), session: actor.sessionId, status });
  }

  /** All that one event sets off happens in one go; what is left of it then will not be taken by anybody. */
  #add(entry: Underway | Unnumbered<InspectionRecord>): void {
    if (this.#round.length === 0) queueMicrotask(() => this.#close());
    this.#round.push(entry);
  }

  #close(): void {
    const round = this.#round;
    this.#round = [];
    this.#waiting.clear();
    if (this.#stop === null) return;
    for (const entry of round) {
      this.#seq += 1;
      const record = 'event' in entry ? { ...entry.record, edges: entry.edges } : entry;
      this.#records.push({ ...record, seq: this.#seq });
    }
    if (this.#records.length >= 2 * CAPACITY) this.#records = this.#records.slice(-CAPACITY);
    this.#forgetEnded();
    this.#options.onRecords();
  }

  /** Ended actors are looked up by `isWithin` for records that are on their way, and no longer. */
  #forgetEnded(): void {
    if (this.#actors.size < 2 * CAPACITY) return;
    for (const [session, { status }] of this.#actors) if (status !== 'active') this.#actors.delete(session);
  }
}
