import { expect } from 'chai';
import { throttleMerging } from '../../../web/state/throttle.ts';
import { until } from '../../src/redirector/sockets.ts';

describe('web/state/throttle', () => {
  it('applies the first patch immediately and merges those that follow', async () => {
    const applied: number[][] = [];
    const push = throttleMerging<number[]>(
      (before, more) => [...before, ...more],
      (patch) => void applied.push(patch),
    );
    push([1]);
    expect(applied).to.deep.equal([[1]]);
    push([2]);
    push([3]);
    expect(applied).to.deep.equal([[1]]);
    await until(() => applied.length > 1);
    expect(applied).to.deep.equal([[1], [2, 3]]);
  });
});
