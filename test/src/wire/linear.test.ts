import { expect } from 'chai';
import { extractSummary } from '../../../src/compaction/summary-text.ts';
import { readCompaction } from '../../../src/wire/compaction.ts';
import { readMessageRequest } from '../../../src/wire/message-request.ts';
import { AnswerReader, usedTokens } from '../../../src/wire/answer-reader.ts';
import { readTitle } from '../../../src/wire/title.ts';
import { contextWindow } from '../../../src/wire/windows.ts';

const MEGABYTE = 1_048_576;
/** Far more than a linear scan of one megabyte takes, far less than a quadratic one. */
const LIMIT_MS = 2_000;

const request = (body: object) => {
  const parsed = readMessageRequest(Buffer.from(JSON.stringify({ model: 'm', max_tokens: 1, ...body })));
  if (parsed === null) throw new Error('the request cannot be read');
  return parsed;
};
const said = (text: string) => request({ messages: [{ role: 'user', content: text }] });

const CASES: Readonly<Record<string, () => unknown>> = {
  'opening command tags': () => readTitle(said('<bash-a>'.repeat(MEGABYTE / 8))),
  'command tags of many names': () =>
    readTitle(said(Array.from({ length: 60_000 }, (_, at) => `<bash-${letters(at)}>`).join(''))),
  'blanks behind a folder': () =>
    readTitle(
      request({ system: `Working directory: a${' '.repeat(MEGABYTE)}b`, messages: [{ role: 'user', content: 'x' }] }),
    ),
  'beginnings of "summary"': () => readCompaction(said('summar'.repeat(MEGABYTE / 6)), 'compaction'),
  'opening analysis tags': () => extractSummary('<analysis>'.repeat(MEGABYTE / 10)),
  'opening summary tags': () => extractSummary('<summary>'.repeat(MEGABYTE / 9)),
};

const letters = (number: number): string =>
  Array.from(number.toString(26), (digit) => String.fromCharCode(97 + parseInt(digit, 26))).join('');

describe('foreign text of one megabyte', () => {
  for (const [name, scan] of Object.entries(CASES)) {
    it(`is scanned in linear time: ${name}`, () => {
      const began = performance.now();
      scan();
      expect(performance.now() - began).to.be.below(LIMIT_MS);
    });
  }

  it('leaves out commands with their output, and nothing else', () => {
    const words = (text: string) => readTitle(said(text)).words;
    expect(words('a <bash-input>ls</bash-input> b')).to.equal('a b');
    expect(words('a <bash-input>x</bash-input>y</bash-input> b')).to.equal('a y</bash-input> b');
    expect(words('<bash-input>never closed')).to.equal('<bash-input>never closed');
    expect(words('<bash-a><bash-b></bash-a></bash-b> c')).to.equal('</bash-b> c');
  });
});

describe('usage and windows as the client reads them', () => {
  it('keeps what message_start told when message_delta ends with zeros (some gateways)', () => {
    const reader = new AnswerReader({ keepText: false });
    const event = (name: string, data: object) => ({ event: name, data: JSON.stringify({ type: name, ...data }) });
    reader.takeEvent(event('message_start', { message: { usage: { input_tokens: 130_000, output_tokens: 1 } } }));
    reader.takeEvent(event('message_delta', { usage: { input_tokens: 0, output_tokens: 20 } }));
    expect(usedTokens(reader.usage)).to.equal(130_020);
  });

  for (const model of ['claude-opus-4-7', 'claude-opus-4-8', 'claude-opus-4-8-20260801']) {
    it(`takes ${model} for a model of one million tokens (2.1.330)`, () => {
      expect(contextWindow(model, '', { configured: {}, learned: new Map() })).to.equal(1_000_000);
    });
  }
});
