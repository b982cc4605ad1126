import { expect } from 'chai';
import type { Snapshot } from 'xstate';
import { conversationChild, supervisorMachine } from '../../machines/supervisor.ts';
import { conversationId, milliseconds } from '../../machines/units.ts';
import { CHECKPOINT, failure, said } from './conversation-rig.ts';
import {
  stepsFrom,
  supervisorModel,
  type ListenerName,
  type SupervisorModel,
  type SupervisorStep,
} from './supervisor-model.ts';
import { poisoned, SupervisorRig } from './supervisor-rig.ts';
import { declaredValues, edgesOf, settle, TransitionRecorder, type Edge } from './walk.ts';

const LISTENERS: readonly ListenerName[] = ['forwarder', 'redirector'];
const CONVERSATION = 'walked.with.dots';

type ModelSnapshot = Snapshot<undefined> & { readonly context: SupervisorModel };

describe('the supervisor machine', () => {
  const recorder = new TransitionRecorder();
  let rig: SupervisorRig;

  beforeEach(async () => {
    rig = new SupervisorRig(recorder);
    await rig.store.bound();
  });

  afterEach(() => {
    expect(rig.errors, 'errors that reached the root').to.deep.equal([]);
  });

  describe('walked along a model of what is expected', () => {
    let edges: Edge<ModelSnapshot, SupervisorStep>[];

    before(() => {
      edges = edgesOf<ModelSnapshot, SupervisorStep, never>(supervisorModel, {
        input: undefined as never,
        events: (state) => stepsFrom(state.context),
        key: (state) => JSON.stringify(state.context),
      });
    });

    it('rests in every state that the machine declares', () => {
      const visited = new Set(edges.flatMap(({ from, to }) => [from, to].map(({ context }) => valueOf(context))));
      expect([...visited]).to.have.members(declaredValues(supervisorMachine));
    });

    it('does what the model does, over every edge', async function () {
      this.timeout(60_000);
      for (const { path } of edges) {
        const walked = new SupervisorRig(recorder);
        await walked.store.bound();
        for (const { event, to } of path) {
          await take(walked, event);
          assertAgrees(walked, to.context, () => path.map((step) => JSON.stringify(step.event)).join(' '));
        }
      }
    });
  });

  describe('at the start', () => {
    it('binds the forwarder first, and the redirector once the forwarder listens', async () => {
      expect([rig.forwarder.binds, rig.redirector.binds]).to.deep.equal([1, 0]);
      await rig.forwarder.bound();
      expect([rig.forwarder.binds, rig.redirector.binds]).to.deep.equal([1, 1]);
      expect(rig.value).to.deep.equal({ starting: 'redirector' });
      await rig.redirector.bound();
      expect(rig.value).to.equal('running');
      expect(rig.snapshot.context.services).to.deep.equal({
        forwarder: { up: true, port: 8443, reason: null },
        redirector: { up: true, port: 8080, reason: null },
        store: { up: true, port: null, reason: null },
        dashboard: { up: true, port: null, reason: null },
      });
    });

    it('stops with the reason when the forwarder cannot be bound; the redirector is never touched', async () => {
      await rig.forwarder.refused(new Error('DBPROXY_DASHBOARD_PORT=8443 cannot be used'));
      expect(rig.value).to.deep.equal({ stopping: 'draining' });
      await rig.forwarder.closed();
      await rig.store.closed();
      expect(rig.snapshot.output).to.deep.equal({ startFailure: 'DBPROXY_DASHBOARD_PORT=8443 cannot be used' });
      expect(rig.redirector).to.include({ binds: 0, closes: 0 });
      expect(rig.children).to.deep.equal([]);
    });

    it('stops with the reason when the redirector cannot be bound, and closes the forwarder', async () => {
      await rig.forwarder.bound();
      await rig.redirector.refused(new Error('DBPROXY_PROXY_PORT=8080 cannot be used'));
      await rig.forwarder.closed();
      expect(rig.snapshot.status, 'before the redirector is closed').to.equal('active');
      await rig.redirector.closed();
      await rig.store.closed();
      expect(rig.snapshot.output).to.deep.equal({ startFailure: 'DBPROXY_PROXY_PORT=8080 cannot be used' });
    });

    it('goes on when the forwarder fails and comes back before the redirector listens', async () => {
      await rig.forwarder.bound();
      await rig.forwarder.failed();
      expect(rig.value).to.deep.equal({ starting: 'redirector' });
      rig.clock.increment(100);
      await rig.forwarder.bound();
      expect(rig.redirector.binds, 'one redirector').to.equal(1);
      await rig.redirector.bound();
      expect(rig.value).to.equal('running');
      expect(rig.children).to.deep.equal(['forwarder', 'redirector']);
    });

    it('has no start failure to tell when it is stopped before it ran', async () => {
      rig.actor.send({ type: 'shutdown.requested' });
      await rig.forwarder.closed();
      await rig.store.closed();
      expect(rig.snapshot.output).to.deep.equal({ startFailure: null });
    });
  });

  describe('with a store that fails', () => {
    const store = () => rig.snapshot.context.services.store;

    it('starts all the same when it cannot be opened, and opens it when it can', async () => {
      const failing = new SupervisorRig(recorder);
      await failing.store.refused(new Error('SQLITE_FULL'));
      expect(failing.value).to.deep.equal({ starting: 'forwarder' });
      await failing.run();
      expect(failing.value).to.equal('running');
      expect(failing.snapshot.context.services.store).to.deep.equal({ up: false, port: null, reason: 'SQLITE_FULL' });
      failing.clock.increment(100);
      await failing.store.bound();
      expect(failing.snapshot.context.services.store.up).to.equal(true);
      expect([failing.forwarder.binds, failing.redirector.binds, failing.store.binds]).to.deep.equal([1, 1, 2]);
    });

    it('opens it again with growing pauses, and nothing else is touched', async () => {
      await rig.run();
      rig.open('a');
      const conversation = rig.conversation('a');
      await rig.store.failed('SQLITE_IOERR');
      expect(store()).to.deep.equal({ up: false, port: null, reason: 'SQLITE_IOERR' });
      for (const [index, pause] of [100, 200, 400].entries()) {
        rig.clock.increment(pause - 1);
        expect(rig.store.binds).to.equal(index + 1);
        rig.clock.increment(1);
        expect(rig.store.binds).to.equal(index + 2);
        await rig.store.refused();
      }
      expect([rig.forwarder.binds, rig.redirector.binds]).to.deep.equal([1, 1]);
      expect(rig.conversation('a')).to.equal(conversation);
    });

    it('replaces one whose own machine broke', async () => {
      await rig.run();
      await rig.store.broken();
      expect(rig.store.binds).to.equal(2);
      await rig.store.bound();
      expect([store().up, rig.value]).to.deep.equal([true, 'running']);
    });

    it('closes it last, when both listeners have drained', async () => {
      await rig.run();
      rig.open('a');
      rig.actor.send({ type: 'shutdown.requested' });
      await rig.forwarder.closed();
      expect(rig.store.closes).to.equal(0);
      await rig.redirector.closed();
      expect([rig.store.closes, rig.conversation('a')?.getSnapshot().status]).to.deep.equal([1, 'active']);
      await rig.store.closed();
      expect([rig.value, rig.children]).to.deep.equal(['stopped', []]);
    });
  });

  describe('with a dashboard that fails', () => {
    const dashboard = () => rig.snapshot.context.services.dashboard;

    it('is not begun before the listeners, and the start does not wait for it', async () => {
      rig.dashboard.willing = false;
      await rig.forwarder.bound();
      expect(rig.dashboard.binds).to.equal(0);
      await rig.redirector.bound();
      expect([rig.value, rig.dashboard.binds, dashboard().up]).to.deep.equal(['running', 1, false]);
      await rig.dashboard.refused(new Error('no page was built'));
      expect([rig.value, dashboard().reason]).to.deep.equal(['running', 'no page was built']);
      rig.clock.increment(100);
      await rig.dashboard.bound();
      expect([rig.dashboard.binds, dashboard().up]).to.deep.equal([2, true]);
    });

    it('is started again alone when it fails or its machine breaks', async () => {
      await rig.run();
      rig.open('a');
      const conversation = rig.conversation('a');
      await settle();
      await rig.dashboard.failed('a page asked for too much');
      expect(dashboard()).to.deep.equal({ up: false, port: null, reason: 'a page asked for too much' });
      rig.clock.increment(100);
      await settle();
      await rig.dashboard.broken();
      await settle();
      expect([rig.dashboard.binds, dashboard().up]).to.deep.equal([3, true]);
      expect([rig.forwarder.binds, rig.redirector.binds, rig.store.binds]).to.deep.equal([1, 1, 1]);
      expect(rig.conversation('a')).to.equal(conversation);
    });

    it('is closed with the listeners, and waited for', async () => {
      await rig.run();
      await settle();
      rig.dashboard.willing = false;
      rig.actor.send({ type: 'shutdown.requested' });
      await rig.forwarder.closed();
      await rig.redirector.closed();
      await rig.store.closed();
      expect([rig.dashboard.closes, rig.value]).to.deep.equal([1, { stopping: 'saving' }]);
      await rig.dashboard.closed();
      expect(rig.value).to.equal('stopped');
    });
  });

  describe('when a listener fails later', () => {
    for (const name of LISTENERS) {
      it(`binds the ${name} again with growing pauses, and nothing else is touched`, async () => {
        const neighbour = name === 'forwarder' ? rig.redirector : rig.forwarder;
        await rig.run();
        rig.open('a');
        await rig[name].failed('EMFILE');
        expect(rig.snapshot.context.services[name]).to.include({ up: false, reason: 'EMFILE' });
        for (const [index, pause] of [100, 200, 400].entries()) {
          rig.clock.increment(pause - 1);
          expect(rig[name].binds).to.equal(index + 1);
          rig.clock.increment(1);
          expect(rig[name].binds).to.equal(index + 2);
          await rig[name].refused(new Error('EADDRINUSE'));
        }
        rig.clock.increment(800);
        await rig[name].bound();
        expect(rig.value).to.equal('running');
        expect(rig.snapshot.context.services[name]).to.include({ up: true, reason: null });
        expect(neighbour).to.include({ binds: 1, closes: 0 });
        expect(rig.conversation('a')?.getSnapshot().status).to.equal('active');
      });
    }

    it('replaces a listener whose own machine broke', async () => {
      await rig.run();
      const before = rig.snapshot.children['redirector'];
      await rig.redirector.broken();
      expect(rig.snapshot.children['redirector']).not.to.equal(before);
      expect(rig.snapshot.context.services.redirector).to.include({ up: false, port: 8080 });
      expect(rig.snapshot.context.crashes).to.equal(1);
      await rig.redirector.bound();
      expect(rig.snapshot.context.services.redirector.up).to.equal(true);
      expect(rig.children).to.deep.equal(['forwarder', 'redirector']);
    });
  });

  describe('when a conversation breaks', () => {
    const ways: readonly (readonly [string, () => void])[] = [
      ['an action throws', () => rig.conversation('b')?.send(poisoned(said.started(), 'messages'))],
      ['a guard throws', () => rig.conversation('b')?.send(poisoned(said.started(), 'coveringCheckpoint'))],
      [
        'a call is rejected with something unreadable',
        () => {
          rig.conversation('b')?.send(said.completed(700));
          rig.calls.at(-1)?.reject(poisoned({}, 'message'));
        },
      ],
    ];
    for (const [what, breakIt] of ways) {
      it(`lets go of it and of nothing else when ${what}`, async () => {
        await rig.run();
        rig.open('a').open('b').open('c');
        rig.conversation('a')?.send(said.completed(700));
        const others = [rig.conversation('a'), rig.conversation('c')];
        const before = others.map((actor) => actor?.getSnapshot());
        breakIt();
        await settle();
        expect(rig.children).to.deep.equal([
          ...['a', 'c'].map((id) => conversationChild(conversationId(id))),
          ...LISTENERS,
        ]);
        expect(rig.snapshot.context.crashes).to.equal(1);
        expect([rig.conversation('a'), rig.conversation('c')]).to.deep.equal(others);
        expect(others.map((actor) => actor?.getSnapshot())).to.deep.equal(before);
        expect(LISTENERS.map((name) => rig.serviceState(name))).to.deep.equal(['up', 'up']);
        expect([rig.forwarder.binds, rig.redirector.binds]).to.deep.equal([1, 1]);
        // The others work on, and the broken one can be opened anew.
        rig.calls[0]?.resolve(CHECKPOINT);
        await settle();
        expect(rig.conversation('a')?.getSnapshot().context.checkpoint).to.deep.equal(CHECKPOINT);
        expect(rig.open('b').conversation('b')?.getSnapshot().status).to.equal('active');
      });
    }

    it('survives conversations that break while it starts and while it stops', async () => {
      rig.open('early').conversation('early')?.send(poisoned(said.started(), 'messages'));
      await rig.run();
      rig.actor.send({ type: 'shutdown.requested' });
      rig.open('late').conversation('late')?.send(poisoned(said.started(), 'messages'));
      expect(rig.value).to.deep.equal({ stopping: 'draining' });
      await rig.forwarder.closed();
      await rig.redirector.closed();
      await rig.store.closed();
      expect(rig.snapshot.status).to.equal('done');
      expect(rig.snapshot.context.crashes).to.equal(2);
    });

    it('takes a failed checkpoint call for no crash', async () => {
      rig.open('a').conversation('a')?.send(said.completed(700));
      rig.calls[0]?.reject(failure('transient'));
      await settle();
      expect(rig.snapshot.context.crashes).to.equal(0);
      expect(rig.conversation('a')?.getSnapshot().context.failure?.kind).to.equal('transient');
    });
  });

  describe('as conversations come and go', () => {
    it('opens each under its own name, whatever characters are in it', () => {
      rig.open('a').open('a.agent-1').open('anonymous~1f3a');
      expect(rig.children).to.deep.equal([
        'conversation:a',
        'conversation:a.agent-1',
        'conversation:anonymous~1f3a',
        'forwarder',
      ]);
    });

    it('changes nothing when one is opened twice', () => {
      rig.open('a').conversation('a')?.send(said.started(CHECKPOINT));
      const actor = rig.conversation('a');
      const snapshot = actor?.getSnapshot();
      rig.open('a', { ttl: milliseconds(1) });
      expect(rig.conversation('a')).to.equal(actor);
      expect(actor?.getSnapshot()).to.equal(snapshot);
    });

    it('forgets one that has expired, and can open it anew', () => {
      rig.open('short', { ttl: milliseconds(1_000) }).open('long');
      rig.clock.increment(1_000);
      expect(rig.children).to.deep.equal(['conversation:long', 'forwarder']);
      expect(rig.open('short').conversation('short')?.getSnapshot().status).to.equal('active');
      expect(rig.snapshot.context.crashes).to.equal(0);
    });

    it('keeps nothing of hundreds that have expired', () => {
      for (let index = 0; index < 300; index += 1) rig.open(`many-${index}`, { ttl: milliseconds(1_000) });
      expect(rig.children).to.have.length(301);
      rig.clock.increment(1_000);
      expect(rig.children).to.deep.equal(['forwarder']);
    });

    it('ends one that is closed, and its call; closing an unknown one changes nothing', () => {
      rig.open('a').conversation('a')?.send(said.completed(700));
      const actor = rig.conversation('a');
      rig.actor.send({ type: 'conversation.closed', id: conversationId('b') });
      expect(rig.conversation('a')).to.equal(actor);
      rig.actor.send({ type: 'conversation.closed', id: conversationId('a') });
      expect(rig.children).to.deep.equal(['forwarder']);
      expect(actor?.getSnapshot().status).to.equal('stopped');
    });
  });

  describe('when it is shut down', () => {
    for (const order of [LISTENERS, [...LISTENERS].reverse()]) {
      it(`tells both at once and waits for both: ${order.join(', then ')}`, async () => {
        await rig.run();
        rig.open('a');
        const conversation = rig.conversation('a');
        rig.actor.send({ type: 'shutdown.requested' });
        expect([rig.forwarder.closes, rig.redirector.closes]).to.deep.equal([1, 1]);
        for (const name of order) {
          expect(rig.value).to.deep.equal({ stopping: 'draining' });
          expect(conversation?.getSnapshot().status, 'the conversations live until the end').to.equal('active');
          await rig[name].closed();
        }
        await rig.store.closed();
        expect(rig.value).to.equal('stopped');
        expect(rig.snapshot.status).to.equal('done');
        await rig.store.closed();
        expect(rig.snapshot.output).to.deep.equal({ startFailure: null });
        expect(rig.children).to.deep.equal([]);
        expect(conversation?.getSnapshot().status).to.equal('stopped');
      });
    }

    it('still lets requests under way open conversations', async () => {
      await rig.run();
      rig.actor.send({ type: 'shutdown.requested' });
      rig.open('late').conversation('late')?.send(said.completed(100));
      expect(rig.conversation('late')?.getSnapshot().context.used).to.equal(100);
    });

    it('stops while the forwarder is still being bound', async () => {
      rig.actor.send({ type: 'shutdown.requested' });
      expect(rig.forwarder.closes).to.equal(1);
      await rig.forwarder.bound();
      expect(rig.redirector.binds, 'nothing new is opened').to.equal(0);
      await rig.forwarder.closed();
      await rig.store.closed();
      expect(rig.value).to.equal('stopped');
    });

    it('stops while the redirector is still being bound', async () => {
      await rig.forwarder.bound();
      rig.actor.send({ type: 'shutdown.requested' });
      await rig.redirector.closed();
      await rig.forwarder.closed();
      await rig.store.closed();
      expect(rig.value).to.equal('stopped');
    });

    it('stops while a listener is down, which is not bound again', async () => {
      await rig.run();
      await rig.redirector.failed();
      rig.actor.send({ type: 'shutdown.requested' });
      rig.clock.increment(60_000);
      expect(rig.redirector.binds).to.equal(1);
      await rig.redirector.closed();
      await rig.forwarder.closed();
      await rig.store.closed();
      expect(rig.value).to.equal('stopped');
    });

    it('takes a second request for no more than the first', async () => {
      await rig.run();
      for (let times = 0; times < 3; times += 1) rig.actor.send({ type: 'shutdown.requested' });
      expect([rig.forwarder.closes, rig.redirector.closes]).to.deep.equal([1, 1]);
    });

    it('counts a listener as closed whose machine breaks while it closes', async () => {
      await rig.run();
      rig.breaksOnClose.add('forwarder');
      rig.actor.send({ type: 'shutdown.requested' });
      await rig.forwarder.closed();
      expect(rig.serviceState('forwarder')).to.equal(undefined);
      expect(rig.snapshot.context.closed).to.have.members(['dashboard', 'forwarder']);
      await rig.redirector.closed();
      await rig.store.closed();
      expect(rig.value).to.equal('stopped');
    });

    it('has closed also where closing failed', async () => {
      await rig.run();
      rig.actor.send({ type: 'shutdown.requested' });
      await rig.forwarder.notClosed();
      await rig.redirector.notClosed();
      await rig.store.closed();
      expect(rig.value).to.equal('stopped');
    });
  });

  it('holds nothing in its own memory but small plain values', async () => {
    await rig.run();
    for (let index = 0; index < 50; index += 1) rig.open(`c-${index}`);
    const { context } = rig.snapshot;
    expect(JSON.stringify(context).length).to.be.below(400);
    expect(structuredClone(context)).to.deep.equal(JSON.parse(JSON.stringify(context)));
  });

  describe('all in all', () => {
    it('has taken every transition it declares', () => {
      expect(recorder.missing(supervisorMachine)).to.deep.equal([]);
    });
  });
});

