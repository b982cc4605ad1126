import { expect } from 'chai';
import fc from 'fast-check';
import { recentMessages } from '../../../src/compaction/recent-messages.ts';
import { blocksOf, textOf, type Block, type Message } from '../../../src/wire/message-request.ts';
import { visibleText } from '../../../src/wire/reminders.ts';
import { continuation, dice } from '../../support/histories.ts';
import { isThinking, VARIATIONS } from '../../support/history-changes.ts';

const SEED = { seed: 20260731 };
const ROOM = 1_000_000;

const user = (content: Message['content']): Message => ({ role: 'user', content });
const assistant = (content: Message['content']): Message => ({ role: 'assistant', content });
const call = (input: unknown, id = 't', name = 'Bash'): Block => ({ type: 'tool_use', id, name, input });
const result = (content: unknown, id = 't', more: object = {}): Block => ({
  type: 'tool_result',
  tool_use_id: id,
  content,
  ...more,
});
const typed = (words: string): string =>
  `<system-reminder>\nThe user sent a new message while you were working:\n${words}\n\nThis is how Claude Code surfaces it.</system-reminder>`;

/** What people and the assistant said, piece by piece. */
const words = (messages: readonly Message[]): string[] =>
  messages
    .filter(({ role }) => role !== 'system')
    .flatMap((message) => blocksOf(message).flatMap((block) => visibleText(textOf(block) ?? '') || []));

/** Expects the pieces to stand in the text one behind the other. */
function expectInOrder(text: string | null, pieces: readonly string[]): void {
  let from = 0;
  for (const piece of pieces) {
    const at = (text ?? '').indexOf(piece, from);
    expect(at, `"${piece}" behind ${from} in ${text ?? 'nothing'}`).to.be.at.least(0);
    from = at + piece.length;
  }
}

/** The smallest budget with which there is a text, by halving. */
function smallestBudget(messages: readonly Message[]): number {
  let low = 0;
  let high = ROOM;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (recentMessages(messages, middle) === null) low = middle + 1;
    else high = middle;
  }
  return low;
}

