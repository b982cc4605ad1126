import { expect } from 'chai';
import { createActor, fromCallback, fromPromise, setup, SimulatedClock, type AnyActorRef } from 'xstate';
import type { InspectionRecord } from '../../../../web/contract.ts';
import { FAILURES_TO_OPEN, type BreakerActor } from '../../../../machines/breaker.ts';
import { conversationMachine } from '../../../../machines/conversation.ts';
import { serviceMachine, type ServiceName } from '../../../../machines/service.ts';
import { supervisorMachine } from '../../../../machines/supervisor.ts';
import { timestamp } from '../../../../machines/units.ts';
import { Inspector } from '../../../../src/dashboard/inspector/inspector.ts';
import { CHECKPOINT, INPUT, said } from '../../../machines/conversation-rig.ts';
import { settle } from '../../../machines/walk.ts';

const NOBODY: ReadonlySet<string> = new Set();

type EventRecord = Extract<InspectionRecord, { readonly kind: 'event' }>;

describe('the inspector', () => {
  const errors: unknown[] = [];
  const fail = new Map<ServiceName, () => void>();
  let told = 0;
  const over = (root: AnyActorRef): Inspector =>
    new Inspector({ root: () => root, now: () => 5, onRecords: () => (told += 1), onError: (e) => errors.push(e) });
  const start = () => {
    const actor = createActor(
      supervisorMachine.provide({
        actors: {
          conversation: conversationMachine.provide({
            actors: { computeCheckpoint: fromPromise(() => Promise.resolve(CHECKPOINT)) },
          }),
          service: serviceMachine.provide({
            actors: {
              start: fromPromise<{ port: number | null }, { name: ServiceName }>(() => Promise.resolve({ port: 1 })),
              watch: fromCallback<{ type: 'service.stop' }, { name: ServiceName }>(({ input, sendBack }) => {
                fail.set(input.name, () => sendBack({ type: 'service.failed', reason: 'EMFILE' }));
              }),
              close: fromPromise(() => Promise.resolve(undefined)),
            },
          }),
        },
      }),
      { clock: new SimulatedClock() },
    );
    actor.start();
    return actor;
  };
  const opened = () => ({ type: 'conversation.opened', input: { ...INPUT, persisted: null } }) as const;
  const conversationOf = (root: AnyActorRef): AnyActorRef => {
    const { children } = root.getSnapshot() as { children: Record<string, AnyActorRef | undefined> };
    const child = children['conversation:session-1'];
    if (child === undefined) throw new Error('there is no conversation');
    return child;
  };
  afterEach(() => {
    expect(errors.splice(0)).to.deep.equal([]);
    told = 0;
  });

  it('sees nothing while nobody looks, and keeps nothing afterwards', async () => {
    const root = start();
    const inspector = over(root);
    root.send(opened());
    await settle();
    expect([inspector.newest, told]).to.deep.equal([0, 0]);
    const stop = inspector.watch();
    conversationOf(root).send(said.started());
    await settle();
    expect(inspector.after(0, NOBODY)).to.have.length(1);
    stop();
    stop();
    conversationOf(root).send(said.started());
    await settle();
    expect([inspector.newest, inspector.view().records.length, inspector.view().actors.length]).to.deep.equal([
      1, 0, 0,
    ]);
    root.stop();
  });

  it('shows the tree of actors, with where each stands', async () => {
    const root = start();
    root.send(opened());
    await settle();
    const inspector = over(root);
    const stop = inspector.watch();
    const { actors, machines } = inspector.view();
    const supervisor = actors.find(({ parent }) => parent === null);
    expect(supervisor).to.include({ id: 'supervisor', machine: 'supervisor', kind: 'machine', status: 'active' });
    const children = actors.filter(({ parent }) => parent === supervisor?.session);
    expect(children.map(({ id }) => id)).to.have.members([
      'conversation:session-1',
      'forwarder',
      'redirector',
      'store',
      'dashboard',
      'breaker',
    ]);
    const conversation = children.find(({ id }) => id.startsWith('conversation:'));
    expect(conversation?.states).to.include.members(['conversation', 'conversation.alive.buffer.empty']);
    expect(Object.keys(machines)).to.have.members(['supervisor', 'conversation', 'service', 'breaker']);
    for (const { machine, states } of actors) {
      const nodes = machines[machine ?? '']?.nodes.map(({ id }) => id) ?? [];
      expect(nodes).to.include.members([...states]);
    }
    stop();
    root.stop();
  });

  it('records each event with sender, states and the edges that were taken, in the order of sending', async () => {
    const root = start();
    root.send(opened());
    await settle();
    const inspector = over(root);
    const stop = inspector.watch();
    const conversation = conversationOf(root);
    conversation.send(said.completed(750));
    await settle();
    const records = inspector.after(0, NOBODY);
    expect(records.map(({ seq }) => seq)).to.deep.equal(records.map((_, at) => at + 1));
    const events = records.filter((record): record is EventRecord => record.kind === 'event');
    const completed = events[0];
    expect(completed).to.include({ type: 'turn.completed', sender: null, receiver: conversation.sessionId });
    expect(completed?.before).to.include('conversation.alive.call.idle');
    expect(completed?.after).to.include('conversation.alive.call.running');
    expect(completed?.payload).to.include({ used: 750 });
    expect(completed?.context).to.include({ used: 750, tries: 1 });
    const { edges } = inspector.view().machines['conversation'] ?? { edges: [] };
    const taken = edges.filter(({ id }) => completed?.edges.includes(id) === true).map(({ label }) => label);
    expect(taken).to.include.members(['turn.completed', 'always']);
    const call = records.find((record) => record.kind === 'started');
    expect(call?.kind === 'started' ? call.actor : null).to.include({
      id: 'computeCheckpoint',
      kind: 'promise',
      machine: null,
      parent: conversation.sessionId,
    });
    const order = events.map(({ type }) => type);
    expect(order.indexOf('xstate.promise.resolve')).to.be.below(
      order.findIndex((type) => type.startsWith('xstate.done')),
    );
    const done = events.find(({ type }) => type.startsWith('xstate.done'));
    expect(done?.after).to.include('conversation.alive.buffer.ready.wal');
    expect(done?.payload).to.include({ 'output.id': 'own' });
    expect(records.at(-1)).to.include({ kind: 'ended', status: 'done' });
    stop();
    root.stop();
  });

  it('sees actors end', async () => {
    const root = start();
    root.send(opened());
    await settle();
    const inspector = over(root);
    const stop = inspector.watch();
    const { sessionId } = conversationOf(root);
    root.send({ type: 'conversation.closed', id: INPUT.id });
    await settle();
    const ended = inspector.after(0, NOBODY).filter(({ kind }) => kind === 'ended');
    expect(ended).to.deep.equal([{ kind: 'ended', seq: ended[0]?.seq, at: 5, session: sessionId, status: 'stopped' }]);
    expect(inspector.view().actors.some(({ session }) => session === sessionId)).to.equal(false);
    stop();
    root.stop();
  });

  it('records the service as the sender of its reports to the supervisor', async () => {
    const root = start();
    await settle();
    const inspector = over(root);
    const stop = inspector.watch();
    fail.get('forwarder')?.();
    await settle();
    const forwarder = inspector.view().actors.find(({ id }) => id === 'forwarder');
    const events = inspector.after(0, NOBODY).filter((record): record is EventRecord => record.kind === 'event');
    const report = events.find(({ type }) => type === 'service.down');
    expect(report).to.include({ sender: forwarder?.session, receiver: root.sessionId });
    expect(report?.payload).to.include({ name: 'forwarder', reason: 'EMFILE', hasBeenUp: true });
    stop();
    root.stop();
  });

  it('shows the circuit breaker as a child of the supervisor', async () => {
    const root = start();
    const inspector = over(root);
    const stop = inspector.watch();
    const breaker = root.getSnapshot().children['breaker'] as BreakerActor;
    expect(inspector.view().actors.find(({ id }) => id === 'breaker')).to.include({
      session: breaker.sessionId,
      parent: root.sessionId,
      machine: 'breaker',
    });
    for (let at = 0; at < FAILURES_TO_OPEN; at += 1) breaker.send({ type: 'call.failed', at: timestamp(at) });
    await settle();
    const events = inspector.after(0, NOBODY).filter((record): record is EventRecord => record.kind === 'event');
    const last = events.findLast(({ type }) => type === 'call.failed');
    expect([last?.receiver, last?.after]).to.deep.equal([breaker.sessionId, ['breaker', 'breaker.open']]);
    stop();
    root.stop();
  });

  it('survives a machine that throws, and events that nobody takes', async () => {
    const broken = setup({
      types: { events: {} as { type: 'break' } | { type: 'more' } },
      actions: {
        throws: () => {
          throw new Error('broken');
        },
      },
    }).createMachine({ id: 'broken', initial: 'whole', states: { whole: { on: { break: { actions: 'throws' } } } } });
    const root = createActor(broken);
    root.subscribe({ error: () => undefined });
    root.start();
    const inspector = over(root);
    const stop = inspector.watch();
    root.send({ type: 'break' });
    root.send({ type: 'more' });
    await settle();
    expect(
      inspector.after(0, NOBODY).map((record) => (record.kind === 'event' ? record.type : record.kind)),
    ).to.include.members(['break', 'more']);
    stop();
  });

  it('keeps the newest 2,000 records', async () => {
    const root = start();
    root.send(opened());
    await settle();
    const inspector = over(root);
    const stop = inspector.watch();
    const conversation = conversationOf(root);
    for (let at = 0; at < 5_000; at += 1) conversation.send(said.started());
    await settle();
    const { records } = inspector.view();
    expect([records.length, records.at(-1)?.seq, records[0]?.seq]).to.deep.equal([2_000, 5_000, 3_001]);
    stop();
    root.stop();
  });
});
