import { expect } from 'chai';
import { createActor, fromCallback, fromPromise, SimulatedClock, type EventFromLogic, type SnapshotFrom } from 'xstate';
import { startPause, serviceMachine, STABLE_AFTER_MS, type ServiceReport } from '../../machines/service.ts';
import { FakeService } from './supervisor-rig.ts';
import { declaredValues, edgesOf, TransitionRecorder, type Edge } from './walk.ts';

type Machine = typeof serviceMachine;
type Snapshot = SnapshotFrom<Machine>;
type Step = EventFromLogic<Machine>;

const BOUND = 'xstate.done.actor.0.service.starting';
const REFUSED = 'xstate.error.actor.0.service.starting';
const STABLE = 'xstate.after.stable.service.up';
const PAUSE_OVER = 'xstate.after.startPause.service.down';
const CLOSED = 'xstate.done.actor.0.service.closing';
const NOT_CLOSED = 'xstate.error.actor.0.service.closing';

const internal = (type: string, more: object = {}): Step => ({ type, ...more }) as unknown as Step;

const OUTSIDE: readonly Step[] = [{ type: 'service.stop' }, { type: 'service.failed', reason: 'EMFILE' }];
const INSIDE: Readonly<Record<Snapshot['value'], readonly Step[]>> = {
  starting: [internal(BOUND, { output: { port: 8443 } }), internal(REFUSED, { error: new Error('EADDRINUSE') })],
  up: [internal(STABLE)],
  down: [internal(PAUSE_OVER)],
  closing: [internal(CLOSED), internal(NOT_CLOSED, { error: new Error('gone') })],
  closed: [],
};

const keyOf = ({ value, context }: Snapshot): string =>
  JSON.stringify([value, Math.min(3, context.failures), context.hasBeenUp, context.port, context.reason]);

/** One listener whose sockets the test opens and breaks itself. */
class ServiceRig {
  readonly clock = new SimulatedClock();
  readonly socket = new FakeService(8443);
  readonly reports: ServiceReport[] = [];
  readonly signals: AbortSignal[] = [];
  unwatched = 0;
  readonly actor;

  constructor(recorder: TransitionRecorder) {
    const parent = createActor(
      fromCallback<ServiceReport>(({ receive }) => receive((report) => this.reports.push(report))),
    ).start();
    this.actor = createActor(
      serviceMachine.provide({
        actors: {
          start: fromPromise(({ signal }) => {
            this.signals.push(signal);
            return this.socket.bind();
          }),
          watch: fromCallback(({ sendBack }) => {
            this.socket.watch(sendBack);
            return () => void (this.unwatched += 1);
          }),
          close: fromPromise(() => this.socket.close()),
        },
      }),
      {
        clock: this.clock,
        input: { name: 'forwarder', parent },
        inspect: recorder.inspect,
      },
    );
    this.actor.start();
  }

  get snapshot() {
    return this.actor.getSnapshot();
  }

  stop(): void {
    this.actor.send({ type: 'service.stop' });
  }
}

const listening: ServiceReport = { type: 'service.up', name: 'forwarder', port: 8443 };
const down = (reason: string, hasBeenUp: boolean): ServiceReport => ({
  type: 'service.down',
  name: 'forwarder',
  reason,
  hasBeenUp,
});
const closed: ServiceReport = { type: 'service.closed', name: 'forwarder' };

