/** The way of the bytes: direct, through us, through nginx, through Node alone, interleaved in one run. */
import { performance } from 'node:perf_hooks';
import { figure, quantile, type Comparison, type Figure } from './figures.ts';
import { bodyOf, historyOf } from './histories.ts';
import { Connection, throughput, type Timing } from './load.ts';
import { startBench, type Bench, type Target } from './processes.ts';

const targetsOf = ({ direct, nginx, pipe, proxy }: Bench): Target[] =>
  nginx === null ? [direct, proxy, pipe] : [direct, proxy, nginx, pipe];

/**
 * Orders of the lanes in which each follows each other one equally often (Williams): whoever follows the proxy shares the
 * processors with what the proxy does once its bytes have left.
 */
function orders<T>(lanes: readonly T[]): T[][] {
  const count = lanes.length;
  const steps = lanes.map((_, at) => (at % 2 === 1 ? (at + 1) / 2 : (count - at / 2) % count));
  const rows = lanes.map((_, row) => steps.flatMap((step) => lanes[(step + row) % count] ?? []));
  return count % 2 === 0 ? rows : rows.flatMap((row) => [row, [...row].reverse()]);
}

/**
 * Samples that do not count. These and the others are multiples of the number of orders, four with nginx and six without.
 * There are many, because what is compared is small beside what is measured: with 200 the median of an answer of 2,000 events
 * is off by 0.1 ms, and nginx adds 0.4.
 */
const WARM_UP = 24;

async function interleaved(
  bench: Bench,
  bytes: number,
  deltas: number,
  samples: number,
): Promise<Map<string, Timing[]>> {
  const body = bodyOf(historyOf(bytes));
  const open = await Promise.all(
    targetsOf(bench).map(async (target) => ({ target, connection: await Connection.open(target) })),
  );
  const timings = new Map<string, Timing[]>(open.map(({ target }) => [target.name, []]));
  const turns = orders(open);
  for (let sample = -WARM_UP; sample < samples; sample += 1) {
    for (const { connection, target } of turns[(sample + WARM_UP) % turns.length] ?? []) {
      const timing = await connection.exchange({ session: `bench-${bytes}`, body, deltas });
      if (sample >= 0) timings.get(target.name)?.push(timing);
    }
  }
  for (const { connection } of open) connection.close();
  return timings;
}

function compare(
  name: string,
  timings: Map<string, Timing[]>,
  of: (timing: Timing) => number,
  limit: number | null,
  q = 0.5,
): Comparison {
  const at = (target: string): number =>
    quantile(
      (timings.get(target) ?? []).map(of).sort((a, b) => a - b),
      q,
    );
  const [direct, proxy] = [at('direct'), at('claude-db-proxy')];
  const nginx = timings.has('nginx') ? at('nginx') : null;
  const ratio = nginx === null ? null : (proxy - direct) / (nginx - direct);
  return {
    name,
    unit: 'ms',
    direct,
    proxy,
    nginx,
    pipe: at('Node alone'),
    ratio,
    goal: limit === null ? '' : `added ≤ ${limit} × nginx`,
    reached: ratio === null || limit === null ? null : ratio <= limit,
  };
}

/** Rounds that do not count: with 32 connections other code is hot than with one (measured: 250 requests/s at first, 800 in the fifth). */
const WARM_UP_ROUNDS = 4;

/** @param least share of nginx's rate to reach; null where none is asked for */
async function rate(bench: Bench, label: string, bytes: number, least: number | null): Promise<Comparison> {
  const spec = { session: `load-${bytes}`, body: bodyOf(historyOf(bytes)), deltas: 50 };
  const rates = new Map<string, number[]>();
  const turns = orders(targetsOf(bench));
  for (let round = -WARM_UP_ROUNDS; round < turns.length; round += 1) {
    for (const target of turns[Math.max(0, round)] ?? []) {
      const perSecond = await throughput(target, 32, spec, 1_500);
      if (round >= 0) rates.set(target.name, [...(rates.get(target.name) ?? []), perSecond]);
    }
  }
  const at = (target: string): number =>
    quantile(
      (rates.get(target) ?? []).sort((a, b) => a - b),
      0.5,
    );
  const nginx = rates.has('nginx') ? at('nginx') : null;
  const ratio = nginx === null ? null : at('claude-db-proxy') / nginx;
  return {
    name: `requests per second, 32 connections, ${label}`,
    unit: '1/s',
    direct: at('direct'),
    proxy: at('claude-db-proxy'),
    nginx,
    pipe: at('Node alone'),
    ratio,
    goal: least === null ? '' : `≥ ${least} × nginx`,
    reached: ratio === null || least === null ? null : ratio >= least,
  };
}

/**
 * Takes the JavaScript of all through its compilers first: a proxy lives for days, and its first requests are slower than
 * the others (measured: a request of 100 KB takes 3.2 ms of CPU in the first thousand, 1.9 in the second, 1.3 in the
 * twelfth; V8 had compiled 237, 90 and 3 functions anew in these).
 */
async function warmUp(bench: Bench): Promise<void> {
  for (const target of targetsOf(bench)) {
    for (const [bytes, times] of [
      [100_000, 5_000],
      [600_000, 500],
    ] as const) {
      const connection = await Connection.open(target);
      const spec = { session: 'warm-up', body: bodyOf(historyOf(bytes)), deltas: 50 };
      for (let time = 0; time < times; time += 1) await connection.exchange(spec);
      connection.close();
    }
  }
}

/** Lag of the event loop while requests of 4 MB pass, as somebody else's request would feel it. */
async function lag(bench: Bench): Promise<Figure> {
  const body = bodyOf(historyOf(4_000_000));
  const connection = await Connection.open(bench.proxy);
  await connection.exchange({ session: 'large', body, deltas: 50 });
  await bench.stats();
  const values: number[] = [];
  for (let round = 0; round < 10; round += 1) {
    const until = performance.now() + 500;
    while (performance.now() < until) await connection.exchange({ session: 'large', body, deltas: 50 });
    values.push((await bench.stats()).lagP99);
  }
  connection.close();
  return figure('event-loop delay p99 while 4 MB requests pass', 'ms', values, 10);
}

export async function benchDataPath(): Promise<{
  readonly comparisons: Comparison[];
  readonly figures: Figure[];
  readonly nginx: string | null;
}> {
  const bench = await startBench();
  try {
    await warmUp(bench);
    const comparisons: Comparison[] = [];
    for (const [label, bytes, samples] of [
      ['100 KB', 100_000, 600],
      ['600 KB', 600_000, 600],
      ['4 MB', 4_000_000, 120],
    ] as const) {
      const timings = await interleaved(bench, bytes, 50, samples);
      const limit = bytes >= 600_000 ? 1.5 : null;
      comparisons.push(compare(`first byte, ${label}, p50`, timings, (timing) => timing.firstByte, limit));
      comparisons.push(compare(`first byte, ${label}, p99`, timings, (timing) => timing.firstByte, null, 0.99));
    }
    const long = await interleaved(bench, 100_000, 2_000, 996);
    comparisons.push(compare('whole answer of 2,000 events, p50', long, (timing) => timing.total, 1.5));
    comparisons.push(compare('whole answer of 2,000 events, p99', long, (timing) => timing.total, null, 0.99));
    comparisons.push(await rate(bench, '100 KB', 100_000, 0.6));
    comparisons.push(await rate(bench, '600 KB', 600_000, null));
    comparisons.push(await rate(bench, '4 MB', 4_000_000, null));
    return { comparisons, figures: [await lag(bench)], nginx: bench.nginxVersion };
  } finally {
    await bench.close();
  }
}
