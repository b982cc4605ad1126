import { expect } from 'chai';
import { throttleMerging } from '../../../web/state/throttle.ts';
import { until } from '../../src/redirector/sockets.ts';

describe('web/state/calm', () => {
  it('tells the first at once, and those that follow together', async () => {
    const told: number[][] = [];
    const take = throttleMerging<number[]>(
      (before, more) => [...before, ...more],
      (patch) => void told.push(patch),
    );
    take([1]);
    expect(told).to.deep.equal([[1]]);
    take([2]);
    take([3]);
    expect(told).to.deep.equal([[1]]);
    await until(() => told.length > 1);
    expect(told).to.deep.equal([[1], [2, 3]]);
  });
});
