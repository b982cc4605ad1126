/**
 * A statechart as the layout library takes it, and what is drawn from its answer. Pure: where text is measured it is
 * counted, for everything is set in one monospaced face.
 *
 * States are boxes, nested; a transition that stays where it is, is a line inside its box, as UML has it; transitions
 * between the same two states share one arrow.
 */
import type { ElkEdgeSection, ElkExtendedEdge, ElkNode } from 'elkjs/lib/elk-api.js';
import type { GraphEdge, GraphNode, MachineGraph } from '../contract.ts';

/** Sizes in the drawing's own units. */
export const TITLE = 24;
export const LINE = 15;
const CHAR = 6.7;
const TITLE_CHAR = 8;
const PAD = 10;
const DOT = 9;

/** A line of text in a box or at an arrow. `edge`: the transition that it tells of. */
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
  /** Transitions that stay in this state. */
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

/** The dot from which a compound state is entered, and its arrow. */
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
 * What a transition says: its event, and its guard in a line below, for long lines make wide charts. Its actions are told
 * by its tooltip, or no chart would fit a screen.
 */
export function linesOf({ id, label, guard }: GraphEdge, mark = ''): Line[] {
  const line = (text: string): Line => ({ text, tone: 'plain', edge: id });
  return [line(`${mark}${label}`), ...(guard === null ? [] : [line(`${mark === '' ? '' : '  '}[${guard}]`)])];
}

const selfTransitions = (node: GraphNode, edges: readonly GraphEdge[]): GraphEdge[] =>
  edges.filter(({ source, target }) => source === node.id && target === node.id);

/** What stands inside a state's box. */
function boxLinesOf(node: GraphNode, edges: readonly GraphEdge[]): Line[] {
  const about = (text: string): Line => ({ text, tone: 'quiet', edge: null });
  return [
    ...node.invokes.map(({ src }) => ({ text: `⚙ ${src}`, tone: 'plain', edge: null }) as const),
    ...(node.entry.length > 0 ? [about(`entry / ${node.entry.join(', ')}`)] : []),
    ...(node.exit.length > 0 ? [about(`exit / ${node.exit.join(', ')}`)] : []),
    ...selfTransitions(node, edges).flatMap((edge) => linesOf(edge, edge.moves ? '↻ ' : '· ')),
  ];
}

const widthOf = (lines: readonly Line[]): number => Math.max(0, ...lines.map(({ text }) => text.length)) * CHAR;

interface LayoutGraph {
  readonly root: ElkNode;
  readonly boxLines: ReadonlyMap<string, readonly Line[]>;
  readonly arrows: ReadonlyMap<string, readonly GraphEdge[]>;
}

const initialMarkerId = (id: string): string => `${id}#entrance`;

/** The graph as ELK takes it. */
export function layoutGraphOf({ nodes, edges }: MachineGraph): LayoutGraph {
  const boxLines = new Map(nodes.map((node) => [node.id, boxLinesOf(node, edges)]));
  const kin = new NodeHierarchy(nodes);
  const made = new Map<string, ElkNode>();
  const root: ElkNode = { id: '#root', layoutOptions: { ...LAYERED, ...ROOT }, children: [], edges: [] };
  /** An arrow belongs to the innermost box that holds both its ends. */
  const holderOf = (source: string, target: string): ElkNode =>
    made.get(kin.commonAncestor(source, target) ?? '') ?? root;
  // Regions that lie below each other are best flat; a chart of one region fits its place best as a column.
  const direction = nodes.some(({ type }) => type === 'parallel') ? 'RIGHT' : 'DOWN';
  Object.assign(root.layoutOptions ?? {}, { 'elk.direction': direction });
  for (const node of nodes) {
    const elk = elkNode(node, boxLines.get(node.id) ?? [], direction);
    const parent = (node.parent === null ? null : made.get(node.parent)) ?? root;
    made.set(node.id, elk);
    parent.children?.push(elk);
    if (node.initial === null) continue;
    elk.children?.push({ id: initialMarkerId(node.id), width: DOT, height: DOT });
    elk.edges?.push({ id: initialMarkerId(node.id), sources: [initialMarkerId(node.id)], targets: [node.initial] });
  }
  // Regions that no arrow leaves are laid out each for itself and packed: beside each other they would fit no screen.
  for (const node of nodes) {
    const elk = made.get(node.id);
    if (node.type !== 'parallel' || elk === undefined || !kin.regionsAreClosed(node.id, edges)) continue;
    Object.assign(elk.layoutOptions ?? {}, PACKED);
    // A frame around each, for arrows from a region to what is inside of it are no business of the region's inside.
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
    const label = { id: `${id}#label`, text: id, width: widthOf(lines) + 8, height: lines.length * LINE + 4 };
    holderOf(source, target).edges?.push({ id, sources: [source], targets: [target], labels: [label] });
  }
  return { root, boxLines, arrows };
}

