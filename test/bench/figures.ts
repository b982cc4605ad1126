/** Figures and how they are shown. */

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly p50: number;
  readonly p99: number;
  readonly samples: number;
  /** What the issue asks for, as an upper bound of `p50`; null where nothing is asked. */
  readonly goal: number | null;
}

/** The value below which the share `q` of `sorted` lies. */
export function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

export function figure(name: string, unit: string, values: readonly number[], goal: number | null): Figure {
  const sorted = [...values].sort((a, b) => a - b);
  return { name, unit, p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), samples: values.length, goal };
}

export function printTable(figures: readonly Figure[]): void {
  console.table(
    Object.fromEntries(
      figures.map(({ name, unit, p50, p99, samples, goal }) => [
        name,
        {
          p50: `${p50.toFixed(2)} ${unit}`,
          p99: `${p99.toFixed(2)} ${unit}`,
          samples,
          goal: goal === null ? '' : `≤ ${goal} ${unit}`,
          reached: goal === null ? '' : p50 <= goal ? 'yes' : 'NO',
        },
      ]),
    ),
  );
}

/** One row of a comparison: what each of them took, and the ratio that is asked for. */
export interface Comparison {
  readonly name: string;
  readonly unit: string;
  readonly direct: number;
  readonly proxy: number;
  readonly nginx: number | null;
  /** Through TLS in Node and nothing else. */
  readonly pipe: number;
  /** For times: added by us over added by nginx; for rates: ours over nginx's. Null without nginx. */
  readonly ratio: number | null;
  readonly goal: string;
  readonly reached: boolean | null;
}

export function printComparisons(rows: readonly Comparison[]): void {
  const shown = (value: number | null): string => (value === null ? '-' : value.toFixed(2));
  console.table(
    Object.fromEntries(
      rows.map(({ name, unit, direct, proxy, nginx, pipe, ratio, goal, reached }) => [
        `${name} (${unit})`,
        {
          direct: shown(direct),
          proxy: shown(proxy),
          nginx: shown(nginx),
          'Node alone': shown(pipe),
          ratio: shown(ratio),
          goal,
          reached: reached === null ? '' : reached ? 'yes' : 'NO',
        },
      ]),
    ),
  );
}
