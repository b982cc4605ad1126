import { expect } from 'chai';
import fc from 'fast-check';
import {
  coveredBlocks,
  lineageOf,
  linkKey,
  matchesAt,
  messagesAfter,
  rootOf,
  fullPrefix,
} from '../../../src/wire/lineage.ts';
import { blocksOf, historyFrom, type Block, type Message } from '../../../src/wire/message-request.ts';
import { continuation, dice, Dice, history } from '../../support/histories.ts';
import {
  EDITS,
  isThinking,
  VARIATIONS,
  varied,
  type EditName,
  type VariationName,
} from '../../support/history-changes.ts';

const SEED = { seed: 20260731 };

/** How many blocks of `messages` are covered by a checkpoint of the whole of `known`; 0 when it does not begin with it. */
const covered = (messages: readonly Message[], known: readonly Message[]): number =>
  coveredBlocks(lineageOf(messages), fullPrefix(lineageOf(known)));

const user = (content: Message['content']): Message => ({ role: 'user', content });
const assistant = (content: Message['content']): Message => ({ role: 'assistant', content });
const text = (said: string): Block => ({ type: 'text', text: said });

/** Blocks with their roles, wherever the bounds of messages are. */
const flat = (messages: readonly Message[]): unknown[] =>
  messages.flatMap((message) => blocksOf(message).map((block) => [message.role, block]));

