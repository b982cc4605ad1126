import { expect } from 'chai';
import { checkpointId } from '../../machines/units.ts';
import { nullRepository } from '../../src/conversations/repository.ts';
import { createFacts, publishingRepository, type ConversationFact } from '../../src/facts.ts';

const RECEIVED: ConversationFact = { type: 'request.received' };
const FAILED: ConversationFact = { type: 'api.failed', conversation: null };

describe('the stream of facts', () => {
  it('gives every fact to every subscriber, in the order of subscription', () => {
    const received: [string, ConversationFact][] = [];
    const facts = createFacts(() => undefined);
    facts.publish(RECEIVED);
    for (const name of ['first', 'second']) facts.subscribe((fact) => received.push([name, fact]));
    facts.publish(RECEIVED);
    facts.publish(FAILED);
    expect(received).to.deep.equal([
      ['first', RECEIVED],
      ['second', RECEIVED],
      ['first', FAILED],
      ['second', FAILED],
    ]);
  });

  it('ends a subscription, and only that one', () => {
    const received: string[] = [];
    const facts = createFacts(() => undefined);
    const end = facts.subscribe(() => received.push('first'));
    facts.subscribe(() => received.push('second'));
    end();
    end();
    facts.publish(RECEIVED);
    expect(received).to.deep.equal(['second']);
  });

  it('reports what a subscriber throws, and goes on with the others', () => {
    const error = new Error('made for a test');
    const errors: unknown[] = [];
    const received: ConversationFact[] = [];
    const facts = createFacts((thrown) => errors.push(thrown));
    facts.subscribe(() => {
      throw error;
    });
    facts.subscribe((fact) => received.push(fact));
    facts.publish(RECEIVED);
    facts.publish(FAILED);
    expect(errors).to.deep.equal([error, error]);
    expect(received).to.deep.equal([RECEIVED, FAILED]);
  });

  it('has a fact for each checkpoint that is deleted from a repository', () => {
    const deleted: string[] = [];
    const published: ConversationFact[] = [];
    const id = checkpointId('cp-1');
    const inner = { ...nullRepository, deleteCheckpoint: (given: string) => deleted.push(given) };
    publishingRepository(inner, (fact) => published.push(fact)).deleteCheckpoint(id);
    expect(deleted).to.deep.equal([id]);
    expect(published).to.deep.equal([{ type: 'checkpoint.deleted', checkpoint: id }]);
  });
});
