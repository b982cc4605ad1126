import { expect } from 'chai';
import fc from 'fast-check';
import { chunks, truncate, truncateWithEllipsis } from '../../../src/wire/text.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const length = fc.integer({ min: 4, max: 30 });

describe('text', () => {
  it('truncates to a length, one shorter rather than through a character', () => {
    expect(truncate('abc', 3)).to.equal('abc');
    expect(truncate('abcd', 3)).to.equal('abc');
    expect(truncate('ab😀', 3)).to.equal('ab');
    expect(truncateWithEllipsis('ab😀d', 4)).to.equal('ab…');
    fc.assert(
      fc.property(text, length, (value, limit) => {
        for (const short of [truncate(value, limit), truncateWithEllipsis(value, limit)]) {
          expect(short.length).to.be.at.most(limit);
          expect(short.length).to.be.at.least(Math.min(value.length, limit - 1));
          expect(short.isWellFormed()).to.equal(value.isWellFormed());
        }
      }),
    );
  });

  it('cuts into chunks, one longer rather than through a character', () => {
    expect([...chunks('abc😀de', 4)]).to.deep.equal(['abc😀', 'de']);
    expect([...chunks('', 4)]).to.deep.equal([]);
    fc.assert(
      fc.property(text, length, (value, size) => {
        const parts = [...chunks(value, size)];
        expect(parts.join('')).to.equal(value);
        for (const part of parts.slice(0, -1)) expect(part.length).to.be.within(size, size + 1);
        expect(parts.every((part) => part.isWellFormed())).to.equal(value.isWellFormed());
      }),
    );
  });
});
