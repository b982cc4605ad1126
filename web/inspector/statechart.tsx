/** A statechart that can be panned and zoomed. Active states and the last transitions are highlighted. */
import { useSignal } from '@preact/signals';
import { select } from 'd3-selection';
import { zoom, zoomIdentity, zoomTransform, type ZoomBehavior } from 'd3-zoom';
import type { JSX } from 'preact';
import { memo } from 'preact/compat';
import { useEffect, useRef } from 'preact/hooks';
import type { GraphEdge, MachineGraph } from '../contract.ts';
import { IconButton } from '../components/icons.tsx';
import { focusOf, LINE_HEIGHT, TITLE_HEIGHT, type Arrow, type Box, type Diagram, type Line } from './diagram.ts';
import { layOutDiagram } from './diagram-layout.ts';

const SCALE_EXTENT: readonly [number, number] = [0.15, 3];
/** Keeps small charts from being enlarged to the whole canvas. */
const MAX_FIT_SCALE = 1.15;
/** The smallest scale with readable text. A chart that needs a smaller one is panned to the active state instead. */
const MIN_READABLE_SCALE = 0.72;
/** The chart is panned when the active state is closer to the edge than this. */
const MARGIN = 12;
const ZOOM_STEP = 1.3;
const PAN_STEP = 60;

interface StatechartProps {
  readonly graph: MachineGraph;
  /** Ids of the active states. */
  readonly active: readonly string[];
  /** Ids of the transitions that were taken last. */
  readonly taken: readonly string[];
}

export function Statechart({ graph, active, taken }: StatechartProps): JSX.Element {
  const diagram = useSignal<Diagram | null>(null);
  const failed = useSignal<string | null>(null);
  useEffect(() => {
    let mounted = true;
    layOutDiagram(graph).then(
      (result) => {
        if (mounted) diagram.value = result;
      },
      (error: unknown) => {
        if (mounted) failed.value = error instanceof Error ? error.message : String(error);
      },
    );
    return () => (mounted = false);
  }, [graph]);
  if (failed.value !== null) return <p class="placeholder muted">The chart could not be laid out: {failed.value}</p>;
  if (diagram.value === null) return <p class="placeholder muted">Laying out the statechart …</p>;
  const label = `Statechart ${graph.id}. Active: ${active.join(', ') || 'none'}`;
  return <Canvas diagram={diagram.value} label={label} active={active} taken={taken} />;
}

interface CanvasProps {
  readonly diagram: Diagram;
  readonly label: string;
  readonly active: readonly string[];
  readonly taken: readonly string[];
}

type Zoom = ZoomBehavior<SVGSVGElement, unknown>;

