import fc from 'fast-check';
import { expect } from 'chai';
import { ByteBudget, type Reservation } from '../../../src/net/byte-budget.ts';
import { recordingLog, type LogLine } from '../../support/rig.ts';

describe('the account of kept bytes', () => {
  it('gives up to its limit, counts every owner, and takes everything back once', () => {
    const lines: LogLine[] = [];
    const budget = new ByteBudget({ limit: 10, log: recordingLog(lines) });
    const [one, two] = [budget.reserve(), budget.reserve()];
    expect([one.grow(6), two.grow(5), two.grow(4), two.grow(1)]).to.deep.equal([true, false, true, false]);
    expect(budget.used).to.equal(10);
    one.release();
    one.release();
    expect(budget.used).to.equal(4);
    expect([one.grow(6), budget.used]).to.deep.equal([true, 10]);
    two.release();
    one.release();
    expect(budget.used).to.equal(0);
    expect(lines.map(({ event }) => event)).to.deep.equal(['buffer.full']);
  });

  it('says once per crowd that it is full', () => {
    const lines: LogLine[] = [];
    const budget = new ByteBudget({ limit: 10, log: recordingLog(lines) });
    for (let crowd = 1; crowd <= 3; crowd += 1) {
      const room = budget.reserve();
      room.grow(10);
      for (let tries = 0; tries < 5; tries += 1) expect(room.grow(1)).to.equal(false);
      room.release();
      expect(lines).to.have.length(crowd);
    }
  });

  it('is never above its limit, nor below what is kept', () => {
    const step = fc.record({ owner: fc.nat(4), bytes: fc.nat(40), release: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const budget = new ByteBudget({ limit: 100, log: recordingLog([]) });
        const owners: readonly Reservation[] = Array.from({ length: 5 }, () => budget.reserve());
        const kept = owners.map(() => 0);
        for (const { owner, bytes, release } of steps) {
          if (release) {
            owners[owner]?.release();
            kept[owner] = 0;
          } else if (owners[owner]?.grow(bytes) === true) kept[owner] = (kept[owner] ?? 0) + bytes;
          expect(budget.used).to.equal(kept.reduce((sum, own) => sum + own, 0));
          expect(budget.used).to.be.at.most(100);
        }
      }),
    );
  });
});