describe('recent messages', () => {
  it('contain every word of the user and the assistant, in order', () => {
    fc.assert(
      fc.property(continuation, dice, (messages, rolls) => {
        expectInOrder(recentMessages(VARIATIONS['reminders come'](messages, rolls), ROOM), words(messages));
      }),
      { ...SEED, numRuns: 150 },
    );
  });

  it('contain them also when hardly anything else fits', () => {
    fc.assert(
      fc.property(continuation, (messages) => {
        const budget = smallestBudget(messages);
        expectInOrder(recentMessages(messages, budget), words(messages));
        expect(recentMessages(messages, budget - 1)).to.equal(null);
      }),
      { ...SEED, numRuns: 50 },
    );
  });

  it('are never longer than their budget, and a larger budget never makes them fail', () => {
    fc.assert(
      fc.property(continuation, fc.integer({ min: 0, max: 6_000 }), fc.nat(500), (messages, budget, more) => {
        const text = recentMessages(messages, budget);
        expect(text?.length ?? 0).to.be.at.most(budget);
        if (text !== null) expect(recentMessages(messages, budget + more)).not.to.equal(null);
      }),
      { ...SEED, numRuns: 150 },
    );
  });

  it('contain no thinking, no signature and no reminder', () => {
    fc.assert(
      fc.property(continuation, dice, (messages, rolls) => {
        const thoughtful = messages.map((message) => ({
          ...message,
          content: blocksOf(message).map((block) =>
            isThinking(block) ? { ...block, thinking: 'SECRET', signature: 'SECRET', data: 'SECRET' } : block,
          ),
        }));
        const text = recentMessages(VARIATIONS['reminders come'](thoughtful, rolls), ROOM);
        expect(text).not.to.match(/SECRET|<system-reminder>|Today is Monday/);
      }),
      { ...SEED, numRuns: 100 },
    );
  });

  it('are empty when there is no text', () => {
    expect(recentMessages([], 0)).to.equal('');
    expect(recentMessages([user('<system-reminder>x</system-reminder>'), user(' \n')], 0)).to.equal('');
    expect(recentMessages([assistant([{ type: 'thinking', thinking: 'x' }])], 0)).to.equal('');
  });

  it('say who said what', () => {
    const text = recentMessages([user('one'), assistant('two'), { role: 'system', content: 'three' }], ROOM);
    expect(text).to.match(/### User\none\n\n### Assistant\ntwo\n\n### System\nthree$/);
  });

  it('show tool calls and results with the tool’s name, and whether it failed', () => {
    const text = recentMessages(
      [
        assistant([call({ command: 'ls' })]),
        user([result('a.txt'), result([{ type: 'text', text: 'no' }, { type: 'image' }], 'u', { is_error: true })]),
      ],
      ROOM,
    );
    expect(text).to.include('[Tool call Bash: {"command":"ls"}]');
    expect(text).to.include('[Result of Bash: a.txt]');
    expect(text).to.include('[Result of tool, failed: no\n[image]]');
  });

  it('name the type of blocks without text', () => {
    const text = recentMessages(
      [
        user([
          { type: 'image', source: { data: 'x'.repeat(9_999) } },
          { type: 'document', source: {} },
          { type: 'mystery', of: 1 },
        ]),
      ],
      500,
    );
    expect(text).to.include('[image]\n[document]\n[mystery: {"type":"mystery","of":1}]');
  });

  it('shorten tool calls and results more with a smaller budget', () => {
    const output = Array.from({ length: 3_000 }, (_, at) => `line ${at}`).join('\n');
    const messages = [
      user('go'),
      assistant([call({ command: output }), call({ command: output }, 'u')]),
      user([result(output), result(output, 'u')]),
      assistant('done'),
    ];
    const lengths = [ROOM, 9_000, 5_000, 2_000, 900, smallestBudget(messages)].map(
      (budget) => recentMessages(messages, budget)?.length ?? 0,
    );
    expect(lengths).to.deep.equal([...lengths].sort((a, b) => b - a));
    expect(lengths.at(-1)).to.be.greaterThan(0).and.below(700);
    expect(recentMessages(messages, 2_000)).to.match(/line 0\b[^]*characters left out[^]*line 2999/);
  });

  it('keep more of the newest message', () => {
    const output = (letter: string): string => letter.repeat(50_000);
    const text = recentMessages([user([result(output('a'))]), user([result(output('b'), 'u')])], 20_000) ?? '';
    const kept = (letter: string): number => text.length - text.replaceAll(letter, '').length;
    expect(kept('b')).to.be.greaterThan(3 * kept('a'));
  });

  it('are null when the words alone do not fit', () => {
    expect(recentMessages([user('word '.repeat(1_000))], 4_000)).to.equal(null);
    expect(recentMessages([user('word')], 10)).to.equal(null);
  });

  it('contain what was typed while a tool ran, in full, however short the tool’s result is', () => {
    const output = 'x'.repeat(30_000);
    const said = 'Please do not touch the lexer! '.repeat(30).trim();
    for (const content of [
      `${output}\n\n${typed(said)}`,
      [
        { type: 'text', text: output },
        { type: 'text', text: typed(said) },
      ],
    ]) {
      const messages = [
        assistant([call({ command: 'cat' })]),
        user([result(content)]),
        assistant([call({})]),
        user([result(output)]),
      ];
      expect(recentMessages(messages, ROOM), 'with room').to.include(said);
      expect(recentMessages(messages, smallestBudget(messages)), 'without room').to.include(said);
    }
  });

  it('contain what was typed while the assistant worked, as a text of its own', () => {
    expect(recentMessages([user([result('ok'), { type: 'text', text: typed('use tabs') }])], ROOM)).to.include(
      'use tabs',
    );
  });

  it('never cut a character in two', () => {
    for (const shift of ['', 'x']) {
      const output = shift + '🙂'.repeat(20_000);
      for (const budget of [ROOM, 9_000, 2_000, 1_000]) {
        const text = recentMessages(
          [
            assistant([call({ a: output })]),
            user([result(output)]),
            { role: 'system', content: output },
            assistant('x'),
          ],
          budget,
        );
        expect(text).to.be.a('string');
        expect(/\p{Surrogate}/u.test(text ?? ''), `shifted by ${shift.length}, within ${budget}`).to.equal(false);
      }
    }
  });
});
