import { expect } from 'chai';
import fc from 'fast-check';
import { RingBuffer, DownsampledSeries } from '../../../src/dashboard/series.ts';
import type { TokenSample } from '../../../web/contract.ts';

describe('sequences of bounded length', () => {
  it('keep the newest', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { maxLength: 60 }), fc.integer({ min: 1, max: 12 }), (values, capacity) => {
        const recent = new RingBuffer<number>(capacity);
        for (const value of values) recent.push(value);
        expect(recent.values).to.deep.equal(values.slice(-capacity));
        expect(recent.values).to.equal(recent.values);
      }),
    );
  });

  it('or all of it more coarsely, first and newest always among them', () => {
    const times = [fc.integer({ min: 1, max: 500 }), fc.integer({ min: 2, max: 80 })] as const;
    fc.assert(
      fc.property(...times, fc.infiniteStream(fc.integer({ min: 0, max: 2 })), (count, capacity, models) => {
        const windows = [...models.take(count)].map((model) => 3_000_000_000 + model);
        const sampleAt = (at: number): TokenSample => ({
          at: 1.7e12 + at,
          used: 3 * at,
          effectiveWindow: windows[at] ?? 0,
        });
        const samples = new DownsampledSeries(capacity);
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

  it('tell the time as well as a chart shows it, also of weeks, and of a clock that was set back', () => {
    const samples = new DownsampledSeries(10);
    const days = [0, 0.1, 60, -1];
    for (const day of days) samples.push({ at: 1.7e12 + day * 86_400_000, used: 1, effectiveWindow: 2 });
    const shown = samples.values.map(({ at }) => (at - 1.7e12) / 86_400_000);
    days.forEach((day, index) => expect(shown[index]).to.be.closeTo(day, 5e-6));
  });

  it('have none to begin with', () => {
    expect(new DownsampledSeries(10).values).to.deep.equal([]);
  });
});
