/**
 * Converts a statechart into a graph for ELK, and ELK's layout into a diagram. Pure: the width of a text is computed
 * from its length, since the font is monospaced.
 *
 * States are nested boxes. A transition without another target is a line inside its state's box, as in UML; transitions
 * between the same two states share one arrow.
 */
import type { ElkEdgeSection, ElkExtendedEdge, ElkNode } from 'elkjs/lib/elk-api.js';
import type { GraphEdge, GraphNode, MachineGraph } from '../contract.ts';

/** Sizes in the diagram's units. */
export const TITLE_HEIGHT = 24;
export const LINE_HEIGHT = 15;
const CHAR_WIDTH = 6.7;
const TITLE_CHAR_WIDTH = 8;
const PADDING = 10;
const MARKER_SIZE = 9;

/** A line of text in a box or at an arrow. `edge`: the transition that it describes. */
export interface Line {
  readonly text: string;
  readonly tone: 'plain' | 'quiet';
  readonly edge: string | null;
}

export interface Box {
  readonly node: GraphNode;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly lines: readonly Line[];
  /** Transitions from this state to itself. */
  readonly edges: readonly GraphEdge[];
  /** One of several regions that are active together. */
  readonly region: boolean;
}

export interface Arrow {
  readonly id: string;
  readonly edges: readonly GraphEdge[];
  readonly path: string;
  readonly label: { readonly x: number; readonly y: number; readonly width: number; readonly lines: readonly Line[] };
}

/** The dot and the arrow that lead to the initial state of a compound state. */
export interface InitialMarker {
  readonly id: string;
  readonly x: number;
  readonly y: number;
  readonly path: string;
}

export interface Diagram {
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly Box[];
  readonly arrows: readonly Arrow[];
  readonly initialMarkers: readonly InitialMarker[];
}

/**
 * The label of a transition: its event, and its guard in a second line to keep charts narrow. Its actions are in the
 * tooltip for the same reason.
 */
export function linesOf({ id, label, guard }: GraphEdge, mark = ''): Line[] {
  const line = (text: string): Line => ({ text, tone: 'plain', edge: id });
  return [line(`${mark}${label}`), ...(guard === null ? [] : [line(`${mark === '' ? '' : '  '}[${guard}]`)])];
}

const selfTransitions = (node: GraphNode, edges: readonly GraphEdge[]): GraphEdge[] =>
  edges.filter(({ source, target }) => source === node.id && target === node.id);

/** The text inside a state's box. */
function boxLinesOf(node: GraphNode, edges: readonly GraphEdge[]): Line[] {
  const quiet = (text: string): Line => ({ text, tone: 'quiet', edge: null });
  return [
    ...node.invokes.map(({ src }) => ({ text: `⚙ ${src}`, tone: 'plain', edge: null }) as const),
    ...(node.entry.length > 0 ? [quiet(`entry / ${node.entry.join(', ')}`)] : []),
    ...(node.exit.length > 0 ? [quiet(`exit / ${node.exit.join(', ')}`)] : []),
    ...selfTransitions(node, edges).flatMap((edge) => linesOf(edge, edge.moves ? '↻ ' : '· ')),
  ];
}

const widthOf = (lines: readonly Line[]): number => Math.max(0, ...lines.map(({ text }) => text.length)) * CHAR_WIDTH;

interface LayoutGraph {
  readonly root: ElkNode;
  readonly boxLines: ReadonlyMap<string, readonly Line[]>;
  readonly arrows: ReadonlyMap<string, readonly GraphEdge[]>;
}

const initialMarkerId = (id: string): string => `${id}#initial`;

