import { expect } from 'chai';
import type { HistoryBucket } from '../../../web/contract.ts';
import { barsOf, stacked } from '../../../web/statistics/bars.ts';

const bucket = (at: number, made: number, used = 0): HistoryBucket => ({
  at,
  requests: 0,
  savedMs: 0,
  made,
  used,
  wasted: 0,
  failed: 0,
  served: 0,
  forwarded: 0,
  tokens: { input: 0, cacheCreation: 0, cacheRead: 0, output: 0 },
  apiErrors: {},
});
const series = [{ of: (it: HistoryBucket) => it.made }, { of: (it: HistoryBucket) => it.used }];

describe('web/statistics/bars', () => {
  it('returns none without a history', () => {
    expect(barsOf({ bucketMs: 10, from: 0, buckets: [] }, series)).to.deep.equal([]);
  });

  it('includes empty intervals', () => {
    const bars = barsOf({ bucketMs: 10, from: 0, buckets: [bucket(100, 1), bucket(130, 2, 1)] }, series);
    expect(bars.map(({ at }) => at)).to.deep.equal([100, 110, 120, 130]);
    expect(bars.map(({ values }) => values)).to.deep.equal([
      [1, 0],
      [0, 0],
      [0, 0],
      [2, 1],
    ]);
  });

  it('sums up neighbours when there are too many, and loses none', () => {
    const buckets = Array.from({ length: 1_000 }, (_, at) => bucket(at * 10, 1, at % 2));
    const bars = barsOf({ bucketMs: 10, from: 0, buckets }, series);
    expect(bars.length).to.be.at.most(96);
    const [, total = [], used = []] = stacked(bars, 2);
    expect(total.reduce((a, b) => a + b)).to.equal(1_500);
    expect(used.reduce((a, b) => a + b)).to.equal(500);
  });
});
