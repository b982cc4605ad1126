import { expect } from 'chai';
import { createActor } from 'xstate';
import { conversationMachine } from '../../machines/conversation.ts';
import { PHASES, phaseOf, type Phase } from '../../machines/phases.ts';
import { INPUT } from './conversation-rig.ts';

type Buffer = 'empty' | { readonly ready: 'wal' | 'swapReady' } | 'served';
type Call = 'idle' | 'running' | 'waitingToRetry' | 'givenUp';

const CALLS: readonly Call[] = ['idle', 'running', 'waitingToRetry', 'givenUp'];

const { context } = createActor(conversationMachine, { input: INPUT }).getSnapshot();

const phaseIn = (buffer: Buffer, call: Call): Phase =>
  phaseOf(conversationMachine.resolveState({ value: { alive: { buffer, call, activity: 'recent' } }, context }));

describe('the phase of a conversation', () => {
  it('is what its buffer can show, whatever a call does beside it', () => {
    for (const call of CALLS) {
      expect(phaseIn({ ready: 'wal' }, call)).to.equal('WAL_ACTIVE');
      expect(phaseIn({ ready: 'swapReady' }, call)).to.equal('SWAP_READY');
      expect(phaseIn('served', call)).to.equal('SWAP_READY');
    }
  });

  it('is CHECKPOINTING only while a call runs and nothing is servable', () => {
    expect(CALLS.map((call) => phaseIn('empty', call))).to.deep.equal(['IDLE', 'CHECKPOINTING', 'IDLE', 'IDLE']);
  });

  it('is one of the four that users know', () => {
    expect(PHASES).to.deep.equal(['IDLE', 'CHECKPOINTING', 'WAL_ACTIVE', 'SWAP_READY']);
  });

  it('is IDLE once the conversation has expired', () => {
    expect(phaseOf({ matches: () => false })).to.equal('IDLE');
  });
});
