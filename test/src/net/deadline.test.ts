import { performance } from 'node:perf_hooks';
import { mock } from 'node:test';
import { expect } from 'chai';
import { Deadline } from '../../../src/net/deadline.ts';

describe('a deadline', () => {
  let now: number;
  let reached: number[];
  let deadline: Deadline;
  beforeEach(() => {
    now = 0;
    reached = [];
    mock.timers.enable({ apis: ['setTimeout'] });
    mock.method(performance, 'now', () => now);
    deadline = new Deadline(() => reached.push(now));
  });
  afterEach(() => {
    mock.restoreAll();
    mock.timers.reset();
  });

  const pass = (ms: number): void => {
    for (let step = 0; step < ms; step += 1) {
      now += 1;
      mock.timers.tick(1);
    }
  };

  it('is reached once', () => {
    deadline.set(10);
    pass(9);
    expect(reached).to.deep.equal([]);
    pass(100);
    expect(reached).to.deep.equal([10]);
    deadline.set(5);
    pass(100);
    expect(reached).to.deep.equal([10, 114]);
  });

  it('moves, away and nearer', () => {
    deadline.set(10);
    pass(5);
    deadline.set(10);
    pass(9);
    expect(reached).to.deep.equal([]);
    deadline.set(100);
    deadline.set(3);
    pass(3);
    expect(reached).to.deep.equal([17]);
    pass(200);
    expect(reached).to.deep.equal([17]);
  });

  it('is not reached once lifted, until it is set again', () => {
    deadline.set(10);
    deadline.clear();
    pass(5);
    deadline.set(20);
    pass(19);
    expect(reached).to.deep.equal([]);
    pass(1);
    expect(reached).to.deep.equal([25]);
  });

  it('is not reached early by a timer that goes off early', () => {
    deadline.set(10);
    now = 9.5;
    mock.timers.tick(10);
    expect(reached).to.deep.equal([]);
    now = 10.5;
    mock.timers.tick(1);
    expect(reached).to.deep.equal([10.5]);
  });

  it('needs one timer, however often it is set and lifted', () => {
    const made = mock.method(globalThis, 'setTimeout');
    for (let request = 0; request < 100; request += 1) {
      deadline.set(1_000);
      pass(1);
      deadline.clear();
    }
    expect(made.mock.callCount()).to.equal(1);
    deadline.end();
  });

  it('leaves no timer when it has ended', () => {
    const cleared = mock.method(globalThis, 'clearTimeout');
    deadline.set(10);
    deadline.end();
    pass(20);
    expect(reached).to.deep.equal([]);
    expect(cleared.mock.callCount()).to.equal(1);
  });
});
