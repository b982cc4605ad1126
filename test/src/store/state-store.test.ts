import { expect } from 'chai';
import fc from 'fast-check';
import { checkpointId, conversationId, timestamp, tokens } from '../../../machines/units.ts';
import type { WalEntry } from '../../../src/conversations/repository.ts';
import { checkpoint, conversation, HOUR, STATE, StoreRig } from './rig.ts';

const ONE = conversationId('session-1');
const CP = checkpointId('cp-1');
const entry = (message: number): WalEntry => ({
  message,
  fingerprint: Buffer.alloc(16, 200 + message).toString('latin1'),
  bytes: 100 * message,
});

describe('the state store', () => {
  let rig: StoreRig;

  beforeEach(() => {
    rig = new StoreRig();
  });

  afterEach(() => rig.close());

  const reopened = (store = rig.open()) => {
    store.close();
    return rig.open();
  };

  it('restores a conversation as it was saved', () => {
    const store = rig.open();
    const record = conversation('session-1', { served: CP, agent: 'agent-7' });
    store.saveConversation(ONE, () => record);
    expect(reopened(store).conversationsOf({ session: 'session-1', agent: 'agent-7' })).to.deep.equal([record]);
  });

  it('distinguishes clients, also those without session or agent', () => {
    const store = rig.open();
    const records = [
      conversation('a', { session: 's' }),
      conversation('b', { session: 's', agent: 'x' }),
      conversation('c', { session: null }),
      conversation('d', { session: 's', lastActivity: timestamp(rig.now + 1) }),
    ];
    for (const record of records) store.saveConversation(record.id, () => record);
    const ids = (session: string | null, agent: string | null) =>
      store.conversationsOf({ session, agent }).map(({ id }) => id);
    expect([ids('s', null), ids('s', 'x'), ids(null, null), ids('t', null)]).to.deep.equal([
      ['a', 'd'],
      ['b'],
      ['c'],
      [],
    ]);
  });

  it('writes the state at the time of writing, once for many changes', () => {
    const store = rig.open();
    let reads = 0;
    let used = 0;
    for (used = 1; used < 50; used += 1) {
      store.saveConversation(ONE, () => {
        reads += 1;
        return conversation('session-1', { state: { ...STATE, used: tokens(used) } });
      });
    }
    store.flush();
    expect(reads).to.equal(1);
    expect(store.conversationsOf({ session: 'session-1', agent: null })[0]?.state.used).to.equal(50);
  });

  it('writes by itself, in the next round of the event loop', async () => {
    const store = rig.open();
    let written = false;
    store.saveConversation(ONE, () => {
      written = true;
      return conversation('session-1');
    });
    expect(written).to.equal(false);
    await new Promise((resolve) => void setImmediate(resolve));
    await new Promise((resolve) => void setImmediate(resolve));
    expect(written).to.equal(true);
  });

  it('has written a checkpoint when it returns', () => {
    const store = rig.open();
    store.saveCheckpoint(checkpoint('cp-1'));
    const kept = reopened(store).checkpoints();
    expect(kept).to.deep.equal([{ checkpoint: checkpoint('cp-1'), lastNeeded: rig.now }]);
  });

  it('keeps whatever a summary and a fingerprint can hold', () => {
    const store = rig.open();
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', minLength: 1 }),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc.uint8Array({ maxLength: 80 }),
        (summary, key, details) => {
          const made = checkpoint('cp-1', {
            summary,
            prefix: {
              key: Buffer.from(key).toString('latin1'),
              keyWithoutSystem: Buffer.from(key).reverse().toString('latin1'),
              messages: 3,
              details: Buffer.from(details),
            },
          });
          store.saveCheckpoint(made);
          const kept = store.checkpoints().map((stored) => stored.checkpoint);
          expect(kept).to.deep.equal([made]);
          expect(kept.map(({ prefix }) => prefix.details.buffer.byteLength)).to.deep.equal([details.length]);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('keeps a write-ahead log, and only that of the checkpoint asked for', () => {
    const store = rig.open();
    store.saveConversation(ONE, () => conversation('session-1'));
    const ref = { id: CP, anchorMessages: 9, anchorTokens: tokens(1) };
    store.saveWal(ONE, () => ({ checkpoint: ref, entries: [entry(9), entry(10), entry(11)] }));
    const again = reopened(store);
    expect(again.wal(ONE, CP)).to.deep.equal([entry(9), entry(10), entry(11)]);
    expect(again.wal(ONE, checkpointId('another'))).to.deep.equal([]);
    again.saveWal(ONE, () => ({ checkpoint: ref, entries: [entry(9)] }));
    expect(again.wal(ONE, CP)).to.deep.equal([entry(9)]);
    again.saveWal(ONE, () => null);
    expect(again.wal(ONE, CP)).to.deep.equal([]);
  });

  it('forgets a conversation with its log, and a checkpoint', () => {
    const store = rig.open();
    const ref = { id: CP, anchorMessages: 9, anchorTokens: tokens(1) };
    store.saveConversation(ONE, () => conversation('session-1'));
    store.saveWal(ONE, () => ({ checkpoint: ref, entries: [entry(9)] }));
    store.saveCheckpoint(checkpoint('cp-1'));
    store.deleteConversation(ONE);
    store.deleteCheckpoint(CP);
    const again = reopened(store);
    expect(again.conversationsOf({ session: 'session-1', agent: null })).to.deep.equal([]);
    expect([again.wal(ONE, CP), again.checkpoints()]).to.deep.equal([[], []]);
  });

  describe('when it is opened', () => {
    it('has deleted what was unused for too long, and nothing else', () => {
      const store = rig.open();
      for (const id of ['old', 'young']) {
        const at = timestamp(id === 'old' ? rig.now : rig.now + HOUR);
        store.saveConversation(conversationId(id), () => conversation(id, { lastActivity: at }));
      }
      store.saveCheckpoint(checkpoint('cp-old'));
      rig.now += HOUR;
      store.saveCheckpoint(checkpoint('cp-young', { createdAt: timestamp(rig.now) }));
      rig.now += 1.5 * HOUR;
      const again = reopened(store);
      const ids = ['old', 'young'].map((session) => again.conversationsOf({ session, agent: null }).length);
      expect(ids).to.deep.equal([0, 1]);
      expect(again.checkpoints().map((kept) => kept.checkpoint.id)).to.deep.equal(['cp-young']);
    });

    it('has kept a checkpoint that was used since', () => {
      const store = rig.open();
      store.saveCheckpoint(checkpoint('cp-1'));
      rig.now += 1.5 * HOUR;
      store.touchCheckpoint(CP);
      rig.now += 1.5 * HOUR;
      expect(reopened(store).checkpoints()).to.have.length(1);
    });
  });

  it('skips invalid rows, and logs how many', () => {
    const store = rig.open();
    store.saveConversation(ONE, () => conversation('session-1'));
    store.saveCheckpoint(checkpoint('cp-1'));
    store.query(`UPDATE conversations SET state = '{"used": "many"'`);
    store.query(`INSERT INTO conversations SELECT 'two', session, agent, roots, phase, used, effective_window, checkpoint,
      served, '{"used":-1}', last_activity FROM conversations`);
    store.query(`UPDATE checkpoints SET summary = x''`);
    expect(store.conversationsOf({ session: 'session-1', agent: null })).to.deep.equal([]);
    expect(store.checkpoints()).to.deep.equal([]);
    expect(rig.events('store.rows_unreadable').map(({ fields }) => fields)).to.deep.equal([{ rows: 2 }, { rows: 1 }]);
  });

  for (const column of ['summary', 'key', 'bare_key', 'details']) {
    it(`passes over a checkpoint of which the disk has changed a byte of the ${column}`, () => {
      const store = rig.open();
      store.saveCheckpoint(checkpoint('changed'));
      store.saveCheckpoint(checkpoint('as-it-was'));
      store.query(
        `UPDATE checkpoints SET ${column} = CAST(substr(${column}, 1, length(${column}) - 1) || x'07' AS BLOB) WHERE id = 'changed'`,
      );
      expect(store.checkpoints().map(({ checkpoint: { id } }) => id)).to.deep.equal(['as-it-was']);
    });
  }

  it('reads what an older version has not written as its initial value', () => {
    const store = rig.open();
    store.saveConversation(ONE, () => conversation('session-1'));
    store.query(`UPDATE conversations SET state = json_remove(state, '$.crossing')`);
    expect(store.conversationsOf({ session: 'session-1', agent: null })).to.deep.equal([conversation('session-1')]);
  });

  it('keeps the refresh step under the name that older versions have written', () => {
    const store = rig.open();
    const state = { ...STATE, lastRefreshStep: 2 };
    store.saveConversation(ONE, () => conversation('session-1', { state }));
    expect(store.query(`SELECT state ->> '$.crossing' AS step FROM conversations`)).to.deep.equal([{ step: 2 }]);
    expect(store.conversationsOf({ session: 'session-1', agent: null })).to.deep.equal([
      conversation('session-1', { state }),
    ]);
  });

  it('writes only known fields of a state', () => {
    const store = rig.open();
    const state = { ...STATE, apiKey: 'sk-ant-canary' };
    store.saveConversation(ONE, () => conversation('session-1', { state }));
    expect(JSON.stringify(store.query('SELECT * FROM conversations'))).not.to.include('canary');
  });

  it('drops one bad write and performs the others', () => {
    const store = rig.open();
    store.saveConversation(conversationId('bad'), () => {
      throw new TypeError('nobody can read this');
    });
    store.saveConversation(ONE, () => conversation('session-1'));
    store.flush();
    expect(store.conversationsOf({ session: 'session-1', agent: null })).to.have.length(1);
    expect(rig.events('store.write_failed').map(({ fields }) => fields)).to.deep.equal([
      { what: 'conversation', message: 'nobody can read this' },
    ]);
    expect(store.isOpen).to.equal(true);
  });

  it('returns nothing and throws nothing while it is not open, and writes later', () => {
    const store = rig.store();
    store.saveConversation(ONE, () => conversation('session-1'));
    store.saveCheckpoint(checkpoint('cp-1'));
    store.flush();
    expect([store.checkpoints(), store.wal(ONE, CP), store.isOpen]).to.deep.equal([[], [], false]);
    store.open();
    expect(store.checkpoints()).to.have.length(1);
    expect(store.conversationsOf({ session: 'session-1', agent: null })).to.have.length(1);
  });
});
