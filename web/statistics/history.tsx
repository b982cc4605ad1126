/** The totals over time, one metric at a time, as stacked bars or as a table. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import uPlot from 'uplot';
import type { HistoryBucket } from '../contract.ts';
import { clockTime, count, duration, short } from '../format.ts';
import { axisStyle, Chart, timeSeries } from '../components/chart.tsx';
import { history, type History } from '../state/store.ts';
import { barsOf, stacked } from './bars.ts';
import { colorOf } from '../state/theme.ts';

const HEIGHT = 230;
/** Rows of the table. */
const MAX_ROWS = 24;

interface Series {
  readonly name: string;
  readonly color: string;
  readonly of: (bucket: HistoryBucket) => number;
}

interface View {
  readonly key: string;
  readonly name: string;
  readonly series: readonly Series[];
  readonly format: (value: number) => string;
  /** Distances between grid lines, where multiples of ten are unsuitable. */
  readonly steps?: readonly number[];
}

/** Round durations from 100 ms to two days. */
const DURATION_STEPS = [
  0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 172_800,
].map((seconds) => seconds * 1_000);
const INTEGER_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000];

const sum = (values: Readonly<Record<string, number>>): number => Object.values(values).reduce((a, b) => a + b, 0);

const VIEWS: readonly View[] = [
  {
    key: 'saved',
    name: 'Time saved',
    series: [{ name: 'saved', color: 'good', of: (it) => it.savedMs }],
    format: duration,
    steps: DURATION_STEPS,
  },
  {
    key: 'checkpoints',
    name: 'Checkpoints',
    series: [
      { name: 'made', color: 'wal', of: (it) => it.made },
      { name: 'used', color: 'good', of: (it) => it.used },
      { name: 'wasted', color: 'checkpointing', of: (it) => it.wasted },
      { name: 'failed', color: 'bad', of: (it) => it.failed },
    ],
    format: count,
    steps: INTEGER_STEPS,
  },
  {
    key: 'compactions',
    name: 'Compactions',
    series: [
      { name: 'served by proxy', color: 'good', of: (it) => it.served },
      { name: 'served by API', color: 'checkpointing', of: (it) => it.forwarded },
    ],
    format: count,
    steps: INTEGER_STEPS,
  },
  {
    key: 'tokens',
    name: 'Tokens',
    series: [
      { name: 'cache read', color: 'wal', of: (it) => it.tokens.cacheRead },
      { name: 'cache write', color: 'swap', of: (it) => it.tokens.cacheCreation },
      { name: 'input', color: 'checkpointing', of: (it) => it.tokens.input },
      { name: 'output', color: 'good', of: (it) => it.tokens.output },
    ],
    format: short,
  },
  {
    key: 'requests',
    name: 'Requests',
    series: [{ name: 'requests', color: 'wal', of: (it) => it.requests }],
    format: count,
    steps: INTEGER_STEPS,
  },
  {
    key: 'errors',
    name: 'API errors',
    series: [{ name: 'errors', color: 'bad', of: (it) => sum(it.apiErrors) }],
    format: count,
    steps: INTEGER_STEPS,
  },
];

export function HistoryCard(): JSX.Element {
  const chosen = useSignal('saved');
  const table = useSignal(false);
  const view = VIEWS.find(({ key }) => key === chosen.value);
  const { value } = history;
  return (
    <section class="card history-card">
      <header>
        <h2>History</h2>
        <div class="segments" role="group" aria-label="Metric">
          {VIEWS.map(({ key, name }) => (
            <button key={key} type="button" aria-pressed={key === chosen.value} onClick={() => (chosen.value = key)}>
              {name}
            </button>
          ))}
        </div>
        <span class="align-end">
          <button
            type="button"
            class="button quiet"
            aria-pressed={table.value}
            onClick={() => (table.value = !table.value)}
          >
            Table
          </button>
        </span>
      </header>
      <div class="body">
        {view === undefined || value === null || value.buckets.length === 0 ? (
          <p class="placeholder muted">No data yet. The history starts with the first request.</p>
        ) : table.value ? (
          <HistoryTable view={view} history={value} />
        ) : (
          <Bars key={view.key} view={view} history={value} />
        )}
      </div>
    </section>
  );
}

function Bars({ view, history: it }: { readonly view: View; readonly history: History }): JSX.Element {
  const bars = useMemo(() => barsOf(it, view.series), [it, view]);
  const data = useMemo(() => stacked(bars, view.series.length) as uPlot.AlignedData, [bars]);
  const all = view.series.map(({ name }, at) => {
    const total = bars.reduce((before, bar) => before + (bar.values[at] ?? 0), 0);
    return `${view.format(total)} ${name}`;
  });
  return (
    <Chart
      label={`${view.name} over time: ${all.join(', ')}.`}
      height={HEIGHT}
      data={data}
      shape={view.key}
      options={() => barOptions(view)}
    />
  );
}

function barOptions(view: View): Omit<uPlot.Options, 'width' | 'height'> {
  const bars = uPlot.paths.bars?.({ size: [0.7, 28], radius: 0.15 });
  const axis = axisStyle();
  return {
    cursor: { y: false, points: { show: false } },
    legend: { live: true },
    scales: {
      x: { time: true, range: (plot, min, max) => paddedRange(plot, min, max) },
      y: { range: (_, _min, max) => [0, Math.max(1, max * 1.1)] },
    },
    axes: [
      { ...axis, size: 30, values: (_, splits) => splits.map((at) => clockTime(at * 1_000).slice(0, 5)), space: 70 },
      {
        ...axis,
        size: 62,
        space: 36,
        values: (_, splits) => splits.map((value) => view.format(value)),
        ...(view.steps === undefined ? {} : { incrs: [...view.steps] }),
      },
    ],
    series: [
      timeSeries('From'),
      ...view.series.map(({ name, color }, at) => ({
        label: name,
        stroke: colorOf(color),
        fill: colorOf(color),
        width: 0,
        points: { show: false },
        ...(bars === undefined ? {} : { paths: bars }),
        value: (plot: uPlot, _value: number | null, _series: number, index: number | null) =>
          view.format(unstackedValue(plot, at + 1, index ?? plot.data[0].length - 1)),
      })),
    ],
  };
}

/** Pads the range by one bar on either side, and to at least 20 bars, so that no bar is clipped or very wide. */
function paddedRange(plot: uPlot, min: number, max: number): [number, number] {
  const [times = []] = plot.data;
  const step = (times[1] ?? 0) - (times[0] ?? 0) || 60;
  const pad = Math.max(step, (20 * step - (max - min)) / 2);
  return [min - pad, max + pad];
}

/** The series' own share of its stacked value at `index`. */
function unstackedValue(plot: uPlot, series: number, index: number): number {
  return (plot.data[series]?.[index] ?? 0) - (plot.data[series + 1]?.[index] ?? 0);
}

function HistoryTable({ view, history: it }: { readonly view: View; readonly history: History }): JSX.Element {
  const rows = barsOf(it, view.series)
    .filter(({ values }) => values.some((value) => value > 0))
    .slice(-MAX_ROWS)
    .reverse();
  return (
    <div class="table-scroll" tabIndex={0} role="region" aria-label={`${view.name} as a table`}>
      <table class="table">
        <thead>
          <tr>
            <th scope="col">From</th>
            {view.series.map(({ name }) => (
              <th key={name} scope="col" class="align-right">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ at, values }) => (
            <tr key={at}>
              <th scope="row" class="number">
                {clockTime(at)}
              </th>
              {values.map((value, column) => (
                <td key={column} class="align-right number">
                  {view.format(value)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