/** The state value in which the machine is expected. */
function valueOf({ phase, redirector }: SupervisorModel): string {
  if (phase === 'stopping') return JSON.stringify({ stopping: 'draining' });
  if (phase === 'saving') return JSON.stringify({ stopping: 'saving' });
  if (phase !== 'starting') return JSON.stringify(phase);
  return JSON.stringify({ starting: redirector.at === 'absent' ? 'forwarder' : 'redirector' });
}

/** Does a step of the model to a real supervisor. */
async function take(rig: SupervisorRig, event: SupervisorStep): Promise<void> {
  switch (event.type) {
    case 'brokenClosing':
      rig.breaksOnClose.add(event.name);
      return rig[event.name].closed();
    case 'bound':
    case 'refused':
    case 'failed':
    case 'broken':
    case 'closed':
      return rig[event.name][event.type]();
    case 'minutes': {
      rig.clock.increment(60_000);
      return;
    }
    case 'hours': {
      rig.clock.increment(7_200_000);
      return;
    }
    case 'shutdown': {
      rig.actor.send({ type: 'shutdown.requested' });
      return;
    }
    case 'saved':
      return rig.store.closed();
    case 'opened':
      return void rig.open(CONVERSATION);
    case 'crashed':
      return rig.conversation(CONVERSATION)?.send(poisoned(said.started(), 'messages'));
    case 'left': {
      rig.actor.send({ type: 'conversation.closed', id: conversationId(CONVERSATION) });
      return;
    }
  }
}

function assertAgrees(rig: SupervisorRig, model: SupervisorModel, path: () => string): void {
  try {
    expect(JSON.stringify(rig.value)).to.equal(valueOf(model));
    expect(rig.snapshot.status).to.equal(model.phase === 'stopped' ? 'done' : 'active');
    for (const name of LISTENERS) {
      const { at } = model[name];
      const gone = at === 'absent' || at === 'closed';
      expect(rig.serviceState(name), name).to.equal(gone ? undefined : at);
      if (at !== 'closing') expect(rig.snapshot.context.services[name].up, name).to.equal(at === 'up');
    }
    expect(rig.conversation(CONVERSATION)?.getSnapshot().status).to.equal(model.conversation ? 'active' : undefined);
    expect(rig.errors).to.deep.equal([]);
  } catch (error) {
    if (error instanceof Error) error.message += `\n after ${path()}`;
    throw error;
  }
}
