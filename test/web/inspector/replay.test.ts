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

/** A consistent history: started actors are new, and only active ones receive events or end. */
function historyOf(steps: readonly number[]): { base: ActorView[]; records: InspectionRecord[] } {
  const base = [actor('x:0'), actor('x:1')];
  const now = new Map(base.map((it) => [it.session, it]));
  const records: InspectionRecord[] = [];
  for (const [seq, step] of steps.entries()) {
    const position = { seq, at: seq } as const;
    const active = [...now.values()].filter(({ status }) => status === 'active');
    const it = active[step % Math.max(1, active.length)];
    if (step % 5 === 0 || it === undefined) {
      const started = actor(`x:${10 + seq}`);
      now.set(started.session, started);
      records.push({ ...position, kind: 'started', actor: started });
    } else if (step % 5 === 1) {
      now.set(it.session, { ...it, status: 'done' });
      records.push({ ...position, kind: 'ended', session: it.session, status: 'done' });
    } else {
      const after = ['m', `m.${'abc'[step % 3] ?? ''}`];
      records.push({
        ...position,
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
  it('rewinds the actors to those before the records', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1_000), { maxLength: 40 }), (steps) => {
        const { base, records } = historyOf(steps);
        const after = replay(new Map(base.map((it) => [it.session, it])), records);
        const before = rewind([...after.values()], records);
        expect([...before.values()]).to.deep.equal(base);
      }),
    );
  });

  it('replays records in two parts as it does in one', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1_000), { maxLength: 40 }), fc.nat(40), (steps, cut) => {
        const { base, records } = historyOf(steps);
        const from = new Map(base.map((it) => [it.session, it]));
        const then = replay(from, records.slice(0, cut));
        expect(replay(then, records.slice(cut))).to.deep.equal(replay(from, records));
      }),
    );
  });

  it('finds the last transition of an actor before an index', () => {
    const { records } = historyOf([2, 4, 3, 2]);
    const first = records[0];
    expect(first?.kind).to.equal('event');
    if (first?.kind !== 'event') return;
    expect(lastEvent(records, 0, first.receiver)).to.equal(null);
    expect(lastEvent(records, 1, first.receiver)).to.equal(first);
    expect(lastEvent(records, 1, 'x:99')).to.equal(null);
  });
});
