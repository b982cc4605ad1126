import { expect } from 'chai';
import pc from 'picocolors';
import { historyText } from '../../../cli/history/history-text.ts';
import type { HistoryAnswer } from '../../../src/admin/history-routes.ts';

const AT = new Date(2026, 10, 24, 9, 5).getTime();
const TOKENS = { input: 1_200, cacheCreation: 2_345, cacheRead: 150_000, output: 3_999 };

const answer: HistoryAnswer = {
  complete: true,
  totals: {
    served: 1,
    forwarded: 2,
    forwardedBy: { instructions: 1, new_reason: 1 },
    savedMs: 200_000,
    checkpoints: { made: 3, used: 1, ready: 0, wasted: 2 },
    tokens: TOKENS,
  },
  compactions: [
    {
      at: AT,
      conversation: '0123456789abcdef',
      model: 'claude-sonnet-4-6',
      outcome: 'served',
      reason: null,
      tokensBefore: 152_125,
      tokensAfter: 9_300,
      confirmed: true,
      waitedMs: 12,
      savedMs: 31_000,
      checkpoint: { id: 'cp-1', durationMs: 31_000, tokens: TOKENS },
    },
    {
      at: AT - 60_000,
      conversation: 'short',
      model: 'claude-sonnet-4-6',
      outcome: 'forwarded',
      reason: 'new_reason',
      tokensBefore: 1_234_567,
      tokensAfter: null,
      confirmed: null,
      waitedMs: 30_000,
      savedMs: 0,
      checkpoint: null,
    },
  ],
  checkpoints: [],
};
const plain = pc.createColors(false);

describe('the history in a terminal', () => {
  it('adds up, then shows one compaction a line, in columns', () => {
    expect(historyText(answer, 200, plain)).to.equal(`◈ The last 90 days
  compactions   3: 1 served instantly, 2 by the API
  time saved    3 min 20 s
  checkpoints   3: 1 used, 0 ready, 2 never used
  their tokens  150k cached, 2.3k to cache, 1.2k input, 4k output

  when              conversation  before  after  time saved  input  cached  to cache  output  served by
  2026-11-24 09:05  0123456789ab    152k   9.3k        31 s   1.2k    150k      2.3k      4k  the proxy
  2026-11-24 09:04  short           1.2M      –           –      –       –         –       –  the API: new reason
  and 1 older; -n shows more
`);
  });

  it('leaves the cost of each out where a line would not fit', () => {
    const lines = historyText(answer, 80, plain).split('\n').slice(6, 8);
    expect(lines).to.deep.equal([
      '  when              conversation  before  after  time saved  served by',
      '  2026-11-24 09:05  0123456789ab    152k   9.3k        31 s  the proxy',
    ]);
  });

  it('says so where there is nothing, and where the log is incomplete', () => {
    const totals = {
      ...answer.totals,
      served: 0,
      forwarded: 0,
      checkpoints: { made: 0, used: 0, ready: 0, wasted: 0 },
    };
    const nothing = { ...answer, totals, compactions: [] };
    expect(historyText(nothing, 80, plain)).to.equal('No compactions in the last 90 days.\n');
    expect(historyText({ ...nothing, complete: false }, 80, plain)).to.match(/^ {2}the state file cannot be read/);
  });
});