function Canvas({ diagram, label, active, taken }: CanvasProps): JSX.Element {
  const svg = useRef<SVGSVGElement>(null);
  const group = useRef<SVGGElement>(null);
  const zoomBehavior = useRef<Zoom | null>(null);
  /** The chart follows the active state, fits the canvas, or stays where the user has moved it. */
  const mode = useRef<'follow' | 'fit' | 'free'>('follow');
  const latest = useRef({ active, taken });
  latest.current = { active, taken };

  /** Moves the chart as its mode demands. Following moves it only if the active state is hidden, or with `force`. */
  const align = (force: boolean): void => {
    const { current } = svg;
    if (current === null || zoomBehavior.current === null || mode.current === 'free') return;
    const { clientWidth: width, clientHeight: height } = current;
    if (width === 0 || height === 0) return;
    const fitScale = Math.min(MAX_FIT_SCALE, width / diagram.width, height / diagram.height);
    const focus =
      mode.current === 'follow' && fitScale < MIN_READABLE_SCALE
        ? focusOf(diagram, latest.current.active, latest.current.taken)
        : null;
    const { current: it } = zoomBehavior;
    if (focus === null) {
      const [left, top] = [(width - diagram.width * fitScale) / 2, (height - diagram.height * fitScale) / 2];
      it.transform(selection(current), zoomIdentity.translate(left, top).scale(fitScale));
      return;
    }
    const transform = zoomTransform(current);
    const [x, y] = transform.apply([focus.x, focus.y]);
    const [right, bottom] = transform.apply([focus.x + focus.width, focus.y + focus.height]);
    const visible = x >= MARGIN && y >= MARGIN && right <= width - MARGIN && bottom <= height - MARGIN;
    if (visible && !force) return;
    const [left, top] = [
      offset(width, diagram.width * MIN_READABLE_SCALE, (focus.x + focus.width / 2) * MIN_READABLE_SCALE),
      offset(height, diagram.height * MIN_READABLE_SCALE, (focus.y + focus.height / 2) * MIN_READABLE_SCALE),
    ];
    it.transform(selection(current), zoomIdentity.translate(left, top).scale(MIN_READABLE_SCALE));
  };
  const setMode = (next: 'follow' | 'fit'): void => {
    mode.current = next;
    align(true);
  };
  const change = (by: (it: Zoom, on: ReturnType<typeof selection>) => void): void => {
    if (svg.current === null || zoomBehavior.current === null) return;
    by(zoomBehavior.current, selection(svg.current));
    mode.current = 'free';
  };

  useEffect(() => {
    const { current } = svg;
    if (current === null) return;
    const it: Zoom = zoom<SVGSVGElement, unknown>()
      .scaleExtent([...SCALE_EXTENT])
      // One finger scrolls the page, two pan the chart.
      .filter((event: Event) => !(event instanceof TouchEvent && event.touches.length < 2))
      .on('zoom', (event: { transform: { toString(): string }; sourceEvent: unknown }) => {
        group.current?.setAttribute('transform', event.transform.toString());
        if (event.sourceEvent !== null) mode.current = 'free';
      });
    zoomBehavior.current = it;
    selection(current).call(it);
    align(true);
    const observer = new ResizeObserver(() => align(true));
    observer.observe(current);
    return () => {
      observer.disconnect();
      selection(current).on('.zoom', null);
    };
  }, [diagram]);
  useEffect(() => align(false), [active.join(), taken.join()]);

  const zoomIn = (): void => change((it, on) => it.scaleBy(on, ZOOM_STEP));
  const zoomOut = (): void => change((it, on) => it.scaleBy(on, 1 / ZOOM_STEP));
  const onKeyDown = (event: KeyboardEvent): void => {
    const actions: Readonly<Record<string, () => void>> = {
      '+': zoomIn,
      '=': zoomIn,
      '-': zoomOut,
      '0': () => setMode('fit'),
      f: () => setMode('follow'),
      ArrowLeft: () => change((it, on) => it.translateBy(on, PAN_STEP, 0)),
      ArrowRight: () => change((it, on) => it.translateBy(on, -PAN_STEP, 0)),
      ArrowUp: () => change((it, on) => it.translateBy(on, 0, PAN_STEP)),
      ArrowDown: () => change((it, on) => it.translateBy(on, 0, -PAN_STEP)),
    };
    const action = actions[event.key];
    if (action === undefined || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    action();
  };

  return (
    <div class="canvas">
      <svg ref={svg} class="statechart" role="img" aria-label={label} tabindex={0} onKeyDown={onKeyDown}>
        <defs>
          {['plain', 'taken'].map((kind) => (
            <marker
              key={kind}
              id={`head-${kind}`}
              class={`arrow-head ${kind}`}
              viewBox="0 0 8 8"
              refX="7"
              refY="4"
              markerWidth="7"
              markerHeight="7"
              orient="auto-start-reverse"
              markerUnits="userSpaceOnUse"
            >
              <path d="M0 0.5 8 4 0 7.5z" />
            </marker>
          ))}
        </defs>
        <g ref={group}>
          <Drawing diagram={diagram} active={active} taken={taken} />
        </g>
      </svg>
      <div class="canvas-tools" role="group" aria-label="Chart view">
        <IconButton icon="plus" name="Zoom in" onClick={zoomIn} />
        <IconButton icon="minus" name="Zoom out" onClick={zoomOut} />
        <IconButton icon="fit" name="Fit the whole chart" onClick={() => setMode('fit')} />
        <IconButton icon="follow" name="Track the active state" onClick={() => setMode('follow')} />
      </div>
    </div>
  );
}

/** The offset of a drawing in a canvas that centres `middle` as far as the drawing's edges allow. */
function offset(canvas: number, drawing: number, middle: number): number {
  if (drawing <= canvas) return (canvas - drawing) / 2;
  return Math.min(0, Math.max(canvas - drawing, canvas / 2 - middle));
}

const selection = (svg: SVGSVGElement) => select<SVGSVGElement, unknown>(svg);

interface DrawingProps {
  readonly diagram: Diagram;
  readonly active: readonly string[];
  readonly taken: readonly string[];
}

const same = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((it, at) => it === b[at]);

const Drawing = memo(
  function Drawing({ diagram, active, taken }: DrawingProps): JSX.Element {
    const activeIds = new Set(active);
    const takenIds = new Set(taken);
    // Taken arrows are drawn last, on top of the others.
    const arrows = [...diagram.arrows].sort((a, b) => Number(isTaken(a, takenIds)) - Number(isTaken(b, takenIds)));
    return (
      <>
        {diagram.boxes.map((box) => (
          <StateBox key={box.node.id} box={box} active={activeIds.has(box.node.id)} taken={takenIds} />
        ))}
        {diagram.initialMarkers.map(({ id, x, y, path }) => (
          <g key={id} class="initial-marker">
            <circle cx={x} cy={y} r="4.5" />
            <path class="arrow" d={path} marker-end="url(#head-plain)" />
          </g>
        ))}
        {arrows.map((arrow) => (
          <Transition key={arrow.id} arrow={arrow} taken={takenIds} />
        ))}
      </>
    );
  },
  (a, b) => a.diagram === b.diagram && same(a.active, b.active) && same(a.taken, b.taken),
);

const isTaken = (arrow: Arrow, taken: ReadonlySet<string>): boolean => arrow.edges.some(({ id }) => taken.has(id));

interface BoxProps {
  readonly box: Box;
  readonly active: boolean;
  readonly taken: ReadonlySet<string>;
}

function StateBox({ box, active, taken }: BoxProps): JSX.Element {
  const { node, edges, x, y, width, height, lines, region } = box;
  const kind = node.type === 'atomic' || node.type === 'final' ? 'leaf' : 'group';
  return (
    <g class={`state ${kind} ${region ? 'region' : ''} ${active ? 'active' : ''}`} data-state={node.id}>
      {node.description !== null && <title>{node.description}</title>}
      <rect x={x} y={y} width={width} height={height} rx={kind === 'leaf' ? 8 : 10} />
      {node.type === 'final' && <rect class="inner" x={x + 3} y={y + 3} width={width - 6} height={height - 6} rx="6" />}
      <text class="title" x={x + 10} y={y + 17}>
        {node.key}
      </text>
      <Lines lines={lines} edges={edges} x={x + 10} y={y + TITLE_HEIGHT + 9} taken={taken} />
    </g>
  );
}

function Transition({ arrow, taken }: { readonly arrow: Arrow; readonly taken: ReadonlySet<string> }): JSX.Element {
  const { path, label } = arrow;
  const highlighted = isTaken(arrow, taken);
  const height = label.lines.length * LINE_HEIGHT + 4;
  return (
    <g class={highlighted ? 'transition taken' : 'transition'}>
      <path class="arrow" d={path} marker-end={`url(#head-${highlighted ? 'taken' : 'plain'})`} />
      <rect class="label" x={label.x} y={label.y} width={label.width} height={height} rx="4" />
      <Lines lines={label.lines} edges={arrow.edges} x={label.x + 4} y={label.y + 13} taken={taken} />
    </g>
  );
}

/** The tooltip with a transition's actions. */
function ActionsTitle({ of }: { readonly of: GraphEdge | undefined }): JSX.Element | null {
  if (of === undefined || of.actions.length === 0) return null;
  return <title>Actions: {of.actions.join(', ')}</title>;
}

interface LinesProps {
  readonly lines: readonly Line[];
  /** The transitions that the lines describe. */
  readonly edges: readonly GraphEdge[];
  readonly x: number;
  readonly y: number;
  readonly taken: ReadonlySet<string>;
}

function Lines({ lines, edges, x, y, taken }: LinesProps): JSX.Element {
  return (
    <>
      {lines.map(({ text, tone, edge }, at) => (
        <text
          key={at}
          class={`line ${tone} ${edge !== null && taken.has(edge) ? 'taken' : ''}`}
          x={x}
          y={y + at * LINE_HEIGHT}
          xml:space="preserve"
        >
          <ActionsTitle of={edges.find(({ id }) => id === edge)} />
          {text}
        </text>
      ))}
    </>
  );
}