describe('the lineage of histories', () => {
  it('accepts every extension', () => {
    fc.assert(
      fc.property(history, continuation, (before, after) => {
        const known = lineageOf(before);
        expect(known.length).to.be.greaterThan(0);
        expect(covered([...before, ...after], before)).to.equal(known.length);
        expect(covered(before, before)).to.equal(known.length);
      }),
      { ...SEED, numRuns: 150 },
    );
  });

  it('is kept in no more memory than it takes', () => {
    const { details } = fullPrefix(lineageOf([user('one'), assistant('two'), user('three')]));
    expect([details.length, details.buffer.byteLength]).to.deep.equal([8, 8]);
  });

  it('does not take a beginning for the whole', () => {
    fc.assert(
      fc.property(history, continuation, (before, after) => {
        expect(covered(before, [...before, ...after])).to.equal(0);
      }),
      { ...SEED, numRuns: 100 },
    );
  });

  describe('is the same when', () => {
    for (const name of Object.keys(VARIATIONS) as VariationName[]) {
      it(name, () => {
        fc.assert(
          fc.property(history, continuation, dice, (before, after, rolls) => {
            const { length } = lineageOf(before);
            const whole = [...before, ...after];
            expect(covered(VARIATIONS[name](whole, rolls), before), 'of the request').to.equal(length);
            expect(covered(whole, VARIATIONS[name](before, rolls)), 'of the checkpoint').to.equal(length);
          }),
          { ...SEED, numRuns: 70 },
        );
      });
    }

    it('any of these come together, on both sides', () => {
      fc.assert(
        fc.property(history, continuation, dice, (before, after, rolls) => {
          const { length } = lineageOf(before);
          const known = varied(before, rolls);
          expect(lineageOf(known)).to.have.length(length);
          expect(covered(varied([...before, ...after], rolls), known)).to.equal(length);
        }),
        { ...SEED, numRuns: 400 },
      );
    });
  });

  describe('notices a change of', () => {
    /** Variations that take away what the edit is about. */
    const HIDE: Partial<Record<EditName, readonly VariationName[]>> = {
      'the content of a tool result': ['tool results are cleared'],
      'whether a tool failed': ['tool results are cleared'],
      thinking: ['thinking is dropped'],
    };
    for (const name of Object.keys(EDITS) as EditName[]) {
      it(name, () => {
        let edits = 0;
        fc.assert(
          fc.property(history, continuation, dice, (before, after, rolls) => {
            const edited = EDITS[name](before, rolls);
            if (edited === null) return;
            edits += 1;
            const known = varied(before, rolls, HIDE[name]);
            expect(covered([...edited, ...after], before), 'as it is').to.equal(0);
            expect(covered(varied([...edited, ...after], rolls, HIDE[name]), known), 'varied').to.equal(0);
          }),
          { ...SEED, numRuns: 100 },
        );
        expect(edits, 'histories that could be edited').to.be.greaterThan(10);
      });
    }

    it('the last blocks, when the history was rewound and goes on otherwise', () => {
      fc.assert(
        fc.property(history, continuation, dice, (before, after, rolls) => {
          const rewound = before.slice(0, rolls.roll(before.length));
          expect(covered([...rewound, ...after], before)).to.equal(0);
        }),
        { ...SEED, numRuns: 100 },
      );
    });
  });

  describe('takes as the same', () => {
    const same = (left: Message, right: Message): void => {
      expect(covered([left, assistant('ok')], [right]), 'left begins with right').to.equal(1);
      expect(covered([right, assistant('ok')], [left]), 'right begins with left').to.equal(1);
    };
    it('a string and one text block', () => same(user('hello'), user([text('hello')])));
    it('a text and the same with a newline behind it', () => same(user('hello'), user('hello\n')));
    it('a text with a reminder before, behind and beside it', () => {
      same(
        user('hello'),
        user([text('<system-reminder>a</system-reminder>\n'), text('hello\n<system-reminder>b</system-reminder>')]),
      );
    });
    it('a reminder with a reminder inside', () => {
      same(user('hello'), user('<system-reminder>a <system-reminder>b</system-reminder> c</system-reminder>hello'));
    });
    it('a result without content and one with nothing but a reminder', () => {
      const result = (content: unknown): Block => ({ type: 'tool_result', tool_use_id: 't', content });
      same(user([result('')]), user([result('<system-reminder>x</system-reminder>')]));
      same(user([result('')]), user([result([])]));
      same(user([result('')]), user([{ type: 'tool_result', tool_use_id: 't' }]));
    });
    it('a mark inside a tool result', () => {
      const result = (inner: Block): Message => user([{ type: 'tool_result', tool_use_id: 't', content: [inner] }]);
      same(result(text('a')), result({ ...text('a'), cache_control: { type: 'ephemeral' } }));
    });
    it('a tool result and any form of it cleared', () => {
      const result = (content: unknown): Message => user([{ type: 'tool_result', tool_use_id: 't', content }]);
      same(result('all that was read'), result('[Old tool result content cleared]'));
      same(result([text('all')]), result([text('[Old tool result content cleared]')]));
      same(
        result('all'),
        result('<persisted-output>Tool result saved to: /t.txt\n\nUse Read to view</persisted-output>'),
      );
    });
  });

  describe('tells apart', () => {
    const apart = (left: Message, right: Message): void => {
      expect(covered([left, assistant('ok')], [right])).to.equal(0);
      expect(covered([right, assistant('ok')], [left])).to.equal(0);
    };
    it('upper and lower case', () => apart(user('hello'), user('Hello')));
    it('one text and two', () => apart(user('ab'), user([text('a'), text('b')])));
    it('a number and its digits', () => {
      const call = (input: unknown): Message => assistant([{ type: 'tool_use', id: 't', name: 'n', input }]);
      apart(call({ a: 1 }), call({ a: '1' }));
      apart(call({ a: null }), call({ a: 'null' }));
      apart(call({ a: null }), call({}));
      apart(call({ a: ['b', 'c'] }), call({ a: ['b,c'] }));
      apart(call({ a: [['b']] }), call({ a: ['b'] }));
      apart(call({ a: { b: 'c' } }), call({ a: 'b', c: '' }));
      apart(call([]), call({}));
    });
    it('texts that only look cleared', () => {
      const result = (content: string): Message => user([{ type: 'tool_result', tool_use_id: 't', content }]);
      apart(result('all'), result('he said [Old tool result content cleared]'));
      apart(user('all'), user('[Old tool result content cleared]'));
    });
    it('what stands between tags that do not pair', () => {
      apart(user('a <system-reminder> b'), user('a <system-reminder> c'));
      apart(user('b </system-reminder> a'), user('c </system-reminder> a'));
    });
    it('two halves of characters', () => apart(user('a\ud800'), user('a\ud801')));
    it('thinking at the end of an answer', () => {
      const thought = (thinking: string): Message =>
        assistant([text('a'), { type: 'thinking', thinking, signature: 's' }]);
      apart(thought('yes'), thought('no'));
    });
    it('thoughts between the blocks of an answer', () => {
      const thought = (thinking: string): Message =>
        assistant([text('a'), { type: 'thinking', thinking, signature: 's' }, text('b')]);
      const known = [user('q'), thought('yes')];
      expect(covered([user('q'), thought('no'), user('more')], known)).to.equal(0);
      expect(covered([user('q'), thought('yes'), user('more')], known)).to.equal(3);
    });
  });

  it('gives what is left behind a checkpoint, all of it and nothing else', () => {
    fc.assert(
      fc.property(history, continuation, dice, fc.boolean(), (before, after, rolls, joined) => {
        const changed = varied(before, rolls);
        const all = [...changed, ...after];
        const messages = joined ? VARIATIONS['user messages in a row are joined'](all) : all;
        const lineage = lineageOf(messages);
        const count = coveredBlocks(lineage, fullPrefix(lineageOf(before)));
        const left = messagesAfter(historyFrom(messages), lineage, count);
        // Reminders behind the last block that counts are left over as well; they say nothing.
        const known = flat(changed);
        const extra = flat(left).length - flat(after).length;
        expect(extra).to.be.at.least(0);
        expect(flat(left)).to.deep.equal([...known.slice(known.length - extra), ...flat(after)]);
        expect(lineageOf(left)).to.have.length(lineage.length - count);
        expect(lineageOf(known.slice(known.length - extra).map(asMessage))).to.have.length(0);
      }),
      { ...SEED, numRuns: 150 },
    );
  });

  it('gives all messages when nothing is covered, and none when everything is', () => {
    fc.assert(
      fc.property(history, (messages) => {
        const lineage = lineageOf(messages);
        expect(messagesAfter(historyFrom(messages), lineage, 0)).to.deep.equal(messages);
        expect(messagesAfter(historyFrom(messages), lineage, lineage.length)).to.deep.equal([]);
      }),
      { ...SEED, numRuns: 100 },
    );
  });

  it('splits a message that holds both what is covered and what is not', () => {
    const known = [user('one'), assistant('two'), user([text('three')])];
    const messages = [user('one'), assistant('two'), user([text('three\n'), text('four')])];
    const lineage = lineageOf(messages);
    expect(coveredBlocks(lineage, fullPrefix(lineageOf(known)))).to.equal(3);
    expect(messagesAfter(historyFrom(messages), lineage, 3)).to.deep.equal([user([text('four')])]);
  });

  it('has one link per block, each for its whole beginning', () => {
    fc.assert(
      fc.property(history, continuation, (before, after) => {
        const short = lineageOf(before);
        const long = lineageOf([...before, ...after]);
        for (let count = 1; count <= short.length; count += 1) {
          expect(linkKey(short, count)).to.equal(linkKey(long, count)).and.to.have.length(16);
        }
        expect(new Set(Array.from({ length: long.length }, (_, at) => linkKey(long, at + 1)))).to.have.length(
          long.length,
        );
        expect(linkKey(long, 0)).to.equal('');
      }),
      { ...SEED, numRuns: 100 },
    );
  });

  it('matches a prefix at its own length only', () => {
    fc.assert(
      fc.property(history, continuation, (before, after) => {
        const prefix = fullPrefix(lineageOf(before));
        const long = lineageOf([...before, ...after]);
        const matching = Array.from({ length: long.length + 2 }, (_, count) => count).filter((count) =>
          matchesAt(long, count, prefix),
        );
        expect(matching).to.deep.equal([lineageOf(before).length]);
        expect(prefix.messages).to.equal(before.length);
      }),
      { ...SEED, numRuns: 100 },
    );
  });

  it('knows a history by its first block', () => {
    fc.assert(
      fc.property(history, continuation, dice, (before, after, rolls) => {
        const root = rootOf(historyFrom(before));
        expect(root).to.have.length(32);
        expect(rootOf(historyFrom(varied([...before, ...after], rolls, ['tool results are cleared'])))).to.equal(root);
        expect(rootOf(historyFrom(after))).not.to.equal(root);
      }),
      { ...SEED, numRuns: 100 },
    );
    expect(rootOf(historyFrom([]))).to.equal('');
    expect(rootOf(historyFrom([user('<system-reminder>only</system-reminder>')]))).to.equal('');
  });

  it('is empty for a history in which nothing counts', () => {
    const messages = [
      user('<system-reminder>a</system-reminder>'),
      assistant([{ type: 'thinking', thinking: 'x' }]),
      user(' \n'),
    ];
    expect(lineageOf(messages)).to.have.length(0);
    expect(coveredBlocks(lineageOf([...messages, user('hello')]), fullPrefix(lineageOf(messages)))).to.equal(0);
    expect(lineageOf([])).to.have.length(0);
  });

  it('reads a thousand messages fast', () => {
    const messages = Array.from({ length: 1_000 }, (_, at) => user(`message ${at} ${'x'.repeat(4_000)}`));
    const began = performance.now();
    expect(lineageOf(messages)).to.have.length(1_000);
    expect(performance.now() - began).to.be.below(2_500);
  });

  it('keeps nothing of what was said', () => {
    const lineage = lineageOf([
      user('a secret of mine'),
      assistant([{ type: 'thinking', thinking: 'another' }, text('x')]),
    ]);
    const kept = [lineage.links, lineage.details, Buffer.from(fullPrefix(lineage).key, 'latin1')];
    for (const bytes of kept) expect(bytes.includes('secret') || bytes.includes('another')).to.equal(false);
  });
});

const asMessage = (pair: unknown): Message => {
  const [role, block] = pair as [string, Block];
  return { role, content: [block] };
};

describe('the changes that these tests make', () => {
  it('are the same for the same seed', () => {
    const messages = [user('one two three'), assistant('four')];
    for (const edit of Object.values(EDITS)) {
      expect(edit(messages, new Dice(5))).to.deep.equal(edit(messages, new Dice(5)));
    }
  });

  it('leave no thinking where it is dropped from all', () => {
    fc.assert(
      fc.property(history, (messages) => {
        let left = messages;
        for (let seed = 0; seed < 20; seed += 1) left = VARIATIONS['thinking is dropped'](left, new Dice(seed));
        expect(left.flatMap((message) => blocksOf(message)).filter(isThinking)).to.deep.equal([]);
      }),
      { ...SEED, numRuns: 20 },
    );
  });
});
