import { expect } from 'chai';
import { createActor, SimulatedClock, type EventFromLogic, type SnapshotFrom } from 'xstate';
import {
  breakerMachine,
  COOL_DOWN_MAX_MS,
  COOL_DOWN_MS,
  FAILURE_WINDOW_MS,
  FAILURES_TO_OPEN,
  type BreakerEvent,
} from '../../machines/breaker.ts';
import { timestamp } from '../../machines/units.ts';
import { declaredValues, edgesOf, TransitionRecorder, type Edge } from './walk.ts';

type Machine = typeof breakerMachine;
type Snapshot = SnapshotFrom<Machine>;
type Step = EventFromLogic<Machine>;

const COOLED = 'xstate.after.coolDown.breaker.open';
const at = timestamp(1_000_000);
const OUTSIDE: readonly BreakerEvent[] = [
  { type: 'call.failed', at },
  { type: 'call.answered' },
  { type: 'probe.begun' },
  { type: 'probe.failed', at },
  { type: 'probe.answered' },
  { type: 'probe.abandoned' },
];
const keyOf = ({ value, context }: Snapshot): string => JSON.stringify([value, context]);

class BreakerRig {
  readonly clock = new SimulatedClock();
  readonly actor;

  constructor(recorder: TransitionRecorder) {
    this.actor = createActor(breakerMachine, { clock: this.clock, inspect: recorder.inspect }).start();
  }

  get snapshot() {
    return this.actor.getSnapshot();
  }

  get where(): string {
    return JSON.stringify(this.snapshot.value).replace(/[^a-z:]/gi, '');
  }

  /** Says so many times that a call failed, so far apart. */
  fail(times: number, apart = 0): this {
    for (let count = 0; count < times; count += 1) {
      this.clock.increment(apart);
      this.actor.send({ type: 'call.failed', at: timestamp(this.clock.now()) });
    }
    return this;
  }

  send(...types: readonly Exclude<BreakerEvent['type'], 'call.failed'>[]): this {
    for (const type of types) {
      this.actor.send(type === 'probe.failed' ? { type, at: timestamp(this.clock.now()) } : { type });
    }
    return this;
  }
}

describe('the circuit breaker', () => {
  const recorder = new TransitionRecorder();
  const rig = () => new BreakerRig(recorder);
  let edges: Edge<Snapshot, Step>[];
  before(() => {
    edges = edgesOf(breakerMachine, {
      input: undefined,
      events: (state) =>
        [...OUTSIDE, ...(state.matches('open') ? [{ type: COOLED } as unknown as Step] : [])] as readonly Step[],
      key: keyOf,
    });
  });

  describe('walked through every state and edge', () => {
    it('rests in every state it declares, and in no other', () => {
      const visited = new Set(edges.flatMap(({ from, to }) => [from, to].map(({ value }) => JSON.stringify(value))));
      expect([...visited]).to.have.members(declaredValues(breakerMachine));
      expect(visited.size).to.equal(4);
    });

    it('has no edge that breaks what it promises', () => {
      for (const { from, event, to } of edges) {
        const said = `${keyOf(from)} ${JSON.stringify(event)} -> ${keyOf(to)}`;
        const { context } = to;
        expect(context.resumesAt === null, said).to.equal(!to.matches('open'));
        expect(context.coolDown, said).to.be.within(COOL_DOWN_MS, COOL_DOWN_MAX_MS);
        expect(context.failures.length, said).to.be.at.most(FAILURES_TO_OPEN);
        if (to.matches('open') && !from.matches('open')) {
          expect(['call.failed', 'probe.failed'], said).to.include(event.type);
        }
        if (from.matches('open') && !to.matches('open')) expect(event.type, said).to.equal(COOLED);
        if (to.matches('closed') && !from.matches('closed')) {
          expect(event.type, said).to.equal('probe.answered');
          expect(context, said).to.deep.equal({ failures: [], coolDown: COOL_DOWN_MS, resumesAt: null });
        }
      }
    });

    it('behaves the same when it runs, with its timer', () => {
      for (const { path } of edges) {
        const breaker = rig();
        for (const { event, to } of path) {
          if ((event.type as string) === COOLED) breaker.clock.increment(breaker.snapshot.context.coolDown);
          else breaker.actor.send(event);
          expect(keyOf(breaker.snapshot)).to.equal(keyOf(to));
        }
      }
    });
  });

  it('opens with the fifth failure in a row', () => {
    const breaker = rig().fail(4);
    expect(breaker.where).to.equal('closed');
    expect(breaker.fail(1).where).to.equal('open');
  });

  it('does not open for failures that an answer came between, nor for such as are far apart', () => {
    expect(rig().fail(4).send('call.answered').fail(4).where).to.equal('closed');
    expect(rig().fail(20, FAILURE_WINDOW_MS / 4 + 1).where).to.equal('closed');
    expect(rig().fail(5, FAILURE_WINDOW_MS / 4).where).to.equal('open');
  });

  it('counts on when the clock is set, and forgets what seems hours away', () => {
    const breaker = rig();
    const fail = (at: number) => breaker.actor.send({ type: 'call.failed', at: timestamp(at) });
    for (const at of [9e9, 9e9, 1_000, 9e9, 1_000, 2_000, 1_500, 900]) fail(at);
    expect(breaker.where).to.equal('closed');
    fail(1_200);
    expect(breaker.where).to.equal('open');
  });

  it('is open for two minutes, says until when, and then lets one call through', () => {
    const breaker = rig().fail(5, 10);
    expect(breaker.snapshot.context.resumesAt).to.equal(50 + COOL_DOWN_MS);
    breaker.clock.increment(COOL_DOWN_MS - 1);
    expect(breaker.where).to.equal('open');
    breaker.clock.increment(1);
    expect(breaker.where).to.equal('halfOpen:waiting');
    expect(breaker.send('probe.begun').where).to.equal('halfOpen:probing');
    expect(breaker.send('probe.abandoned').where).to.equal('halfOpen:waiting');
    expect(breaker.send('probe.begun', 'probe.answered').where).to.equal('closed');
  });

  it('is open for twice as long each time the one call fails, half an hour at most, and anew after it closed', () => {
    const breaker = rig().fail(5);
    for (const minutes of [2, 4, 8, 16, 30, 30]) {
      expect(breaker.where).to.equal('open');
      const began = breaker.clock.now();
      expect(breaker.snapshot.context.resumesAt).to.equal(began + minutes * 60_000);
      breaker.clock.increment(minutes * 60_000 - 1);
      expect(breaker.where).to.equal('open');
      breaker.clock.increment(1);
      breaker.send('probe.begun', 'probe.failed');
    }
    breaker.clock.increment(COOL_DOWN_MAX_MS);
    expect(breaker.send('probe.begun', 'probe.answered').fail(4).where).to.equal('closed');
    breaker.fail(1);
    breaker.clock.increment(COOL_DOWN_MS);
    expect(breaker.where).to.equal('halfOpen:waiting');
  });

  it('learns nothing from calls that began before it opened', () => {
    const breaker = rig().fail(5).send('call.answered').fail(9);
    expect(breaker.where).to.equal('open');
    breaker.clock.increment(COOL_DOWN_MS);
    expect(breaker.fail(9).send('call.answered').where).to.equal('halfOpen:waiting');
  });

  it('has taken every transition it declares', () => {
    expect(recorder.missing(breakerMachine)).to.deep.equal([]);
  });
});
