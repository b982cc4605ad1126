/** A statechart, drawn: nested boxes and arrows, what is active lit, what was taken last marked. Pans and zooms. */
import { useSignal } from '@preact/signals';
import { select } from 'd3-selection';
import { zoom, zoomIdentity, zoomTransform, type ZoomBehavior } from 'd3-zoom';
import type { JSX } from 'preact';
import { memo } from 'preact/compat';
import { useEffect, useRef } from 'preact/hooks';
import type { GraphEdge, MachineGraph } from '../contract.ts';
import { Icon, type IconName } from '../components/icons.tsx';
import { focusOf, LINE, TITLE, type Arrow, type Box, type Diagram, type Line } from './diagram.ts';
import { layOutDiagram } from './diagram-layout.ts';

const SCALE_EXTENT: readonly [number, number] = [0.15, 3];
/** A chart that is smaller than its place is not blown up. */
const MAX_FIT_SCALE = 1.15;
/** What is written in a chart can be read from here on. A larger one is not shrunk further: it moves to where something happens. */
const MIN_READABLE_SCALE = 0.72;
/** How near to the edge the active state may be before the chart moves. */
const MARGIN = 12;
const ZOOM_STEP = 1.3;
const PAN_STEP = 60;

interface ChartProps {
  readonly graph: MachineGraph;
  /** Ids of the active states. */
  readonly active: readonly string[];
  /** Ids of the transitions that were taken last. */
  readonly taken: readonly string[];
}

export function StateChart({ graph, active, taken }: ChartProps): JSX.Element {
  const diagram = useSignal<Diagram | null>(null);
  const failed = useSignal<string | null>(null);
  useEffect(() => {
    let wanted = true;
    layOutDiagram(graph).then(
      (drawing) => {
        if (wanted) diagram.value = drawing;
      },
      (error: unknown) => {
        if (wanted) failed.value = error instanceof Error ? error.message : String(error);
      },
    );
    return () => (wanted = false);
  }, [graph]);
  if (failed.value !== null) return <p class="placeholder muted">The chart could not be laid out: {failed.value}</p>;
  if (diagram.value === null) return <p class="placeholder muted">Laying out the statechart …</p>;
  const label = `Statechart ${graph.id}. Active: ${active.join(', ') || 'nothing'}`;
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
  const behaviour = useRef<Zoom | null>(null);
  /** Who moves it: it follows what happens, keeps fitting, or stays where somebody has put it. */
  const mode = useRef<'follow' | 'fit' | 'free'>('follow');
  const looked = useRef({ active, taken });
  looked.current = { active, taken };

  /** Puts the chart where its mode wants it; one that follows stays put as long as what is active can be seen. */
  const place = (anew: boolean): void => {
    const { current } = svg;
    if (current === null || behaviour.current === null || mode.current === 'free') return;
    const { clientWidth: width, clientHeight: height } = current;
    if (width === 0 || height === 0) return;
    const fitting = Math.min(MAX_FIT_SCALE, width / diagram.width, height / diagram.height);
    const focus =
      mode.current === 'follow' && fitting < MIN_READABLE_SCALE
        ? focusOf(diagram, looked.current.active, looked.current.taken)
        : null;
    const { current: it } = behaviour;
    if (focus === null) {
      const [left, top] = [(width - diagram.width * fitting) / 2, (height - diagram.height * fitting) / 2];
      it.transform(selection(current), zoomIdentity.translate(left, top).scale(fitting));
      return;
    }
    const now = zoomTransform(current);
    const [x, y] = now.apply([focus.x, focus.y]);
    const [right, bottom] = now.apply([focus.x + focus.width, focus.y + focus.height]);
    const seen = x >= MARGIN && y >= MARGIN && right <= width - MARGIN && bottom <= height - MARGIN;
    if (seen && !anew) return;
    const [left, top] = [
      offset(width, diagram.width * MIN_READABLE_SCALE, (focus.x + focus.width / 2) * MIN_READABLE_SCALE),
      offset(height, diagram.height * MIN_READABLE_SCALE, (focus.y + focus.height / 2) * MIN_READABLE_SCALE),
    ];
    it.transform(selection(current), zoomIdentity.translate(left, top).scale(MIN_READABLE_SCALE));
  };
  const choose = (how: 'follow' | 'fit'): void => {
    mode.current = how;
    place(true);
  };
  const change = (by: (it: Zoom, on: ReturnType<typeof selection>) => void): void => {
    if (svg.current === null || behaviour.current === null) return;
    by(behaviour.current, selection(svg.current));
    mode.current = 'free';
  };

  useEffect(() => {
    const { current } = svg;
    if (current === null) return;
    const it: Zoom = zoom<SVGSVGElement, unknown>()
      .scaleExtent([...SCALE_EXTENT])
      // One finger scrolls the page, two move the chart.
      .filter((event: Event) => !(event instanceof TouchEvent && event.touches.length < 2))
      .on('zoom', (event: { transform: { toString(): string }; sourceEvent: unknown }) => {
        group.current?.setAttribute('transform', event.transform.toString());
        if (event.sourceEvent !== null) mode.current = 'free';
      });
    behaviour.current = it;
    selection(current).call(it);
    place(true);
    const observer = new ResizeObserver(() => place(true));
    observer.observe(current);
    return () => {
      observer.disconnect();
      selection(current).on('.zoom', null);
    };
  }, [diagram]);
  useEffect(() => place(false), [active.join(), taken.join()]);

  const onKey = (event: KeyboardEvent): void => {
    const moves: Readonly<Record<string, () => void>> = {
      '+': () => change((it, on) => it.scaleBy(on, ZOOM_STEP)),
      '=': () => change((it, on) => it.scaleBy(on, ZOOM_STEP)),
      '-': () => change((it, on) => it.scaleBy(on, 1 / ZOOM_STEP)),
      '0': () => choose('fit'),
      f: () => choose('follow'),
      ArrowLeft: () => change((it, on) => it.translateBy(on, PAN_STEP, 0)),
      ArrowRight: () => change((it, on) => it.translateBy(on, -PAN_STEP, 0)),
      ArrowUp: () => change((it, on) => it.translateBy(on, 0, PAN_STEP)),
      ArrowDown: () => change((it, on) => it.translateBy(on, 0, -PAN_STEP)),
    };
    const move = moves[event.key];
    if (move === undefined || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    move();
  };

  return (
    <div class="canvas">
      <svg ref={svg} class="statechart" role="img" aria-label={label} tabindex={0} onKeyDown={onKey}>
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
      <div class="canvas-tools" role="group" aria-label="Chart">
        <ToolButton icon="plus" name="Zoom in" use={() => change((it, on) => it.scaleBy(on, ZOOM_STEP))} />
        <ToolButton icon="minus" name="Zoom out" use={() => change((it, on) => it.scaleBy(on, 1 / ZOOM_STEP))} />
        <ToolButton icon="fit" name="Fit the whole chart" use={() => choose('fit')} />
        <ToolButton icon="follow" name="Keep the active state in sight" use={() => choose('follow')} />
      </div>
    </div>
  );
}

interface ToolButtonProps {
  readonly icon: IconName;
  readonly name: string;
  readonly use: () => void;
}

const ToolButton = ({ icon, name, use }: ToolButtonProps): JSX.Element => (
  <button type="button" class="button icon" aria-label={name} title={name} onClick={use}>
    <Icon name={icon} />
  </button>
);

/** Where a drawing begins within a place, with `middle` of it as near to the place's middle as its edges allow. */
function offset(place: number, drawing: number, middle: number): number {
  if (drawing <= place) return (place - drawing) / 2;
  return Math.min(0, Math.max(place - drawing, place / 2 - middle));
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
    const lit = new Set(active);
    const fired = new Set(taken);
    // What was taken is drawn last, over what it crosses.
    const arrows = [...diagram.arrows].sort((a, b) => Number(isTaken(a, fired)) - Number(isTaken(b, fired)));
    return (
      <>
        {diagram.boxes.map((box) => (
          <StateBox key={box.node.id} box={box} active={lit.has(box.node.id)} taken={fired} />
        ))}
        {diagram.initialMarkers.map(({ id, x, y, path }) => (
          <g key={id} class="initial-marker">
            <circle cx={x} cy={y} r="4.5" />
            <path class="arrow" d={path} marker-end="url(#head-plain)" />
          </g>
        ))}
        {arrows.map((arrow) => (
          <Transition key={arrow.id} arrow={arrow} taken={fired} />
        ))}
      </>
    );
  },
  (a, b) => a.diagram === b.diagram && same(a.active, b.active) && same(a.taken, b.taken),
);

