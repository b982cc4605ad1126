import { expect } from 'chai';
import fc from 'fast-check';
import { Recent, Thinned } from '../../../src/dashboard/series.ts';

describe('sequences of bounded length', () => {
  it('keep the newest', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { maxLength: 60 }), fc.integer({ min: 1, max: 12 }), (values, capacity) => {
        const recent = new Recent<number>(capacity);
        for (const value of values) recent.push(value);
        expect(recent.values).to.deep.equal(values.slice(-capacity));
        expect(recent.values).to.equal(recent.values);
      }),
    );
  });

  it('or all of it more coarsely, first and newest always among them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 2, max: 20 }), (count, capacity) => {
        const thinned = new Thinned<{ readonly at: number }>(capacity);
        for (let at = 0; at < count; at += 1) thinned.push({ at });
        const shown = thinned.values.map(({ at }) => at);
        expect(shown.length).to.be.at.most(capacity + 1);
        expect([shown[0], shown.at(-1)]).to.deep.equal([0, count - 1]);
        expect(shown).to.deep.equal([...new Set(shown)].sort((a, b) => a - b));
        expect(thinned.values).to.equal(thinned.values);
      }),
    );
  });
});
