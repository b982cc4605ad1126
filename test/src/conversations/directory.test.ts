import { expect } from 'chai';
import fc from 'fast-check';
import { conversationId } from '../../../machines/units.ts';
import { ConversationDirectory, type ConversationQuery } from '../../../src/conversations/directory.ts';

const SESSION = '9327770a-2e2f-4398-be7f-e457ceb5277f';
const AGENT = 'ad077ce8adab61bae';

const query = (root: string, more: Partial<ConversationQuery> = {}): ConversationQuery => ({
  session: SESSION,
  agent: null,
  root: root.repeat(8).padEnd(32, '0'),
  continuation: false,
  ...more,
});

describe('the directory of conversations', () => {
  let directory: ConversationDirectory;
  beforeEach(() => {
    directory = new ConversationDirectory();
  });

  it('names a conversation after its session, and finds it again', () => {
    expect(directory.locate(query('a'))).to.deep.equal({ id: SESSION, replaced: false });
    expect(directory.locate(query('a'))).to.deep.equal({ id: SESSION, replaced: false });
  });

  it('distinguishes agents by their header, also with the same first message', () => {
    const main = directory.locate(query('a')).id;
    const one = directory.locate(query('b', { agent: AGENT })).id;
    const two = directory.locate(query('b', { agent: 'b1' })).id;
    expect(new Set([main, one, two])).to.have.length(3);
    expect(one).to.equal(`${SESSION}.${AGENT}`);
    expect(directory.locate(query('a')).id).to.equal(main);
    expect(directory.locate(query('b', { agent: AGENT })).id).to.equal(one);
  });

  it('distinguishes agents without header by their first message (older clients)', () => {
    const main = directory.locate(query('a')).id;
    const agent = directory.locate(query('b')).id;
    const warmup = directory.locate(query('c')).id;
    expect(new Set([main, agent, warmup])).to.have.length(3);
    expect(agent).to.equal(`${SESSION}~bbbbbbbb`);
    expect(directory.locate(query('a'))).to.deep.equal({ id: main, replaced: false });
    expect(directory.locate(query('b')).id).to.equal(agent);
  });

  it('has one conversation for two agents without header that have the same first message', () => {
    expect(directory.locate(query('b')).id).to.equal(directory.locate(query('b')).id);
  });

  it('opens another conversation for a fork or a resume under a new session, and for /clear', () => {
    const before = directory.locate(query('a')).id;
    expect(directory.locate(query('a', { session: 'other' }))).to.deep.equal({ id: 'other', replaced: false });
    expect(directory.locate(query('a')).id).to.equal(before);
  });

  it('keeps a conversation that is resumed under its own session, rewound or edited behind its beginning', () => {
    const before = directory.locate(query('a')).id;
    for (let times = 0; times < 3; times += 1) expect(directory.locate(query('a')).id).to.equal(before);
  });

  describe('follows a conversation through its compaction', () => {
    it('once, and says so once', () => {
      const { id } = directory.locate(query('a'));
      expect(directory.locate(query('b', { continuation: true }))).to.deep.equal({ id, replaced: true });
      expect(directory.locate(query('b', { continuation: true }))).to.deep.equal({ id, replaced: false });
    });

    it('again and again', () => {
      const { id } = directory.locate(query('a'));
      for (let times = 0; times < 40; times += 1) {
        expect(directory.locate(query(String.fromCharCode(98 + times), { continuation: true }))).to.deep.equal({
          id,
          replaced: true,
        });
      }
    });

    it('and back to what was before it', () => {
      const { id } = directory.locate(query('a'));
      directory.locate(query('b', { continuation: true }));
      expect(directory.locate(query('a'))).to.deep.equal({ id, replaced: false });
      expect(directory.locate(query('b', { continuation: true }))).to.deep.equal({ id, replaced: true });
    });

    it('of the agent that compacted', () => {
      const main = directory.locate(query('a')).id;
      const agent = directory.locate(query('b', { agent: AGENT })).id;
      expect(directory.locate(query('c', { agent: AGENT, continuation: true }))).to.deep.equal({
        id: agent,
        replaced: true,
      });
      expect(directory.locate(query('d', { continuation: true }))).to.deep.equal({ id: main, replaced: true });
    });

    it('also with requests of an agent without header or of others in between (older clients)', () => {
      const main = directory.locate(query('a')).id;
      directory.locate(query('b'));
      directory.locate(query('c'));
      expect(directory.locateCompaction(query('a'))).to.equal(main);
      expect(directory.locate(query('d', { continuation: true }))).to.deep.equal({ id: main, replaced: true });
    });

    it('and opens one when there is none', () => {
      expect(directory.locate(query('a', { continuation: true }))).to.deep.equal({ id: SESSION, replaced: false });
    });
  });

  it('finds the conversation of a compaction, or the one with the latest request', () => {
    expect(directory.locateCompaction(query('a'))).to.equal(null);
    const one = directory.locate(query('a')).id;
    const two = directory.locate(query('b')).id;
    expect(directory.locateCompaction(query('a'))).to.equal(one);
    expect(directory.locateCompaction(query('z'))).to.equal(two);
    expect(directory.locateCompaction(query('a', { session: 'other' }))).to.equal(null);
  });

  it('knows the conversation with the latest request', () => {
    expect(directory.latestOf({ session: SESSION, agent: null })).to.equal(null);
    const one = directory.locate(query('a')).id;
    const two = directory.locate(query('b')).id;
    expect(directory.latestOf({ session: SESSION, agent: null })).to.equal(two);
    directory.locate(query('a'));
    expect(directory.latestOf({ session: SESSION, agent: null })).to.equal(one);
    expect(directory.latestOf({ session: SESSION, agent: AGENT })).to.equal(null);
  });

  it('forgets a conversation, and starts again', () => {
    const { id } = directory.locate(query('a'));
    directory.locate(query('b'));
    directory.forget(id);
    directory.forget(conversationId('never heard of'));
    expect(directory.locateCompaction(query('a'))).not.to.equal(id);
    directory.forget(directory.locate(query('b')).id);
    expect(directory.latestOf({ session: SESSION, agent: null })).to.equal(null);
    expect(directory.locate(query('a'))).to.deep.equal({ id: SESSION, replaced: false });
  });

  it('gives different conversations different names', () => {
    const roots = fc.constantFrom('a', 'b', 'c');
    const who = fc.record({
      session: fc.constantFrom(null, 's', 's.t', 'a b', '', 'anonymous', SESSION),
      agent: fc.constantFrom(null, 't', 'a b', 's~aaaaaaaa'),
      continuation: fc.constant(false),
    });
    const gone = fc.integer({ min: 0, max: 5 });
    fc.assert(
      fc.property(fc.array(fc.tuple(roots, who, gone), { maxLength: 20 }), (steps) => {
        const fresh = new ConversationDirectory();
        const names = new Map<string, string>();
        for (const [root, speaker, forget] of steps) {
          const key = JSON.stringify([root, speaker]);
          const { id } = fresh.locate(query(root, speaker));
          const known = names.get(key);
          if (known === undefined) expect([...names.values()]).not.to.include(id);
          else expect(id).to.equal(known);
          names.set(key, id);
          expect(id).to.match(/^[\w.~+-]{1,200}$/);
          if (forget > 0) continue;
          fresh.forget(id);
          names.delete(key);
        }
      }),
      { seed: 20260731, numRuns: 200 },
    );
  });

  it('uses only characters that are valid in a header', () => {
    for (const session of ['a\r\nb', '🙂', 'x'.repeat(200), '/../', ' ']) {
      expect(directory.locate(query('a', { session, agent: session })).id).to.match(/^[\w.~+-]{1,100}$/);
    }
  });
});
