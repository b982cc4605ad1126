import { expect } from 'chai';
import type { AnyStateMachine, AnyTransitionDefinition } from 'xstate';
import { conversationMachine } from '../../../../machines/conversation.ts';
import { serviceMachine } from '../../../../machines/service.ts';
import { supervisorMachine } from '../../../../machines/supervisor.ts';
import { readGraph } from '../../../../src/dashboard/inspector/graph.ts';
import { declaredTransitions } from '../../../machines/walk.ts';

const MACHINES: readonly AnyStateMachine[] = [conversationMachine, serviceMachine, supervisorMachine];

describe('a statechart read off its machine', () => {
  for (const machine of MACHINES) {
    describe(machine.id, () => {
      const { graph } = readGraph(machine);
      const ids = new Set(graph.nodes.map(({ id }) => id));

      it('can be sent as it is', () => {
        expect(JSON.parse(JSON.stringify(graph))).to.deep.equal(graph);
      });

      it('names parents before their children, and nothing that is not there', () => {
        const met = new Set<string>();
        for (const { id, initial, parent } of graph.nodes) {
          expect(parent === null || met.has(parent), id).to.equal(true);
          if (initial !== null) expect(ids.has(initial), id).to.equal(true);
          met.add(id);
        }
        expect(graph.nodes[0]).to.include({ id: machine.id, parent: null });
        for (const { source, target } of graph.edges) expect(ids.has(source) && ids.has(target)).to.equal(true);
      });

      it('has every transition that the machine declares, each under a name of its own', () => {
        expect(graph.edges.length).to.be.at.least(declaredTransitions(machine).length);
        expect(new Set(graph.edges.map(({ id }) => id)).size).to.equal(graph.edges.length);
      });
    });
  }

  const { edgesOf, graph } = readGraph(conversationMachine);
  const node = (id: string) => graph.nodes.find((candidate) => candidate.id === `conversation.alive.${id}`);
  const edges = (source: string) => graph.edges.filter((edge) => edge.source === `conversation.alive.${source}`);

  it('shows guards, delays, invoked actors and actions by name', () => {
    expect(node('call.running')?.invokes.map(({ src }) => src)).to.deep.equal(['computeCheckpoint']);
    expect(node('call.running')?.entry).to.deep.equal(['countAttempt']);
    expect(node('call.waitingToRetry')?.delays).to.deep.equal(['retryPause']);
    expect(node('buffer.ready')).to.include({ type: 'compound', initial: 'conversation.alive.buffer.ready.wal' });
    expect(edges('call.waitingToRetry').map(({ guard, kind, label }) => [kind, label, guard])).to.deep.include([
      'after',
      'after retryPause',
      'wantsCheckpoint',
    ]);
    expect(edges('call.running').map(({ kind, label }) => `${kind} ${label}`)).to.include.members([
      'done done: computeCheckpoint',
      'error error: computeCheckpoint',
    ]);
    expect(edges('buffer.ready.wal').map(({ guard, kind }) => [kind, guard])).to.deep.equal([
      ['always', 'isPastSwapThreshold'],
    ]);
    const stays = edges('buffer.served').find(({ event, moves }) => event === 'compaction.served' && !moves);
    expect(stays).to.include({
      source: 'conversation.alive.buffer.served',
      target: 'conversation.alive.buffer.served',
    });
    expect(stays?.actions).to.deep.equal(['countServed']);
  });

  it('tells which edges a transition is', () => {
    const declared: readonly AnyTransitionDefinition[] = [...conversationMachine.root.transitions.values()].flat();
    const alive = conversationMachine.root.states['alive'];
    const idled = alive?.transitions.get('conversation.idled')?.[0];
    expect(idled === undefined ? [] : edgesOf(idled)).to.have.length(1);
    for (const transition of declared) expect(edgesOf(transition).length).to.be.at.least(1);
  });
});
