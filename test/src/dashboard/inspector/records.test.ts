import { expect } from 'chai';
import fc from 'fast-check';
import type { ActorView, InspectionRecord } from '../../../../web/contract.ts';
import { replay, rewind } from '../../../../web/inspector/replay.ts';
import { ROOM, shown, recordsFor, type BufferedRecord } from '../../../../src/dashboard/inspector/records.ts';

const place = (step: number): readonly string[] => ['m', `m.${'abcd'[step % 4] ?? ''}`];

/** A history of ten actors, of which each event goes on where its receiver stood. */
function historyOf(steps: readonly number[]): BufferedRecord[] {
  const at = new Map<string, readonly string[]>();
  return steps.map((step, index): BufferedRecord => {
    const receiver = `x:${step % 10}`;
    const before = at.get(receiver) ?? place(0);
    const after = place(step);
    at.set(receiver, after);
    const event = { type: 'went', used: step, secret: 'sk-ant-canary' };
    const snapshot = { context: { used: step, body: 'sk-ant-canary' } };
    return {
      ...{ kind: 'event', seq: index + 1, at: index, sender: null, receiver, type: 'went' },
      ...{ before, after, edges: [], event, snapshot },
    };
  });
}

const ACTORS: readonly ActorView[] = Array.from({ length: 10 }, (_, at) => ({
  ...{ session: `x:${at}`, id: `x:${at}`, parent: null, machine: 'm', kind: 'machine', status: 'active' },
  states: place(0),
}));
const standing = (): Map<string, ActorView> => new Map(ACTORS.map((actor) => [actor.session, actor]));
const steps = fc.array(fc.nat(1_000), { maxLength: 3 * ROOM });
const eventsIn = (records: readonly InspectionRecord[]): number =>
  records.reduce((sum, it) => sum + (it.kind === 'left_out' ? it.events : it.kind === 'event' ? 1 : 0), 0);

describe('what a page is told of what happened', () => {
  it('is everything, as long as it is not much', () => {
    const kept = historyOf(Array.from({ length: ROOM }, (_, at) => at));
    expect(recordsFor(kept, new Set())).to.deep.equal(kept.map(shown));
  });

  it('is of much all of what is watched, and little of the rest', () => {
    const kept = historyOf(Array.from({ length: 1_000 }, (_, at) => at));
    const told = recordsFor(kept, new Set(['x:3']));
    const watched = told.filter((record) => record.kind === 'event' && record.receiver === 'x:3');
    expect(watched).to.have.length(100);
    expect(told).to.have.length(100 + ROOM + 1);
    expect(JSON.stringify(told)).to.not.include('canary');
  });

  it('always adds up, in order, and leaves every actor where it stands', () => {
    fc.assert(
      fc.property(steps, fc.nat(9), (taken, watched) => {
        const kept = historyOf(taken);
        const told = recordsFor(kept, new Set([`x:${watched}`]));
        expect(eventsIn(told)).to.equal(kept.length);
        const order = told.map(({ seq }) => seq);
        expect(order).to.deep.equal([...new Set(order)].sort((a, b) => a - b));
        const all = replay(standing(), kept.map(shown));
        expect(replay(standing(), told)).to.deep.equal(all);
        expect(rewind([...all.values()], told)).to.deep.equal(standing());
      }),
    );
  });

  it('holds all beginnings and ends', () => {
    const actor = ACTORS[0];
    if (actor === undefined) throw new Error('there are no actors');
    const ends = Array.from({ length: 5 * ROOM }, (_, at): BufferedRecord =>
      at % 2 === 0
        ? { kind: 'started', seq: at, at, actor }
        : { kind: 'ended', seq: at, at, session: actor.session, status: 'done' },
    );
    expect(recordsFor(ends, new Set())).to.deep.equal(ends);
  });
});
