/**
 * A statechart as it is drawn, read off the machine that runs: nodes and edges from `toDirectedGraph`, and what stands
 * at them. Nothing of it is written by hand, so it cannot differ from what happens.
 */
import type { AnyStateMachine, AnyTransitionDefinition } from 'xstate';
import { toDirectedGraph } from 'xstate/graph';
import type { GraphEdge, GraphNode, MachineGraph } from '../../../web/contract.ts';

/** A graph, and which of its edges a transition of the machine is. */
export interface ReadGraph {
  readonly graph: MachineGraph;
  readonly edgesOf: (transition: AnyTransitionDefinition) => readonly string[];
}

type DirectedNode = ReturnType<typeof toDirectedGraph>;
type StateNode = DirectedNode['stateNode'];

/** The name of something that XState lets one write as a string, an object with a `type`, or a function. */
function nameOf(reference: unknown): string | null {
  if (typeof reference === 'string') return reference;
  if (typeof reference === 'function') return reference.name === '' ? 'inline' : reference.name;
  if (typeof reference === 'object' && reference !== null && 'type' in reference) return nameOf(reference.type);
  return null;
}

/** Actions by name; those that XState puts in itself, for delays, are none of the author's. */
function actionNames(actions: readonly unknown[]): string[] {
  return actions.flatMap((action) => {
    const name = nameOf(action);
    if (name === null || /^(xstate\.)?(raise|cancel)$/.test(name)) return [];
    return [name.replace(/^xstate\./, '')];
  });
}

const delayName = (delay: string): string => (/^\d+$/.test(delay) ? `${delay} ms` : delay);

/** What an event means that XState makes itself. */
function readEvent(eventType: string, node: StateNode): Pick<GraphEdge, 'kind' | 'label'> {
  if (eventType === '') return { kind: 'always', label: 'always' };
  const [, delay] = /^xstate\.after\.(.*)$/.exec(eventType) ?? [];
  if (delay !== undefined) return { kind: 'after', label: `after ${delayName(delay.replace(`.${node.id}`, ''))}` };
  const [, kind, what = ''] = /^xstate\.(done|error)\.(?:actor|state)\.(.*)$/.exec(eventType) ?? [];
  if (kind !== 'done' && kind !== 'error') return { kind: 'event', label: eventType };
  const invoked = node.invoke.find(({ id }) => id === what);
  return { kind, label: `${kind}: ${nameOf(invoked?.src) ?? (what === '*' ? 'any actor' : what)}` };
}

function edgeOf(id: string, transition: AnyTransitionDefinition, source: StateNode, target: string): GraphEdge {
  const event = String(transition.eventType);
  return {
    id,
    source: source.id,
    target,
    ...readEvent(event, source),
    event,
    guard: nameOf(transition.guard),
    actions: actionNames(transition.actions),
    moves: transition.target !== undefined,
  };
}

const isDelayed = (edge: GraphEdge): boolean => edge.kind === 'after';

function nodeOf(node: StateNode, edges: readonly GraphEdge[]): GraphNode {
  return {
    id: node.id,
    key: node.key,
    parent: node.parent?.id ?? null,
    type: node.type,
    initial: node.type === 'compound' ? (node.initial.target[0]?.id ?? null) : null,
    description: node.description ?? null,
    entry: actionNames(node.entry),
    exit: actionNames(node.exit),
    invokes: node.invoke.map(({ id, src }) => ({ id, src: nameOf(src) ?? id })),
    delays: [...new Set(edges.filter(isDelayed).map(({ label }) => label.replace(/^after /, '')))],
  };
}

/** Reads the statechart of a machine. */
export function readGraph(machine: AnyStateMachine): ReadGraph {
  const nodes: GraphNode[] = [];
  const edges: GraphEdge[] = [];
  const ids = new Map<AnyTransitionDefinition, string[]>();
  const add = (transition: AnyTransitionDefinition, edge: GraphEdge): GraphEdge => {
    edges.push(edge);
    ids.set(transition, [...(ids.get(transition) ?? []), edge.id]);
    return edge;
  };
  const visit = ({ children, edges: declared, stateNode }: DirectedNode): void => {
    const own = declared.map(({ id, target, transition }) =>
      add(transition, edgeOf(id, transition, stateNode, target.id)),
    );
    // Transitions without an event are none of the directed graph's.
    stateNode.always?.forEach((transition, index) => {
      const target = transition.target?.[0]?.id ?? stateNode.id;
      add(transition, edgeOf(`${stateNode.id}:always:${index}`, transition, stateNode, target));
    });
    nodes.push(nodeOf(stateNode, own));
    children.forEach(visit);
  };
  visit(toDirectedGraph(machine.root));
  return { graph: { id: machine.id, nodes, edges }, edgesOf: (transition) => ids.get(transition) ?? [] };
}
