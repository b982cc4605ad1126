/** The history as bars. Pure. */
import type { HistoryBucket } from '../contract.ts';
import type { History } from '../state/store.ts';

/** More bars than this become unreadable: neighbours are added up. */
const MAX_BARS = 96;

/** A bar, and what each series has in it. */
export interface Bar {
  readonly at: number;
  readonly values: readonly number[];
}

/** All stretches from the first to now, those in which nothing happened included; neighbours added up where needed. */
export function barsOf(
  { buckets, bucketMs }: History,
  series: readonly { readonly of: (bucket: HistoryBucket) => number }[],
): readonly Bar[] {
  const first = buckets[0]?.at;
  const last = buckets.at(-1)?.at;
  if (first === undefined || last === undefined) return [];
  const stretches = Math.round((last - first) / bucketMs) + 1;
  const width = Math.ceil(stretches / MAX_BARS) * bucketMs;
  const bars = Array.from({ length: Math.ceil((stretches * bucketMs) / width) }, (_, at) => ({
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

/** uPlot draws series over each other: the first holds the sum of all, the last itself alone. */
export function stacked(bars: readonly Bar[], series: number): number[][] {
  const sums = Array.from({ length: series }, (_, at) =>
    bars.map(({ values }) => values.slice(at).reduce((before, value) => before + value, 0)),
  );
  return [bars.map(({ at }) => at / 1_000), ...sums];
}
