import { expect } from 'chai';
import fc from 'fast-check';
import { Recent, Samples } from '../../../src/dashboard/series.ts';
import type { TokenSample } from '../../../web/contract.ts';

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
    const sampleAt = (at: number): TokenSample => ({
      at: 1.7e12 + at,
      used: 3 * at,
      effectiveWindow: 3_000_000_000 + at,
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 2, max: 80 }), (count, capacity) => {
        const samples = new Samples(capacity);
        for (let at = 0; at < count; at += 1) samples.push(sampleAt(at));
        const shown = samples.values.map(({ used }) => used / 3);
        expect(shown.length).to.be.within(Math.min(count, capacity / 2), capacity + 1);
        expect([shown[0], shown.at(-1)]).to.deep.equal([0, count - 1]);
        expect(shown).to.deep.equal([...new Set(shown)].sort((a, b) => a - b));
        expect(samples.values).to.deep.equal(shown.map(sampleAt));
        expect(samples.values).to.equal(samples.values);
      }),
    );
  });

  it('have none to begin with', () => {
    expect(new Samples(10).values).to.deep.equal([]);
  });
});
