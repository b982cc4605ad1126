/**
 * What the tests of the machines share: which transitions a machine declares, which of them were taken by running
 * actors, and paths (from `xstate/graph`) that lead over every edge of a state graph.
 */
import type { ActorLogic, AnyStateMachine, EventObject, InspectionEvent, Snapshot } from 'xstate';
import { adjacencyMapToArray, getAdjacencyMap } from 'xstate/graph';

/** The parts of XState's own node and transition types that are read here. */
interface TransitionLike {
  readonly eventType: string;
  readonly source: NodeLike;
}
interface NodeLike {
  readonly id: string;
  readonly key: string;
  readonly type: string;
  readonly states: Readonly<Record<string, NodeLike>>;
  readonly transitions: ReadonlyMap<string, readonly TransitionLike[]>;
  readonly always?: readonly (TransitionLike & { readonly guard?: unknown })[] | undefined;
}

const rootOf = (machine: AnyStateMachine): NodeLike => machine.root as NodeLike;

function nodesOf(node: NodeLike): NodeLike[] {
  return [node, ...Object.values(node.states).flatMap(nodesOf)];
}

/** One name per candidate: two guarded alternatives of one event are two transitions. */
function nameOf(transition: TransitionLike): string {
  const { source, eventType } = transition;
  const siblings = source.always?.includes(transition) ? source.always : (source.transitions.get(eventType) ?? []);
  const event = eventType === '' ? 'always' : eventType;
  return `${source.id} | ${event} | ${siblings.indexOf(transition)}`;
}

/** Every transition a machine declares: of events, timers, invoked actors, and without any event. */
export function declaredTransitions(machine: AnyStateMachine): string[] {
  return nodesOf(rootOf(machine)).flatMap((node) =>
    [...[...node.transitions.values()].flat(), ...(node.always ?? [])].map(nameOf),
  );
}

/** True for a state in which nobody ever rests: it is always left at once. */
const isTransient = (node: NodeLike): boolean =>
  node.always?.some((candidate) => candidate.guard === undefined) ?? false;

/** Every state value a machine can rest in by its declaration, as the JSON of the value. */
export function declaredValues(machine: AnyStateMachine): string[] {
  const valuesOf = (node: NodeLike): unknown[] => {
    const children = Object.values(node.states).filter((child) => !isTransient(child));
    if (node.type === 'parallel') {
      return children.reduce<object[]>(
        (combined, child) =>
          combined.flatMap((value) => valuesOf(child).map((inner) => ({ ...value, [child.key]: inner }))),
        [{}],
      );
    }
    return children.flatMap((child): unknown[] =>
      Object.keys(child.states).length === 0 ? [child.key] : valuesOf(child).map((inner) => ({ [child.key]: inner })),
    );
  };
  return valuesOf(rootOf(machine)).map((value) => JSON.stringify(value));
}

/** Remembers which transitions running actors took: give `inspect` to `createActor`. */
export class TransitionRecorder {
  readonly #taken = new Set<string>();

  readonly inspect = (event: InspectionEvent): void => {
    if (event.type !== '@xstate.microstep') return;
    for (const transition of event._transitions as unknown as TransitionLike[]) this.#taken.add(nameOf(transition));
  };

  /** Which of a machine's transitions nobody has taken yet. */
  missing(machine: AnyStateMachine): string[] {
    return declaredTransitions(machine).filter((name) => !this.#taken.has(name));
  }
}

/** One edge of a state graph. */
export interface Edge<State, Event> {
  readonly from: State;
  readonly event: Event;
  readonly to: State;
  /** The shortest way to it, itself included. */
  readonly path: readonly { readonly event: Event; readonly to: State }[];
}

/** Every edge of the graph of `logic`, where `key` tells which of its states count as one. */
export function edgesOf<State extends Snapshot<unknown>, Event extends EventObject, Input>(
  logic: ActorLogic<State, Event, Input>,
  options: {
    readonly input: Input;
    readonly events: (state: State) => readonly Event[];
    readonly key: (state: State) => string;
  },
): Edge<State, Event>[] {
  const { input, key } = options;
  const events = (state: State): Event[] => [...options.events(state)];
  const map = getAdjacencyMap(logic, { input, events, serializeState: key, limit: 100_000 });
  const list = adjacencyMapToArray(map);
  // The map lists the states breadth first, so the first edge to a state ends the shortest path to it.
  const firstTo = new Map<string, Edge<State, Event>>();
  const initial = list[0]?.state;
  return list.map(({ state: from, event, nextState: to }) => {
    const before = from === initial ? undefined : firstTo.get(key(from));
    const edge: Edge<State, Event> = {
      from,
      event,
      to,
      get path() {
        return [...(before?.path ?? []), { event, to }];
      },
    };
    const toKey = key(to);
    if (!firstTo.has(toKey)) firstTo.set(toKey, edge);
    return edge;
  });
}

/** Lets every promise that is due settle, and what follows from it. */
export const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