/** The graph in ELK's format. */
export function layoutGraphOf({ nodes, edges }: MachineGraph): LayoutGraph {
  const boxLines = new Map(nodes.map((node) => [node.id, boxLinesOf(node, edges)]));
  const hierarchy = new NodeHierarchy(nodes);
  const elkNodes = new Map<string, ElkNode>();
  const root: ElkNode = { id: '#root', layoutOptions: { ...LAYERED, ...ROOT }, children: [], edges: [] };
  /** ELK wants an arrow in the innermost box that contains both of its ends. */
  const containerOf = (source: string, target: string): ElkNode =>
    elkNodes.get(hierarchy.commonAncestor(source, target) ?? '') ?? root;
  // Stacked regions are most compact as rows, a chart without regions as a column.
  const direction = nodes.some(({ type }) => type === 'parallel') ? 'RIGHT' : 'DOWN';
  Object.assign(root.layoutOptions ?? {}, { 'elk.direction': direction });
  for (const node of nodes) {
    const elk = elkNode(node, boxLines.get(node.id) ?? [], direction);
    const parent = (node.parent === null ? null : elkNodes.get(node.parent)) ?? root;
    elkNodes.set(node.id, elk);
    parent.children?.push(elk);
    if (node.initial === null) continue;
    elk.children?.push({ id: initialMarkerId(node.id), width: MARKER_SIZE, height: MARKER_SIZE });
    elk.edges?.push({ id: initialMarkerId(node.id), sources: [initialMarkerId(node.id)], targets: [node.initial] });
  }
  // Regions without arrows between them are laid out separately and packed, since side by side they are too wide.
  for (const node of nodes) {
    const elk = elkNodes.get(node.id);
    if (node.type !== 'parallel' || elk === undefined || !hierarchy.regionsAreClosed(node.id, edges)) continue;
    Object.assign(elk.layoutOptions ?? {}, PACKED);
    // A frame around each region holds the arrows between the region itself and the states inside it.
    elk.children =
      elk.children?.map((region) => ({
        id: `${region.id}#frame`,
        layoutOptions: { ...LAYERED, 'elk.direction': direction, 'elk.padding': '[top=0,left=0,bottom=0,right=0]' },
        children: [region],
      })) ?? [];
  }
  const arrows = new Map<string, [GraphEdge, ...GraphEdge[]]>();
  for (const edge of edges) {
    if (edge.source === edge.target) continue;
    const id = `${edge.source} → ${edge.target}`;
    const group = arrows.get(id);
    if (group === undefined) arrows.set(id, [edge]);
    else group.push(edge);
  }
  for (const [id, group] of arrows) {
    const [{ source, target }] = group;
    const lines = group.flatMap((edge) => linesOf(edge));
    const label = { id: `${id}#label`, text: id, width: widthOf(lines) + 8, height: lines.length * LINE_HEIGHT + 4 };
    containerOf(source, target).edges?.push({ id, sources: [source], targets: [target], labels: [label] });
  }
  return { root, boxLines, arrows };
}

class NodeHierarchy {
  readonly #parents: ReadonlyMap<string, string | null>;

  constructor(nodes: readonly GraphNode[]) {
    this.#parents = new Map(nodes.map(({ id, parent }) => [id, parent]));
  }

