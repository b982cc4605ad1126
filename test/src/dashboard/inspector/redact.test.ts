import { expect } from 'chai';
import fc from 'fast-check';
import { contextOf, payloadOf } from '../../../../src/dashboard/inspector/redact.ts';
import { CHECKPOINT, said } from '../../../machines/conversation-rig.ts';

const CANARY = 'sk-ant-canary';

describe('what leaves of events and contexts', () => {
  it('is what a conversation is told', () => {
    expect(payloadOf(said.started(CHECKPOINT, false))).to.include({
      messages: 11,
      'coveringCheckpoint.id': 'own',
      continuesCallHistory: false,
    });
    expect(payloadOf(said.completed(700))).to.include({ used: 700, model: 'claude-sonnet-4-6', turn: 7 });
    const failed = { type: 'xstate.error.actor.x', error: { failure: 'transient', message: CANARY, stack: CANARY } };
    expect(payloadOf(failed)).to.deep.equal({ 'error.failure': 'transient' });
  });

  it('is nothing that was not named, however deep and under whatever name', () => {
    const key = fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.constantFrom('headers', 'body', 'summary', 'messages', 'content', 'authorization', 'input', 'seen', 'output'),
    );
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: 'small' },
        fc.constant(CANARY),
        fc.integer(),
        fc.dictionary(key, tie('any'), { maxKeys: 4 }),
        fc.array(tie('any'), { maxLength: 3 }),
      ),
    })).any;
    const unnamed = fc.dictionary(key, value, { maxKeys: 5 }).map((fields) => {
      // Named fields are numbers, names and reasons in our machines; a text in one of them is not what this is about.
      const kept = Object.entries(fields).filter(([name, found]) => typeof found === 'object' || name.length > 8);
      return Object.fromEntries(kept.map(([name, found]) => [name, blank(found)]));
    });
    fc.assert(
      fc.property(unnamed, (event) => {
        expect(JSON.stringify([payloadOf(event), contextOf({ context: event })])).not.to.include(CANARY);
      }),
      { numRuns: 300 },
    );
  });

  it('shortens what is long', () => {
    expect(payloadOf({ reason: 'x'.repeat(5_000) })['reason']).to.have.length(300);
  });

  it('bears anything', () => {
    for (const value of [undefined, null, 5, 'x', [], { context: null }, { context: { counters: 7 } }]) {
      expect(payloadOf(value)).to.be.an('object');
      expect(contextOf(value)).to.be.an('object');
    }
  });
});

/** Takes the texts out of the places that may leave. */
function blank(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const named = new Set(['id', 'anchorMessages', 'port', 'failure', 'code', 'kind', 'message', 'retryAfter']);
  return Object.fromEntries(Object.entries(value).filter(([name]) => !named.has(name)));
}
