/** A uPlot chart, as wide as its container and in the colours of the theme. */
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { clockTime } from '../format.ts';
import { colorOf, theme } from '../state/theme.ts';

interface ChartProps {
  /** Describes the chart's content to screen readers. */
  readonly label: string;
  readonly height: number;
  readonly data: uPlot.AlignedData;
  /** Called once for each theme and `shape`; must not depend on `data`. */
  readonly options: () => Omit<uPlot.Options, 'width' | 'height'>;
  /** The chart is rebuilt when this changes. */
  readonly shape: string;
}

/** The newest value of a series, which the legend shows while the cursor is elsewhere. */
export const latestValue = (plot: uPlot, series: number): number => plot.data[series]?.at(-1) ?? 0;

export const axisStyle = (): uPlot.Axis => ({
  stroke: colorOf('muted'),
  grid: { stroke: colorOf('line'), width: 1 },
  ticks: { show: false },
  font: '11px system-ui',
});

/** The series of the time axis. */
export const timeSeries = (label: string): uPlot.Series => ({
  label,
  value: (plot, at: number | null) => clockTime((at ?? latestValue(plot, 0)) * 1_000),
});

export function Chart({ label, height, data, options, shape }: ChartProps): JSX.Element {
  const container = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const { value: colours } = theme;
  useEffect(() => {
    const { current } = container;
    if (current === null) return;
    const chart = new uPlot({ ...options(), width: current.clientWidth, height }, data, current);
    plot.current = chart;
    const observer = new ResizeObserver(() => {
      if (current.clientWidth > 0) chart.setSize({ width: current.clientWidth, height });
    });
    observer.observe(current);
    return () => {
      observer.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [colours, shape, height]);
  useEffect(() => {
    plot.current?.setData(data);
  }, [data]);
  return <div ref={container} class="chart" role="img" aria-label={label} style={{ minHeight: `${height}px` }} />;
}