  /** The ancestors of a node, outermost first, and the node itself. */
  path(id: string): string[] {
    const path: string[] = [];
    for (let at: string | null | undefined = id; at != null; at = this.#parents.get(at)) path.unshift(at);
    return path;
  }

  /** The innermost node that contains both; of a node and its descendant, that node itself. */
  commonAncestor(a: string, b: string): string | null {
    const [from, to] = [this.path(a), this.path(b)];
    let shared: string | null = null;
    for (let at = 0; at < from.length && from[at] === to[at]; at += 1) {
      const next = from[at] ?? null;
      if (next === a && next === b) break;
      shared = next;
    }
    return shared;
  }

  /** Whether no arrow connects two regions of `parallel`, or a region with the outside. */
  regionsAreClosed(parallel: string, edges: readonly GraphEdge[]): boolean {
    const regionOf = (id: string): string | null => {
      const path = this.path(id);
      const at = path.indexOf(parallel);
      return at === -1 ? null : (path[at + 1] ?? null);
    };
    return edges.every(({ source, target }) => regionOf(source) === regionOf(target));
  }
}

const ROOT = {
  'elk.json.shapeCoords': 'ROOT',
  'elk.json.edgeCoords': 'ROOT',
  'elk.padding': '[top=8,left=8,bottom=8,right=8]',
};

/** Set on every compound node, since ELK does not inherit them. */
const COMPOUND = {
  'elk.edgeRouting': 'ORTHOGONAL',
  'elk.spacing.nodeNode': '14',
  'elk.spacing.edgeNode': '8',
  'elk.spacing.edgeEdge': '8',
  'elk.spacing.edgeLabel': '2',
  'elk.layered.spacing.nodeNodeBetweenLayers': '12',
  'elk.layered.spacing.edgeNodeBetweenLayers': '8',
  'elk.layered.spacing.edgeEdgeBetweenLayers': '7',
  'elk.layered.nodePlacement.strategy': 'NETWORK_SIMPLEX',
};

const LAYERED = {
  ...COMPOUND,
  'elk.algorithm': 'layered',
  'elk.hierarchyHandling': 'INCLUDE_CHILDREN',
  'elk.layered.considerModelOrder.strategy': 'NODES_AND_EDGES',
};

const PACKED = {
  'elk.algorithm': 'rectpacking',
  'elk.hierarchyHandling': 'SEPARATE_CHILDREN',
  'elk.aspectRatio': '1.6',
  'elk.spacing.nodeNode': '16',
};

function elkNode(node: GraphNode, lines: readonly Line[], direction: 'DOWN' | 'RIGHT'): ElkNode {
  const titleWidth = node.key.length * TITLE_CHAR_WIDTH + 2 * PADDING + 8;
  const width = Math.max(titleWidth, widthOf(lines) + 2 * PADDING, 72);
  const height = TITLE_HEIGHT + lines.length * LINE_HEIGHT + (lines.length > 0 ? 8 : 4);
  const compound = node.type === 'compound' || node.type === 'parallel';
  if (!compound) return { id: node.id, width, height };
  return {
    id: node.id,
    children: [],
    edges: [],
    layoutOptions: {
      ...COMPOUND,
      'elk.direction': direction,
      'elk.padding': `[top=${height + 12},left=16,bottom=16,right=16]`,
      'elk.nodeSize.constraints': 'MINIMUM_SIZE',
      'elk.nodeSize.minimum': `(${width},${height})`,
    },
  };
}

/**
 * The box to keep visible: the innermost active state that the last of the transitions `taken` led to; else the first
 * innermost active state. Null when no state is active.
 */
export function focusOf({ boxes, arrows }: Diagram, active: readonly string[], taken: readonly string[]): Box | null {
  const edges = arrows.flatMap((arrow) => arrow.edges);
  const targets = taken.toReversed().flatMap((id) => edges.find((edge) => edge.id === id)?.target ?? []);
  const innermost = active.filter((id) => !active.some((other) => other.startsWith(`${id}.`)));
  const focus = [...targets.filter((id) => innermost.includes(id)), ...innermost][0];
  return boxes.find(({ node }) => node.id === focus) ?? null;
}

/** The diagram, from the graph that was given to ELK and the layout that ELK returned. */
export function diagramOf(graph: MachineGraph, layoutGraph: LayoutGraph, layout: ElkNode): Diagram {
  const nodes = new Map<string, ElkNode>();
  const edges: ElkExtendedEdge[] = [];
  const collect = (node: ElkNode): void => {
    nodes.set(node.id, node);
    edges.push(...(node.edges ?? []));
    node.children?.forEach(collect);
  };
  collect(layout);
  const byId = new Map(graph.nodes.map((node) => [node.id, node]));
  const boxes = graph.nodes.map((node): Box => {
    const { x = 0, y = 0, width = 0, height = 0 } = nodes.get(node.id) ?? {};
    const region = node.parent !== null && byId.get(node.parent)?.type === 'parallel';
    return {
      node,
      x,
      y,
      width,
      height,
      lines: layoutGraph.boxLines.get(node.id) ?? [],
      edges: selfTransitions(node, graph.edges),
      region,
    };
  });
  const arrows: Arrow[] = [];
  const initialMarkers: InitialMarker[] = [];
  for (const edge of edges) {
    const path = pathOf(edge.sections ?? []);
    const group = layoutGraph.arrows.get(edge.id);
    if (group === undefined) {
      const { x = 0, y = 0 } = nodes.get(edge.id) ?? {};
      initialMarkers.push({ id: edge.id, x: x + MARKER_SIZE / 2, y: y + MARKER_SIZE / 2, path });
      continue;
    }
    const { x = 0, y = 0, width = 0 } = edge.labels?.[0] ?? {};
    arrows.push({ id: edge.id, edges: group, path, label: { x, y, width, lines: group.flatMap((it) => linesOf(it)) } });
  }
  return { width: layout.width ?? 0, height: layout.height ?? 0, boxes, arrows, initialMarkers };
}

interface Point {
  readonly x: number;
  readonly y: number;
}

const CORNER_RADIUS = 7;

/** An arrow's SVG path with rounded corners. */
function pathOf(sections: readonly ElkEdgeSection[]): string {
  return sections
    .map(({ startPoint, bendPoints = [], endPoint }) => {
      const points = [startPoint, ...bendPoints, endPoint];
      return points.map((point, at) => step(points[at - 1], point, points[at + 1])).join('');
    })
    .join('');
}

function step(before: Point | undefined, at: Point, after: Point | undefined): string {
  if (before === undefined) return `M${at.x},${at.y}`;
  if (after === undefined) return `L${at.x},${at.y}`;
  const from = towards(at, before);
  const to = towards(at, after);
  return `L${from.x},${from.y}Q${at.x},${at.y} ${to.x},${to.y}`;
}

function towards(from: Point, to: Point): Point {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  const share = Math.min(CORNER_RADIUS, length / 2) / length;
  return { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share };
}
