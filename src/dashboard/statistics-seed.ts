/** What the state file tells of the time before this process, as the statistics count it. */
import { timestamp } from '../../machines/units.ts';
import type { HistoryBucket } from '../../web/contract.ts';
import type { CompactionHistory } from '../store/history.ts';
import { BUCKET_MS, NO_TOKENS, type StatisticsSeed } from './statistics.ts';

type Counts = Partial<Omit<HistoryBucket, 'at' | 'apiErrors'>>;

const NOTHING: Omit<HistoryBucket, 'at'> = {
  requests: 0,
  savedMs: 0,
  made: 0,
  used: 0,
  wasted: 0,
  failed: 0,
  served: 0,
  forwarded: 0,
  tokens: NO_TOKENS,
  apiErrors: {},
};

const bucketOf = (at: number, counts: Counts): HistoryBucket => ({
  ...NOTHING,
  ...counts,
  at: at - (at % BUCKET_MS),
});

/**
 * Reads the past.
 *
 * @param until when this process began: what came later it counts itself
 * @param isKept true for a checkpoint that can still be served
 */
export function loadStatisticsSeed(
  history: CompactionHistory,
  until: number,
  isKept: (id: string) => boolean,
): StatisticsSeed {
  const query = { until: timestamp(until - 1), limit: -1 };
  const { checkpoints, forwardedBy, savedMs, served, tokens } = history.totals(query);
  const compactions = history.compactions(query);
  const made = history.checkpoints(query);
  const kept = new Map(made.filter(({ id }) => isKept(id)).map(({ fate, id }) => [id, fate === 'used']));
  return {
    since: Math.min(until, ...[compactions.at(-1)?.at, made.at(-1)?.at].filter((at) => at !== undefined)),
    savedMs,
    made: checkpoints.made,
    used: checkpoints.used,
    wasted: checkpoints.wasted,
    served,
    confirmed: compactions.filter(({ confirmed, outcome }) => outcome === 'served' && confirmed === true).length,
    forwarded: forwardedBy,
    tokens,
    kept,
    // A checkpoint's fate is counted where it was made: when it was let go of, nobody has written down.
    buckets: [
      ...made.map(({ at, fate, tokens: spent }) =>
        bucketOf(at, {
          made: 1,
          wasted: fate === 'wasted' ? 1 : 0,
          used: fate === 'used' ? 1 : 0,
          tokens: spent,
        }),
      ),
      ...compactions.map(({ at, outcome, savedMs: saved }) =>
        bucketOf(at, outcome === 'served' ? { served: 1, savedMs: saved } : { forwarded: 1 }),
      ),
    ],
  };
}
