import { expect } from 'chai';
import { extractSummary } from '../../../src/compaction/summary-text.ts';
import { readCompaction } from '../../../src/wire/compaction.ts';
import { readMessageRequest } from '../../../src/wire/message-request.ts';
import { readTitle } from '../../../src/wire/title.ts';

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