const isTaken = (arrow: Arrow, fired: ReadonlySet<string>): boolean => arrow.edges.some(({ id }) => fired.has(id));

interface BoxProps {
  readonly box: Box;
  readonly active: boolean;
  readonly taken: ReadonlySet<string>;
}

function StateBox({ box, active, taken }: BoxProps): JSX.Element {
  const { node, edges, x, y, width, height, lines, region } = box;
  const kind = node.type === 'atomic' || node.type === 'final' ? 'leaf' : 'group';
  return (
    <g class={`state ${kind} ${node.type} ${region ? 'region' : ''} ${active ? 'active' : ''}`} data-state={node.id}>
      {node.description !== null && <title>{node.description}</title>}
      <rect x={x} y={y} width={width} height={height} rx={kind === 'leaf' ? 8 : 10} />
      {node.type === 'final' && <rect class="inner" x={x + 3} y={y + 3} width={width - 6} height={height - 6} rx="6" />}
      <text class="title" x={x + 10} y={y + 17}>
        {node.key}
      </text>
      <Lines lines={lines} edges={edges} x={x + 10} y={y + TITLE + 9} taken={taken} />
    </g>
  );
}

function Transition({ arrow, taken }: { readonly arrow: Arrow; readonly taken: ReadonlySet<string> }): JSX.Element {
  const { path, label } = arrow;
  const fired = isTaken(arrow, taken);
  return (
    <g class={fired ? 'transition taken' : 'transition'}>
      <path class="arrow" d={path} marker-end={`url(#head-${fired ? 'taken' : 'plain'})`} />
      <rect class="label" x={label.x} y={label.y} width={label.width} height={label.lines.length * LINE + 4} rx="4" />
      <Lines lines={label.lines} edges={arrow.edges} x={label.x + 4} y={label.y + 13} taken={taken} />
    </g>
  );
}

/** What a transition does on its way, for who points at it. */
function ActionsTitle({ of }: { readonly of: GraphEdge | undefined }): JSX.Element | null {
  if (of === undefined || of.actions.length === 0) return null;
  return <title>does {of.actions.join(', ')}</title>;
}

interface LinesProps {
  readonly lines: readonly Line[];
  /** The transitions that the lines tell of. */
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
          y={y + at * LINE}
          xml:space="preserve"
        >
          <ActionsTitle of={edges.find(({ id }) => id === edge)} />
          {text}
        </text>
      ))}
    </>
  );
}
