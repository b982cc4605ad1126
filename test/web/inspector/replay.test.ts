import { expect } from 'chai';
import fc from 'fast-check';
import type { ActorView, InspectionRecord } from '../../../web/contract.ts';
import { lastEvent, replay, rewind } from '../../../web/inspector/replay.ts';

const actor = (session: string, states: string[] = ['m', 'm.a']): ActorView => ({
  session,
  id: session,
  parent: null,
  machine: 'm',
  kind: 'machine',
  status: 'active',
  states,
});

/** A history that can have happened: who begins is new, who ends or is sent something is there. */
function historyOf(steps: readonly number[]): { base: ActorView[]; records: InspectionRecord[] } {
  const base = [actor('x:0'), actor('x:1')];
  const now = new Map(base.map((it) => [it.session, it]));
  const records: InspectionRecord[] = [];
  for (const [seq, step] of steps.entries()) {
    const place = { seq, at: seq } as const;
    const active = [...now.values()].filter(({ status }) => status === 'active');
    const it = active[step % Math.max(1, active.length)];
    if (step % 5 === 0 || it === undefined) {
      const began = actor(`x:${10 + seq}`);
      now.set(began.session, began);
      records.push({ ...place, kind: 'started', actor: began });
    } else if (step % 5 === 1) {
      now.set(it.session, { ...it, status: 'done' });
      records.push({ ...place, kind: 'ended', session: it.session, status: 'done' });
    } else {
      const after = ['m', `m.${'abc'[step % 3] ?? ''}`];
      records.push({
        ...place,
        kind: 'event',
        sender: null,
        receiver: it.session,
        type: 'went',
        payload: {},
        before: it.states,
        after,
        edges: step % 2 === 0 ? ['e'] : [],
        context: {},
      });
      now.set(it.session, { ...it, states: after });
    }
  }
  return { base, records };
}

describe('web/inspector/replay', () => {
  it('finds the actors before a history from those after it', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1_000), { maxLength: 40 }), (steps) => {
        const { base, records } = historyOf(steps);
        const after = replay(new Map(base.map((it) => [it.session, it])), records);
        const before = rewind([...after.values()], records);
        expect([...before.values()]).to.deep.equal(base);
      }),
    );
  });

  it('shows a moment in the middle as one would have seen it then', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1_000), { maxLength: 40 }), fc.nat(40), (steps, cut) => {
        const { base, records } = historyOf(steps);
        const from = new Map(base.map((it) => [it.session, it]));
        const then = replay(from, records.slice(0, cut));
        expect(replay(then, records.slice(cut))).to.deep.equal(replay(from, records));
      }),
    );
  });

  it('finds what moved an actor last, up to where one looks', () => {
    const { records } = historyOf([2, 4, 3, 2]);
    const first = records[0];
    expect(first?.kind).to.equal('event');
    if (first?.kind !== 'event') return;
    expect(lastEvent(records, 0, first.receiver)).to.equal(null);
    expect(lastEvent(records, 1, first.receiver)).to.equal(first);
    expect(lastEvent(records, 1, 'x:99')).to.equal(null);
  });
});
