/** The history as stacked bars. Pure. */
import type { HistoryBucket } from '../contract.ts';
import type { History } from '../state/store.ts';

/** More buckets than this are summed up in groups, since narrower bars are unreadable. */
const MAX_BARS = 96;

/** A bar with one value for each series. */
export interface Bar {
  readonly at: number;
  readonly values: readonly number[];
}

/** Bars of equal width from the first bucket to the last, including empty ones. */
export function barsOf(
  { buckets, bucketMs }: History,
  series: readonly { readonly of: (bucket: HistoryBucket) => number }[],
): readonly Bar[] {
  const first = buckets[0]?.at;
  const last = buckets.at(-1)?.at;
  if (first === undefined || last === undefined) return [];
  const intervals = Math.round((last - first) / bucketMs) + 1;
  const width = Math.ceil(intervals / MAX_BARS) * bucketMs;
  const bars = Array.from({ length: Math.ceil((intervals * bucketMs) / width) }, (_, at) => ({
    at: first + at * width,
    values: series.map(() => 0),
  }));
  for (const bucket of buckets) {
    const bar = bars[Math.floor((bucket.at - first) / width)];
    series.forEach(({ of }, at) => {
      if (bar !== undefined) bar.values[at] = (bar.values[at] ?? 0) + of(bucket);
    });
  }
  return bars;
}

/** uPlot's data. It draws later series over earlier ones, so each holds the sum of itself and all later ones. */
export function stacked(bars: readonly Bar[], series: number): number[][] {
  const sums = Array.from({ length: series }, (_, at) =>
    bars.map(({ values }) => values.slice(at).reduce((before, value) => before + value, 0)),
  );
  return [bars.map(({ at }) => at / 1_000), ...sums];
}
