import { expect } from 'chai';
import fc from 'fast-check';
import { answerText, escapeTags, extractSummary } from '../../../src/compaction/summary-text.ts';
import { text } from '../../support/histories.ts';

const SEED = { seed: 20260731 };

/** What 2.1.330 makes of an answer's text (from its source). */
function clientReads(answer: string): string {
  const rest = answer.replace(/<analysis>[\s\S]*?<\/analysis>/, '');
  const summary = /<summary>([\s\S]*?)<\/summary>/.exec(rest);
  const taken =
    summary === null
      ? rest
      : rest.replace(/<summary>[\s\S]*?<\/summary>/, () => `Summary:\n${(summary[1] ?? '').trim()}`);
  return collapsed(taken);
}

const collapsed = (said: string): string => said.replace(/\n\n+/g, '\n\n').trim();
const unescaped = (said: string): string => said.replace(/&lt;(\/?(?:summary|analysis|system-reminder))&gt;/gi, '<$1>');

const tagged = fc
  .array(
    fc.oneof(
      text,
      fc.constantFrom(
        '<summary>',
        '</summary>',
        '<analysis>',
        '</analysis>',
        '<system-reminder>',
        '</system-reminder>',
      ),
      fc.constantFrom(
        '<SUMMARY>',
        '</Analysis>',
        '<<summary>summary>',
        '<sum<summary>mary>',
        '</</summary>summary>',
        '$1',
        "$'",
        '$&',
      ),
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((parts) => parts.join('\n'));

describe('the text of a served summary', () => {
  it('is read by the client unchanged, whatever it contains', () => {
    fc.assert(
      fc.property(tagged, fc.oneof(fc.constant(''), tagged), (summary, recent) => {
        const answer = answerText(summary, recent);
        const whole = recent === '' ? summary : `${summary}\n\n${recent}`;
        expect(answer.match(/<summary>/gi)).to.have.length(1);
        expect(answer.match(/<\/summary>/gi)).to.have.length(1);
        expect(answer).not.to.match(/<\/?(analysis|system-reminder)>/i);
        const read = clientReads(answer);
        expect(read.startsWith('Summary:\n')).to.equal(true);
        expect(unescaped(read.slice('Summary:\n'.length))).to.equal(collapsed(whole));
      }),
      { ...SEED, numRuns: 400 },
    );
  });

  it('contains no tag that the client looks for, however deeply tags are nested', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('<', '</', 'summary', 'analysis', '>', 'SYSTEM-reminder', 'system-reminder'), {
          maxLength: 20,
        }),
        (parts) => {
          expect(escapeTags(parts.join(''))).not.to.match(/<\/?(summary|analysis|system-reminder)>/i);
        },
      ),
      { ...SEED, numRuns: 400 },
    );
  });

  it('leaves all else as it is', () => {
    expect(escapeTags('<b> & <summary-x> &lt;summary>')).to.equal('<b> & <summary-x> &lt;summary>');
    expect(answerText('one', '')).to.equal('<summary>\none\n</summary>');
    expect(answerText('one', 'two')).to.equal('<summary>\none\n\ntwo\n</summary>');
  });
});

describe('the summary in an answer', () => {
  for (const [what, answer, summary] of [
    ['stands in its tags', '<summary>\none\n</summary>', 'one'],
    ['stands behind the analysis', '<analysis>\nlong\n</analysis>\n\n<summary>\none\n</summary>\nbye', 'one'],
    ['may quote its own tags', '<summary>one </summary> two</summary>', 'one </summary> two'],
    [
      'is not what the analysis says of it',
      '<analysis>I will write <summary>no</summary></analysis><summary>one</summary>',
      'one',
    ],
    ['may lack its end', '<summary>\none', 'one'],
    ['may lack its tags', 'one\n\ntwo\n', 'one\n\ntwo'],
    ['may lack its tags but not its analysis', '<analysis>a</analysis>\none', 'one'],
    ['may be in capitals', '<SUMMARY>one</SUMMARY>', 'one'],
    ['may be nothing', '<analysis>a</analysis><summary>\n</summary>', ''],
    ['may be nothing at all', ' \n', ''],
  ] as const) {
    it(what, () => expect(extractSummary(answer)).to.equal(summary));
  }

  it('is found again in what is served', () => {
    fc.assert(
      fc.property(text, (said) => {
        expect(extractSummary(answerText(said, ''))).to.equal(escapeTags(said).trim());
      }),
      { ...SEED, numRuns: 100 },
    );
  });

  it('is found in quadratic time at most, whatever the model wrote', () => {
    const began = performance.now();
    extractSummary('<analysis>'.repeat(4_000));
    extractSummary('<summary>'.repeat(4_000));
    extractSummary('</summary>'.repeat(4_000));
    expect(performance.now() - began).to.be.below(4_000);
  });
});
