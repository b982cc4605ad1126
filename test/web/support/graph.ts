/** A machine as the contract draws it, for the fake proxy: what the pages are developed against before the real one. */
import type { AnyStateMachine, AnyStateNode, AnyTransitionDefinition } from 'xstate';
import { toDirectedGraph, type DirectedGraphEdge, type DirectedGraphNode } from 'xstate/graph';
import type { GraphEdge, GraphNode, MachineGraph } from '../../../web/contract.ts';

export interface DrawnMachine {
  readonly graph: MachineGraph;
  /** Ids of the edges of a transition. */
  readonly edgesOf: ReadonlyMap<AnyTransitionDefinition, readonly string[]>;
}

const nameOf = (thing: unknown): string => {
  if (typeof thing === 'string') return thing;
  if (typeof thing === 'function') return thing.name || 'inline';
  const { type } = (thing ?? {}) as { type?: unknown };
  return typeof type === 'string' ? type : 'inline';
};

const isShown = (action: string): boolean => !/^(xstate\.|raise$|cancel$)/.test(action);

export function drawMachine(machine: AnyStateMachine): DrawnMachine {
  const nodes: GraphNode[] = [];
  const edges: GraphEdge[] = [];
  const edgesOf = new Map<AnyTransitionDefinition, string[]>();
  const walk = (node: DirectedGraphNode): void => {
    nodes.push(nodeView(node.stateNode));
    for (const edge of node.edges) {
      const view = edgeView(edge);
      edges.push(view);
      edgesOf.set(edge.transition, [...(edgesOf.get(edge.transition) ?? []), view.id]);
    }
    node.children.forEach(walk);
  };
  walk(toDirectedGraph(machine));
  return { graph: { id: machine.id, nodes, edges }, edgesOf };
}

function nodeView(node: AnyStateNode): GraphNode {
  return {
    id: node.id,
    key: node.key,
    parent: node.parent?.id ?? null,
    type: node.type,
    initial: node.type === 'compound' ? (node.initial.target[0]?.id ?? null) : null,
    description: node.description ?? null,
    entry: node.entry.map(nameOf).filter(isShown),
    exit: node.exit.map(nameOf).filter(isShown),
    invokes: node.invoke.map(({ id, src }) => ({ id, src: nameOf(src) })),
    delays: node.after.map(({ delay }) => String(delay)),
  };
}

function edgeView({ id, source, target, transition }: DirectedGraphEdge): GraphEdge {
  const {
    eventType,
    guard,
    actions,
    target: to,
  } = transition as {
    eventType: string;
    guard: unknown;
    actions: readonly unknown[];
    target: unknown;
  };
  const [, kind] = /^xstate\.(after|done|error)\./.exec(eventType) ?? [];
  const after = /^xstate\.after\.([^.]+)\./.exec(eventType)?.[1];
  const invoked = source.invoke[0] === undefined ? '' : nameOf(source.invoke[0].src);
  return {
    id,
    source: source.id,
    target: target.id,
    label:
      eventType === ''
        ? 'always'
        : kind === 'after'
          ? `after ${after ?? ''}`
          : kind === undefined
            ? eventType
            : `${kind}: ${invoked}`,
    event: eventType,
    kind: eventType === '' ? 'always' : ((kind ?? 'event') as GraphEdge['kind']),
    guard: guard === undefined ? null : nameOf(guard),
    actions: actions.map(nameOf).filter(isShown),
    moves: to !== undefined,
  };
}
