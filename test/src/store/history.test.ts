import { expect } from 'chai';
import { checkpointId, conversationId, milliseconds, timestamp, tokens } from '../../../machines/units.ts';
import type { CompactionHistory } from '../../../src/store/history.ts';
import type { StateStore } from '../../../src/store/state-store.ts';
import { checkpoint, compaction, HOUR, START, StoreRig } from './rig.ts';

const ONE = conversationId('session-1');
const DAY = 24 * HOUR;

describe('the history of compactions', () => {
  let rig: StoreRig;
  let store: StateStore;
  let history: CompactionHistory;

  beforeEach(() => {
    rig = new StoreRig();
    store = rig.open();
    history = rig.history(store);
  });

  afterEach(() => rig.close());

  it('lists a served one with all its figures', () => {
    store.saveCheckpoint(checkpoint('cp-1'));
    store.addCompaction(compaction('c1'));
    store.updateCompaction({ conversation: ONE, confirmed: true });
    store.updateCompaction({ conversation: ONE, tokensAfter: tokens(9_000) });
    expect(history.compactions()).to.deep.equal([
      {
        at: START,
        conversation: 'session-1',
        model: 'claude-sonnet-4-6',
        outcome: 'served',
        reason: null,
        tokensBefore: 150_000,
        tokensAfter: 9_000,
        confirmed: true,
        waitedMs: 12,
        savedMs: 30_988,
        checkpoint: {
          id: 'cp-1',
          durationMs: 31_000,
          tokens: { input: 1, cacheCreation: 20, cacheRead: 300, output: 4_000 },
        },
      },
    ]);
  });

  it('lists a forwarded one with its reason', () => {
    const none = milliseconds(0);
    const forwarded = {
      outcome: 'forwarded',
      reason: 'instructions',
      checkpoint: null,
      waited: none,
      saved: none,
    } as const;
    store.addCompaction(compaction('c1', forwarded));
    const [entry] = history.compactions();
    expect(entry).to.include({ outcome: 'forwarded', reason: 'instructions', checkpoint: null, savedMs: 0 });
    expect(entry?.tokensAfter).to.equal(null);
  });

  it('updates the latest compaction of a conversation', () => {
    store.addCompaction(compaction('c1'));
    store.updateCompaction({ conversation: ONE, tokensAfter: tokens(1) });
    store.addCompaction(compaction('other', { conversation: conversationId('session-2') }));
    store.addCompaction(compaction('c2', { at: timestamp(START + 5) }));
    store.updateCompaction({ conversation: ONE, tokensAfter: tokens(2) });
    store.flush();
    store.updateCompaction({ conversation: ONE, tokensAfter: tokens(3) });
    expect(history.compactions({ conversation: ONE }).map(({ tokensAfter }) => tokensAfter)).to.deep.equal([2, 1]);
  });

  it('is confirmed when the client uses the summary after all', () => {
    store.addCompaction(compaction('c1'));
    store.updateCompaction({ conversation: ONE, confirmed: false });
    expect(history.compactions()[0]?.confirmed).to.equal(false);
    store.updateCompaction({ conversation: ONE, confirmed: true });
    store.flush();
    store.updateCompaction({ conversation: ONE, confirmed: false });
    expect(history.compactions()[0]?.confirmed).to.equal(true);
  });

  it('says of each checkpoint whether it was used, is ready, or was wasted', () => {
    for (const id of ['used', 'used and gone', 'ready', 'wasted']) store.saveCheckpoint(checkpoint(id));
    for (const id of ['used', 'used and gone']) store.addCompaction(compaction(id, { checkpoint: checkpointId(id) }));
    for (const id of ['used and gone', 'wasted']) store.deleteCheckpoint(checkpointId(id));
    const fates = Object.fromEntries(history.checkpoints().map(({ id, fate }) => [id, fate]));
    expect(fates).to.deep.equal({ used: 'used', 'used and gone': 'used', ready: 'ready', wasted: 'wasted' });
  });

  it('adds up', () => {
    for (const id of ['a', 'b', 'c']) store.saveCheckpoint(checkpoint(id));
    store.deleteCheckpoint(checkpointId('c'));
    store.addCompaction(compaction('1', { checkpoint: checkpointId('a') }));
    store.addCompaction(compaction('2', { checkpoint: checkpointId('a'), saved: milliseconds(12) }));
    for (const [id, reason] of [
      ['3', 'stale'],
      ['4', 'stale'],
      ['5', 'passthrough'],
    ] as const) {
      store.addCompaction(compaction(id, { outcome: 'forwarded', reason, checkpoint: null, saved: milliseconds(0) }));
    }
    expect(history.totals()).to.deep.equal({
      served: 2,
      forwarded: 3,
      forwardedBy: { stale: 2, passthrough: 1 },
      savedMs: 31_000,
      checkpoints: { made: 3, used: 1, ready: 1, wasted: 1 },
      tokens: { input: 3, cacheCreation: 60, cacheRead: 900, output: 12_000 },
    });
  });

  it('adds nothing up to zeros', () => {
    expect(history.totals()).to.deep.equal({
      served: 0,
      forwarded: 0,
      forwardedBy: {},
      savedMs: 0,
      checkpoints: { made: 0, used: 0, ready: 0, wasted: 0 },
      tokens: { input: 0, cacheCreation: 0, cacheRead: 0, output: 0 },
    });
  });

  it('can be asked for a time, a conversation and a number, newest first', () => {
    for (let at = 0; at < 10; at += 1) {
      const conversation = conversationId(at % 2 === 0 ? 'even' : 'odd');
      store.addCompaction(compaction(`c${at}`, { at: timestamp(START + at), conversation }));
    }
    const times = (query: Parameters<CompactionHistory['compactions']>[0]) =>
      history.compactions(query).map(({ at }) => at - START);
    expect(times({ limit: 3 })).to.deep.equal([9, 8, 7]);
    expect(times({ since: timestamp(START + 3), until: timestamp(START + 6) })).to.deep.equal([6, 5, 4, 3]);
    expect(times({ conversation: 'odd', limit: 2 })).to.deep.equal([9, 7]);
    expect(history.totals({ conversation: 'odd' }).served).to.equal(5);
  });

  it('outlives the conversation and the process, for 90 days', () => {
    store.saveCheckpoint(checkpoint('cp-1'));
    store.addCompaction(compaction('c1'));
    store.deleteConversation(ONE);
    store.close();
    rig.now += 89 * DAY;
    store.open();
    expect([history.compactions().length, history.checkpoints()[0]?.fate]).to.deep.equal([1, 'used']);
    rig.now += 2 * DAY;
    store.deleteOldHistory();
    expect([history.compactions(), history.checkpoints()]).to.deep.equal([[], []]);
  });

  it('is empty while there is no file', () => {
    store.close();
    expect([history.compactions(), history.totals().served]).to.deep.equal([[], 0]);
  });
});
