import { expect } from 'chai';
import { createActor, SimulatedClock } from 'xstate';
import { COOL_DOWN_MS, FAILURES_TO_OPEN } from '../../../machines/breaker.ts';
import { timestamp } from '../../../machines/units.ts';
import {
  CheckpointGate,
  isoOrNull,
  loggedBreakerMachine,
  type CallEnd,
  type Permit,
} from '../../../src/checkpoint/gate.ts';
import type { Log } from '../../../src/log.ts';

describe('the gate of checkpoint calls', () => {
  let clock: SimulatedClock;
  let lines: string[];
  let gate: CheckpointGate;
  beforeEach(() => {
    clock = new SimulatedClock();
    lines = [];
    const at = (level: string) => (event: string) => void lines.push(`${level} ${event}`);
    const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
    const breaker = createActor(loggedBreakerMachine(log), { clock }).start();
    gate = new CheckpointGate({ limit: 3, now: () => timestamp(clock.now()), breaker: () => breaker });
  });

  const enter = (): Permit => {
    const pass = gate.acquire();
    if (typeof pass === 'string') throw new Error(`not let through: ${pass}`);
    return pass;
  };
  const call = (end: CallEnd): void => enter().release(end);
  const open = (): void => {
    for (let count = 0; count < FAILURES_TO_OPEN; count += 1) call('transient');
  };

  it('lets as many calls through at the same time as it may', () => {
    const passes = [enter(), enter(), enter()];
    expect(gate.acquire()).to.equal('limit');
    passes[0]?.release('completed');
    passes[0]?.release('completed');
    enter();
    expect(gate.acquire(), 'one left, and so one came in').to.equal('limit');
  });

  it('opens for transient failures alone', () => {
    for (const end of ['rejected', 'too_long', 'unusable', 'aborted'] as const) {
      for (let count = 0; count < 2 * FAILURES_TO_OPEN; count += 1) call(end);
      expect(gate.breaker, end).to.deep.equal({ state: 'closed', resumesAt: null });
    }
    open();
    expect(gate.breaker).to.deep.equal({ state: 'open', resumesAt: COOL_DOWN_MS });
    expect(gate.acquire()).to.equal('breaker');
    expect(isoOrNull(gate.breaker.resumesAt)).to.equal('1970-01-01T00:02:00.000Z');
  });

  it('does not let a refusal hide that the calls before and after it failed', () => {
    for (let count = 0; count < FAILURES_TO_OPEN; count += 1) {
      call('rejected');
      call('transient');
    }
    expect(gate.breaker.state).to.equal('open');
  });

  for (const [end, state] of [
    ['completed', 'closed'],
    ['rejected', 'closed'],
    ['too_long', 'closed'],
    ['unusable', 'closed'],
    ['transient', 'open'],
    ['aborted', 'half_open'],
  ] as const) {
    it(`lets one call through after the pause, and is ${state} when that is ${end}`, () => {
      open();
      clock.increment(COOL_DOWN_MS);
      expect(gate.breaker).to.deep.equal({ state: 'half_open', resumesAt: null });
      const probe = enter();
      expect(gate.acquire()).to.equal('breaker');
      probe.release(end);
      expect(gate.breaker.state).to.equal(state);
      if (state !== 'open') enter();
    });
  }

  it('does not take the end of an older call for that of the one it let through', () => {
    const [late, later] = [enter(), enter()];
    open();
    clock.increment(COOL_DOWN_MS);
    enter();
    late.release('completed');
    later.release('transient');
    expect(gate.breaker.state).to.equal('half_open');
    expect(gate.acquire()).to.equal('breaker');
  });

  it('tells the log when it opens and closes', () => {
    open();
    clock.increment(COOL_DOWN_MS);
    call('transient');
    clock.increment(2 * COOL_DOWN_MS);
    call('completed');
    expect(lines).to.deep.equal([
      ...['warn breaker.opened', 'info breaker.half_open'],
      ...['warn breaker.opened', 'info breaker.half_open', 'info breaker.closed'],
    ]);
  });
});
