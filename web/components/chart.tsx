/** A uPlot chart in the page: as wide as its place, in the colours of the theme, gone when it goes. */
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { theme } from '../state/theme.ts';

interface ChartProps {
  /** What is to be seen, in a sentence, for those who do not see it. */
  readonly label: string;
  readonly height: number;
  readonly data: uPlot.AlignedData;
  /** Made anew for every theme; `width` and `height` are filled in. Must not depend on `data`. */
  readonly options: () => Omit<uPlot.Options, 'width' | 'height'>;
  /** When this changes the chart is built anew. */
  readonly shape: string;
}

/** What a legend tells while nobody points at anything: the newest value of a series. */
export const latestValue = (plot: uPlot, series: number): number => plot.data[series]?.at(-1) ?? 0;

export function Chart({ label, height, data, options, shape }: ChartProps): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const { value: colours } = theme;
  useEffect(() => {
    const { current } = place;
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
  return <div ref={place} class="chart" role="img" aria-label={label} style={{ minHeight: `${height}px` }} />;
}
