import { expect } from 'chai';
import { checkpointId, conversationId, milliseconds, timestamp, tokens } from '../../../machines/units.ts';
import type { Checkpoint } from '../../../src/checkpoint/index.ts';
import type { ConversationFact } from '../../../src/facts.ts';
import { BUCKET_MS, Statistics, type StatisticsSeed } from '../../../src/dashboard/statistics.ts';
import { lineageOf, fullPrefix } from '../../../src/wire/lineage.ts';

const S1 = conversationId('s1');
const BEGAN = 1_000 * BUCKET_MS;

const checkpoint = (id: string): Checkpoint => ({
  id: checkpointId(id),
  conversation: S1,
  prefix: fullPrefix(lineageOf([{ role: 'user', content: 'x' }])),
  anchorTokens: tokens(1),
  summary: 's',
  model: 'm',
  usage: { input: tokens(1), cacheCreation: tokens(20), cacheRead: tokens(300), output: tokens(4_000) },
  duration: milliseconds(30_000),
  createdAt: timestamp(1),
});
const made = (id: string): ConversationFact => ({
  type: 'checkpoint.completed',
  conversation: S1,
  checkpoint: checkpoint(id),
});
const deleted = (id: string): ConversationFact => ({ type: 'checkpoint.deleted', checkpoint: checkpointId(id) });
const served = (id: string, saved = 25_000): ConversationFact => ({
  type: 'compaction.served',
  conversation: S1,
  model: 'm',
  tokensBefore: tokens(1),
  checkpoint: checkpoint(id),
  messages: 1,
  recentMessages: 1,
  recentChars: 1,
  waited: milliseconds(0),
  saved: milliseconds(saved),
});

describe('the statistics', () => {
  let clock: number;
  let statistics: Statistics;
  const tell = (...facts: readonly ConversationFact[]): void => {
    for (const fact of facts) statistics.onFact(fact);
  };
  beforeEach(() => {
    clock = BEGAN;
    statistics = new Statistics(() => clock);
  });

  it('tell checkpoints that were used from those that were wasted', () => {
    tell(made('a'), made('b'), made('c'), served('a'), served('a'), deleted('a'), deleted('b'), deleted('b'));
    expect(statistics.totals().checkpoints).to.deep.equal({ made: 3, used: 1, wasted: 1, failed: 0 });
    expect(statistics.totals().compactions).to.deep.equal({ served: 2, confirmed: 0, forwarded: {} });
    expect(statistics.totals().savedMs).to.equal(50_000);
    expect(statistics.totals().tokens).to.deep.equal({ input: 3, cacheCreation: 60, cacheRead: 900, output: 12_000 });
  });

  it('count requests, failures, reasons and errors by status, the latest first', () => {
    const forwarded: ConversationFact = {
      type: 'compaction.forwarded',
      conversation: S1,
      model: 'm',
      tokensBefore: tokens(1),
      reason: 'stale',
    };
    tell(
      { type: 'request.received' },
      { type: 'checkpoint.failed', conversation: S1, attempt: 1, failure: 'transient', message: 'x' },
    );
    tell(forwarded, forwarded, { type: 'history.replaced', conversation: S1, confirmed: true });
    tell({ type: 'history.replaced', conversation: S1, confirmed: false });
    tell(
      { type: 'api.answered', conversation: null, status: 200 },
      { type: 'api.answered', conversation: S1, status: 529 },
    );
    clock += 5;
    tell({ type: 'api.failed', conversation: null });
    const totals = statistics.totals();
    expect(totals).to.include({ requests: 1, since: BEGAN });
    expect(totals.checkpoints.failed).to.equal(1);
    expect(totals.compactions).to.deep.equal({ served: 0, confirmed: 1, forwarded: { stale: 2 } });
    expect(totals.apiErrors).to.deep.equal([
      { status: 0, count: 1, last: BEGAN + 5 },
      { status: 529, count: 1, last: BEGAN },
    ]);
  });

  it('change their version with their figures, and with nothing else', () => {
    tell(
      { type: 'api.answered', conversation: S1, status: 200 },
      { type: 'conversation.closed', conversation: S1, expired: true },
    );
    expect(statistics.version).to.equal(0);
    tell({ type: 'request.received' });
    expect(statistics.version).to.equal(1);
  });

  it('know when things happened, for a week', () => {
    tell(made('a'));
    clock += BUCKET_MS;
    tell({ type: 'api.answered', conversation: S1, status: 500 }, served('a'));
    const { buckets } = statistics.history();
    expect(buckets.map(({ at }) => at)).to.deep.equal([BEGAN, BEGAN + BUCKET_MS]);
    expect(buckets[0]).to.deep.include({
      made: 1,
      used: 0,
      tokens: { input: 1, cacheCreation: 20, cacheRead: 300, output: 4_000 },
    });
    expect(buckets[1]).to.deep.include({ made: 0, used: 1, served: 1, savedMs: 25_000, apiErrors: { 500: 1 } });
    expect(statistics.history(BEGAN + BUCKET_MS).buckets).to.have.length(1);
    clock += 8 * 86_400_000;
    expect(statistics.history().buckets).to.deep.equal([]);
  });

  it('go on from what an earlier process has left', () => {
    const tokensSpent = { input: 1, cacheCreation: 1, cacheRead: 1, output: 1 };
    const counts = { requests: 0, savedMs: 7, made: 2, used: 1, wasted: 0, failed: 0, served: 1, forwarded: 1 };
    const past: StatisticsSeed = {
      since: 5,
      savedMs: 7,
      made: 3,
      used: 1,
      wasted: 1,
      served: 1,
      confirmed: 1,
      forwarded: { stale: 1 },
      tokens: tokensSpent,
      kept: new Map([
        ['used before', true],
        ['not used yet', false],
      ]),
      buckets: [{ at: BEGAN, ...counts, tokens: tokensSpent, apiErrors: {} }],
    };
    statistics.seed(past);
    tell(served('used before', 1), served('not used yet', 1), deleted('used before'), made('new'), deleted('new'));
    const totals = statistics.totals();
    expect(totals).to.include({ since: 5, savedMs: 9 });
    expect(totals.checkpoints).to.deep.equal({ made: 4, used: 2, wasted: 2, failed: 0 });
    expect(totals.compactions).to.deep.equal({ served: 3, confirmed: 1, forwarded: { stale: 1 } });
    expect(statistics.history().buckets[0]).to.include({ served: 3, made: 3 });
  });
});
