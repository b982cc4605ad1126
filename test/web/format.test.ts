import { expect } from 'chai';
import { count, duration, percent, percentFloor, plural, short, span } from '../../web/format.ts';

describe('web/format', () => {
  it('shortens numbers to three digits', () => {
    expect(
      [0, 950, 1_000, 9_949, 14_230, 99_940, 99_960, 144_000, 999_499, 999_500, 1_234_567, 12_345_678].map(short),
    ).to.deep.equal(['0', '950', '1k', '9.9k', '14.2k', '99.9k', '100k', '144k', '999k', '1M', '1.2M', '12.3M']);
  });

  it('rounds to 100 % only from 100 % on', () => {
    expect(percent(0.996)).to.equal('99 %');
    expect(percent(1)).to.equal('100 %');
    expect(percent(1.04)).to.equal('104 %');
  });

  it('rounds down where a threshold must not be shown as passed', () => {
    expect([0.7, 0.69999, 0.99999, 1].map((share) => percentFloor(share, 1))).to.deep.equal([
      '70.0 %',
      '69.9 %',
      '99.9 %',
      '100.0 %',
    ]);
    expect(percentFloor(0.79999)).to.equal('79 %');
  });

  it('formats durations in two units at most', () => {
    expect(
      [3, 999, 1_000, 8_932, 59_960, 60_000, 192_000, 3_600_000, 7_500_000, 273_600_000].map(duration),
    ).to.deep.equal(['3 ms', '999 ms', '1 s', '8.9 s', '1 min', '1 min', '3 min 12 s', '1 h', '2 h 5 min', '3 d 4 h']);
  });

  it('formats ages in one unit, and times in the future as now', () => {
    expect([-5_000, 1_900, 2_000, 59_999, 60_000, 3_599_999, 86_400_000].map(span)).to.deep.equal([
      'now',
      'now',
      '2 s',
      '59 s',
      '1 min',
      '59 min',
      '1 d',
    ]);
  });

  it('formats counts with their noun', () => {
    expect([144_000, 152_125.4].map(count)).to.deep.equal(['144,000', '152,125']);
    expect([plural(1, 'message'), plural(0, 'message'), plural(2, 'try', 'tries')]).to.deep.equal([
      '1 message',
      '0 messages',
      '2 tries',
    ]);
  });
});
