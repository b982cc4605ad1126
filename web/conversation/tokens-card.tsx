/** The chart of the context in use over time, with the thresholds as lines and events as marks. */
import type { JSX } from 'preact';
import { useMemo, useRef } from 'preact/hooks';
import type uPlot from 'uplot';
import type { ConversationDetail, ConversationView, SeriesMark } from '../contract.ts';
import { clockTime, count, plural, short } from '../format.ts';
import { axisStyle, Chart, latestValue, timeSeries } from '../components/chart.tsx';
import { colorOf } from '../state/theme.ts';
import { MARK_NAME, MARK_TONE } from '../labels.ts';

const HEIGHT = 240;

interface TokensCardProps {
  readonly view: ConversationView;
  readonly detail: ConversationDetail | null;
}

export function TokensCard({ view, detail }: TokensCardProps): JSX.Element {
  const samples = detail?.samples ?? [];
  const kinds = [...new Set((detail?.marks ?? []).map(({ kind }) => kind))];
  return (
    <section class="card tokens-card">
      <header>
        <h2>Tokens over time</h2>
        <ul class="legend align-end">
          {kinds.map((kind) => (
            <li key={kind} class={MARK_TONE[kind]}>
              <MarkSymbol kind={kind} /> {MARK_NAME[kind]}
            </li>
          ))}
        </ul>
      </header>
      <div class="body">
        {samples.length === 0 ? (
          <p class="placeholder muted">{detail === null ? 'Loading …' : 'The chart starts with the first answer.'}</p>
        ) : (
          <TokensChart view={view} samples={samples} marks={detail?.marks ?? []} />
        )}
      </div>
    </section>
  );
}

const MARK_SYMBOL: Readonly<Record<SeriesMark['kind'], string>> = {
  checkpoint: '◆',
  failed: '✕',
  swap: '⇄',
  compaction: '▼',
  replaced: '↩',
  reset: '○',
};

const MarkSymbol = ({ kind }: { readonly kind: SeriesMark['kind'] }): JSX.Element => (
  <span aria-hidden="true">{MARK_SYMBOL[kind]}</span>
);

interface TokensChartProps {
  readonly view: ConversationView;
  readonly samples: ConversationDetail['samples'];
  readonly marks: readonly SeriesMark[];
}

function TokensChart({ view, samples, marks }: TokensChartProps): JSX.Element {
  // The plot's hooks outlive a render, so they read the current values from here.
  const latest = useRef({ view, marks });
  latest.current = { view, marks };
  const data = useMemo<uPlot.AlignedData>(
    () => [samples.map(({ at }) => at / 1_000), samples.map(({ used }) => used)],
    [samples, marks, view.marks],
  );
  const last = samples.at(-1);
  const events = marks.map(({ kind, at }) => `${MARK_NAME[kind]} at ${clockTime(at)}`).slice(-8);
  const label = `Tokens in use after ${plural(samples.length, 'answer')}, now ${count(last?.used ?? 0)}. ${events.join('; ')}`;
  return <Chart label={label} height={HEIGHT} data={data} shape="tokens" options={() => plotOptions(latest)} />;
}

interface Latest {
  readonly current: { readonly view: ConversationView; readonly marks: readonly SeriesMark[] };
}

function plotOptions(latest: Latest): Omit<uPlot.Options, 'width' | 'height'> {
  const axis = axisStyle();
  return {
    cursor: { y: false, points: { size: 7 } },
    legend: { live: true },
    scales: {
      x: { time: true, range: (_, min, max) => timeRange(min, max, latest.current.marks) },
      y: { range: (_, _min, max) => [0, maximumOf(max, latest.current.view)] },
    },
    axes: [
      { ...axis, size: 30, values: (_, splits) => splits.map((at) => clockTime(at * 1_000)), space: 90 },
      { ...axis, size: 48, values: (_, splits) => splits.map((value) => short(value)) },
    ],
    series: [
      timeSeries('Time'),
      {
        label: 'Tokens in use',
        stroke: colorOf('wal'),
        fill: translucent(colorOf('wal')),
        width: 2,
        points: { show: true, size: 5, fill: colorOf('wal') },
        value: (plot, value: number | null) => count(value ?? latestValue(plot, 1)),
      },
    ],
    hooks: { draw: [(plot) => drawMarks(plot, latest.current)] },
  };
}

/** Seconds. Covers all samples and marks, and at least a minute. */
function timeRange(min: number, max: number, marks: readonly SeriesMark[]): [number, number] {
  const times = marks.map(({ at }) => at / 1_000);
  const [from, to] = [Math.min(min, ...times), Math.max(max, ...times)];
  const pad = Math.max((60 - (to - from)) / 2, (to - from) * 0.02);
  return [from - pad, to + pad];
}

/** A little above the highest mark, so that the thresholds are visible before they are reached. */
function maximumOf(max: number, view: ConversationView): number {
  const highest = view.marks === null ? 0 : Math.max(view.marks.swap, view.marks.client);
  return Math.max(max, highest, 1) * 1.12;
}

const translucent = (rgb: string): string => rgb.replace('rgb(', 'rgba(').replace(')', ', 0.1)');

function drawMarks(plot: uPlot, { view, marks }: Latest['current']): void {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui`;
  ctx.lineWidth = ratio;
  if (view.marks !== null) {
    const { checkpoint, swap, client } = view.marks;
    const lines: { name: string; at: number; color: string; dash: [number, number]; align: 'left' | 'right' }[] = [
      { name: 'checkpoint', at: checkpoint, color: 'wal', dash: [5, 4], align: 'left' },
      { name: 'swap', at: swap, color: 'swap', dash: [5, 4], align: 'left' },
    ];
    if (client !== swap)
      lines.push({ name: 'Claude Code compacts', at: client, color: 'muted', dash: [2, 3], align: 'right' });
    for (const { name, at, color, dash, align } of lines) {
      const y = plot.valToPos(at, 'y', true);
      ctx.strokeStyle = ctx.fillStyle = colorOf(color);
      ctx.setLineDash(dash.map((length) => length * ratio));
      drawLine(ctx, bbox.left, y, bbox.left + bbox.width, y);
      ctx.textAlign = align;
      ctx.fillText(name, bbox.left + (align === 'left' ? 4 * ratio : bbox.width - 4 * ratio), y - 4 * ratio);
    }
  }
  ctx.textAlign = 'center';
  ctx.setLineDash([]);
  for (const { at, kind } of marks) {
    const x = plot.valToPos(at / 1_000, 'x', true);
    ctx.strokeStyle = ctx.fillStyle = colorOf(MARK_TONE[kind]);
    drawLine(ctx, x, bbox.top + 14 * ratio, x, bbox.top + bbox.height);
    ctx.fillText(MARK_SYMBOL[kind], x, bbox.top + 10 * ratio);
  }
  ctx.restore();
}

function drawLine(ctx: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number): void {
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
}
