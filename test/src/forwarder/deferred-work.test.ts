import { expect } from 'chai';
import { setTimeout as delay } from 'node:timers/promises';
import { DeferredWork } from '../../../src/forwarder/deferred-work.ts';
import { recordingLog, type LogLine } from '../../support/rig.ts';
import { until } from '../redirector/sockets.ts';

describe('work that nobody waits for', () => {
  let done: string[];
  let lines: LogLine[];
  let afterwards: DeferredWork;
  beforeEach(() => {
    done = [];
    lines = [];
    afterwards = new DeferredWork(recordingLog(lines));
  });
  const add = (owner: string | null, ...names: string[]): void => {
    for (const name of names) afterwards.add(owner, () => void done.push(name));
  };

  it('is done after a pause, that of a session in its order', async () => {
    add('a', 'a1');
    add(null, 'n1');
    add('a', 'a2');
    await new Promise((resolve) => setImmediate(resolve));
    expect(done).to.deep.equal([]);
    await until(() => done.length === 3);
    expect(done).to.deep.equal(['a1', 'a2', 'n1']);
  });

  it('lets the event loop go round between two sessions', async () => {
    const rounds: number[] = [];
    let round = 0;
    const count = (): void => {
      round += 1;
      if (rounds.length < 2) setImmediate(count);
    };
    setImmediate(count);
    for (const owner of ['a', 'b']) afterwards.add(owner, () => void rounds.push(round));
    await until(() => rounds.length === 2);
    expect(rounds[1]).to.be.greaterThan(rounds[0] ?? Infinity);
  });

  it('does not pile up in a crowd', async () => {
    const rounds = 200;
    let most = 0;
    for (let round = 1; round <= rounds; round += 1) {
      for (let one = 0; one < 10; one += 1) add(`${round}-${one}`, '');
      const end = performance.now() + 0.2;
      while (performance.now() < end);
      await new Promise((resolve) => setImmediate(resolve));
      most = Math.max(most, 10 * round - done.length);
    }
    // Ten sessions come with each round of the event loop: were one of them served in each, 1,800 would wait in the end.
    expect(most).to.be.below(900);
    await until(() => done.length === 10 * rounds);
  });

  it('is done at once for a session whose next request builds on it', async () => {
    add('a', 'a1', 'a2');
    add('b', 'b1');
    afterwards.runFor('a');
    expect(done).to.deep.equal(['a1', 'a2']);
    await until(() => done.length === 3);
    await delay(10);
    expect(done).to.deep.equal(['a1', 'a2', 'b1']);
  });

  it('is all done at once when the end comes', async () => {
    add('a', 'a1');
    add('b', 'b1');
    afterwards.runAll();
    expect(done).to.deep.equal(['a1', 'b1']);
    add('c', 'c1');
    await until(() => done.length === 3);
  });

  it('may add to itself', async () => {
    afterwards.add('a', () => add('a', 'later'));
    await until(() => done.length === 1);
  });

  it('goes on behind a failure, which is told', async () => {
    afterwards.add('a', () => {
      throw new Error('broken');
    });
    add('a', 'a2');
    await until(() => done.length === 1);
    expect(lines.map(({ event, fields }) => [event, fields['message']])).to.deep.equal([['observer.failed', 'broken']]);
  });
});