describe('the service machine', () => {
  const recorder = new TransitionRecorder();
  const rig = () => new ServiceRig(recorder);
  let edges: Edge<Snapshot, Step>[];

  before(() => {
    edges = edgesOf(serviceMachine, {
      input: { name: 'forwarder', parent: createActor(fromCallback<ServiceReport>(() => undefined)) },
      events: (state) => (state.status === 'active' ? [...OUTSIDE, ...INSIDE[state.value]] : []),
      key: keyOf,
    });
  });

  describe('walked through every state and edge', () => {
    it('rests in every state it declares', () => {
      const visited = new Set(edges.flatMap(({ from, to }) => [from, to].map(({ value }) => JSON.stringify(value))));
      expect([...visited]).to.have.members(declaredValues(serviceMachine));
    });

    it('behaves the same when it runs, and never stops closing once it was told to', async () => {
      for (const { path } of edges) {
        const listener = rig();
        let told = false;
        for (const { event, to } of path) {
          await take(listener, event);
          told ||= event.type === 'service.stop';
          expect(listener.snapshot.value).to.equal(to.value);
          expect(keyOf(listener.snapshot)).to.equal(keyOf(to));
          expect(['closing', 'closed'].includes(to.value)).to.equal(told);
        }
        const reported = listener.reports.filter(({ type }) => type === 'service.closed');
        expect(reported).to.have.length(listener.snapshot.status === 'done' ? 1 : 0);
      }
    });
  });

  describe('from opening to closing', () => {
    it('tells its port when it listens, and that it has closed', async () => {
      const listener = rig();
      await listener.socket.bound();
      listener.stop();
      expect(listener.reports).to.deep.equal([listening]);
      await listener.socket.closed();
      expect(listener.reports).to.deep.equal([listening, closed]);
      expect(listener.snapshot.status).to.equal('done');
    });

    it('watches its socket for exactly as long as it listens', async () => {
      const listener = rig();
      await listener.socket.bound();
      expect(listener.unwatched).to.equal(0);
      listener.stop();
      expect(listener.unwatched).to.equal(1);
    });

    it('has closed even when closing failed', async () => {
      const listener = rig();
      listener.stop();
      await listener.socket.notClosed();
      expect(listener.reports).to.deep.equal([closed]);
    });

    it('gives up binding when it is stopped', () => {
      const listener = rig();
      listener.stop();
      expect(listener.signals.map(({ aborted }) => aborted)).to.deep.equal([true]);
      expect(listener.snapshot.value).to.equal('closing');
    });

    it('is not bound again when it is stopped while it is down', async () => {
      const listener = rig();
      await listener.socket.refused();
      listener.stop();
      listener.clock.increment(60_000);
      expect(listener.socket.binds).to.equal(1);
      expect(listener.socket.closes).to.equal(1);
    });
  });

  describe('when it fails', () => {
    it('tells whether it ever listened', async () => {
      const listener = rig();
      await listener.socket.refused();
      listener.clock.increment(100);
      await listener.socket.bound();
      await listener.socket.failed();
      expect(listener.reports).to.deep.equal([down('EADDRINUSE', false), listening, down('EMFILE', true)]);
    });

    it('is bound again after pauses that double, until it listens', async () => {
      const listener = rig();
      for (const [index, pause] of [100, 200, 400, 800].entries()) {
        await listener.socket.refused();
        listener.clock.increment(pause - 1);
        expect(listener.socket.binds).to.equal(index + 1);
        listener.clock.increment(1);
        expect(listener.socket.binds).to.equal(index + 2);
      }
      await listener.socket.bound();
      expect(listener.snapshot.value).to.equal('up');
      expect(listener.snapshot.context.reason).to.equal(null);
    });

    it('pauses longer each time for a socket that opens and fails at once', async () => {
      const listener = rig();
      for (const [index, pause] of [100, 200, 400].entries()) {
        await listener.socket.bound();
        await listener.socket.failed();
        listener.clock.increment(pause - 1);
        expect(listener.socket.binds).to.equal(index + 1);
        listener.clock.increment(1);
      }
    });

    it('begins with the short pause again once it has listened for a while', async () => {
      const listener = rig();
      for (let failures = 0; failures < 5; failures += 1) {
        await listener.socket.refused();
        listener.clock.increment(30_000);
      }
      await listener.socket.bound();
      listener.clock.increment(STABLE_AFTER_MS);
      expect(listener.snapshot.context.failures).to.equal(0);
      await listener.socket.failed();
      listener.clock.increment(100);
      expect(listener.snapshot.value).to.equal('starting');
    });

    it('pauses 100 ms, 200 ms … and never more than 30 s', () => {
      expect([0, 1, 2, 3, 9, 10, 1_000, 5_000].map(startPause)).to.deep.equal([
        100, 100, 200, 400, 25_600, 30_000, 30_000, 30_000,
      ]);
    });

    it('tells a reason whatever was thrown', async () => {
      const listener = rig();
      await listener.socket.refused('no error at all');
      expect(listener.reports).to.deep.equal([down('no error at all', false)]);
    });
  });

  describe('all in all', () => {
    it('has taken every transition it declares', () => {
      expect(recorder.missing(serviceMachine)).to.deep.equal([]);
    });
  });
});

async function take(listener: ServiceRig, event: Step): Promise<void> {
  switch (event.type as string) {
    case BOUND:
      return listener.socket.bound();
    case REFUSED:
      return listener.socket.refused();
    case STABLE: {
      listener.clock.increment(STABLE_AFTER_MS);
      return;
    }
    case PAUSE_OVER: {
      listener.clock.increment(startPause(listener.snapshot.context.failures));
      return;
    }
    case CLOSED:
      return listener.socket.closed();
    case NOT_CLOSED:
      return listener.socket.notClosed();
    default:
      listener.actor.send(event);
  }
}
