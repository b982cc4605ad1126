import { expect } from 'chai';
import fc from 'fast-check';
import { visibleText, withoutReminders } from '../../../src/wire/reminders.ts';
import { anyCharacter } from '../../support/histories.ts';

const R = (said: string): string => `<system-reminder>${said}</system-reminder>`;

describe('system reminders', () => {
  for (const [what, given, left] of [
    ['a text without any', ' hello\n', 'hello'],
    ['a text that is one', R('a'), ''],
    ['one before a text', `${R('a')}\nhello`, 'hello'],
    ['one behind a text', `hello\n${R('a')}\n`, 'hello'],
    ['one between two texts', `hello\n${R('a')}\nworld`, 'hello\nworld'],
    ['several', `${R('a')}${R('b')}\nhello${R('c')}`, 'hello'],
    ['one inside another', R(`a ${R('b')} c`), ''],
    ['one inside another, with text around', `x ${R(`a ${R('b')} c ${R('d')}`)} y`, 'x\ny'],
    ['one over several lines', `hello ${R('\n\n# a\n\n')}`, 'hello'],
    ['an empty one', `${R('')}hello`, 'hello'],
    ['a tag that is never closed', 'a <system-reminder> b', 'a <system-reminder> b'],
    ['a tag that was never opened', 'a </system-reminder> b', 'a </system-reminder> b'],
    ['a pair, and a tag that was never opened', `a </system-reminder> b ${R('c')}`, 'a </system-reminder> b'],
    ['tags that only look alike', '<system-reminders>a</system-reminders>', '<system-reminders>a</system-reminders>'],
    ['nothing', '', ''],
    ['white space', ' \n\t ', ''],
  ] as const) {
    it(`leave of ${what} what was said`, () => expect(withoutReminders(given)).to.equal(left));
  }

  it('leave a text as it was, wherever around it they stand', () => {
    const said = fc.string({ unit: anyCharacter }).filter((text) => !text.includes('system-reminder>'));
    fc.assert(
      fc.property(said, said, said, (before, text, behind) => {
        expect(withoutReminders(`${R(before)}${text}${R(behind)}`)).to.equal(text.trim());
        expect(withoutReminders(withoutReminders(`${R(before)}${text}`))).to.equal(text.trim());
      }),
      { seed: 20260731, numRuns: 200 },
    );
  });

  it('that carry somebody’s words keep them where words are asked for', () => {
    const typed =
      '\nThe user sent a new message while you were working:\nuse tabs\n\nThis is how Claude Code surfaces it.\n';
    expect(visibleText(`result\n${R(typed)}`)).to.equal(`result\n${typed.trim()}`);
    expect(visibleText(R('[SYSTEM NOTIFICATION - a task has ended]'))).to.equal(
      '[SYSTEM NOTIFICATION - a task has ended]',
    );
    expect(visibleText(`a${R('Today is Monday. The user sent a new message while you were working')}`)).to.equal('a');
    expect(withoutReminders(`result\n${R(typed)}`)).to.equal('result');
  });

  it('never take more than quadratic time for tags that do not pair', () => {
    const began = performance.now();
    withoutReminders('<system-reminder>'.repeat(50_000));
    withoutReminders('</system-reminder>'.repeat(50_000) + R('x'));
    withoutReminders(R('x').repeat(50_000));
    expect(performance.now() - began).to.be.below(2_500);
  });
});