/** Who is inside whom. */
class NodeHierarchy {
  readonly #parents: ReadonlyMap<string, string | null>;

  constructor(nodes: readonly GraphNode[]) {
    this.#parents = new Map(nodes.map(({ id, parent }) => [id, parent]));
  }

  /** A node and all that it is inside of, from the outermost. */
  path(id: string): string[] {
    const path: string[] = [];
    for (let at: string | null | undefined = id; at != null; at = this.#parents.get(at)) path.unshift(at);
    return path;
  }

  /** The innermost box with both in it; an arrow between a box and something inside of it belongs to that box. */
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

  /** Whether every arrow that begins or ends in a region of `parallel` stays within that region. */
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

/** For every box with something in it: ELK hands down none of these. */
const INSIDE = {
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
  ...INSIDE,
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
  const width = Math.max(node.key.length * TITLE_CHAR + 2 * PAD + 8, widthOf(lines) + 2 * PAD, 72);
  const height = TITLE + lines.length * LINE + (lines.length > 0 ? 8 : 4);
  const compound = node.type === 'compound' || node.type === 'parallel';
  if (!compound) return { id: node.id, width, height };
  return {
    id: node.id,
    children: [],
    edges: [],
    layoutOptions: {
      ...INSIDE,
      'elk.direction': direction,
      'elk.padding': `[top=${height + 12},left=16,bottom=16,right=16]`,
      'elk.nodeSize.constraints': 'MINIMUM_SIZE',
      'elk.nodeSize.minimum': `(${width},${height})`,
    },
  };
}

/**
 * Where one should look: where the last of the transitions `taken` led to; else the first active state that has none
 * inside of it. Null when nothing is active.
 */
export function focusOf({ boxes, arrows }: Diagram, active: readonly string[], taken: readonly string[]): Box | null {
  const moving = arrows.flatMap(({ edges }) => edges);
  const led = taken.toReversed().flatMap((id) => moving.find((edge) => edge.id === id)?.target ?? []);
  const lit = active.filter((id) => !active.some((other) => other.startsWith(`${id}.`)));
  const wanted = [...led.filter((id) => lit.includes(id)), ...lit][0];
  return boxes.find(({ node }) => node.id === wanted) ?? null;
}

/** What is drawn, from the layout. */
export function diagramOf(graph: MachineGraph, plan: LayoutGraph, laidOut: ElkNode): Diagram {
  const placed = new Map<string, ElkNode>();
  const laid: ElkExtendedEdge[] = [];
  const collect = (node: ElkNode): void => {
    placed.set(node.id, node);
    laid.push(...(node.edges ?? []));
    node.children?.forEach(collect);
  };
  collect(laidOut);
  const byId = new Map(graph.nodes.map((node) => [node.id, node]));
  const boxes = graph.nodes.map((node): Box => {
    const { x = 0, y = 0, width = 0, height = 0 } = placed.get(node.id) ?? {};
    const region = node.parent !== null && byId.get(node.parent)?.type === 'parallel';
    return {
      node,
      x,
      y,
      width,
      height,
      lines: plan.boxLines.get(node.id) ?? [],
      edges: selfTransitions(node, graph.edges),
      region,
    };
  });
  const arrows: Arrow[] = [];
  const initialMarkers: InitialMarker[] = [];
  for (const edge of laid) {
    const path = pathOf(edge.sections ?? []);
    const group = plan.arrows.get(edge.id);
    if (group === undefined) {
      const { x = 0, y = 0 } = placed.get(edge.id) ?? {};
      initialMarkers.push({ id: edge.id, x: x + DOT / 2, y: y + DOT / 2, path });
      continue;
    }
    const { x = 0, y = 0, width = 0 } = edge.labels?.[0] ?? {};
    arrows.push({ id: edge.id, edges: group, path, label: { x, y, width, lines: group.flatMap((it) => linesOf(it)) } });
  }
  return { width: laidOut.width ?? 0, height: laidOut.height ?? 0, boxes, arrows, initialMarkers };
}

interface Point {
  readonly x: number;
  readonly y: number;
}

const CORNER = 7;

/** The arrow's line, with its corners rounded. */
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
  const share = Math.min(CORNER, length / 2) / length;
  return { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share };
}
