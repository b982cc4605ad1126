import { expect } from 'chai';
import { conversationId } from '../../../machines/units.ts';
import { KeyedTaskQueue } from '../../../src/conversations/keyed-task-queue.ts';

const A = conversationId('a');
const B = conversationId('b');

describe('pending work on conversations', () => {
  it('is awaited completely, for one conversation only', async () => {
    const settling = new KeyedTaskQueue(() => undefined);
    const ends: (() => void)[] = [];
    const work = (): Promise<void> => new Promise((resolve) => ends.push(resolve));
    settling.add(A, work());
    settling.add(A, work());
    settling.add(B, work());
    let settled = false;
    const all = settling.settled(A).then(() => (settled = true));
    ends[1]?.();
    await new Promise(setImmediate);
    expect([settled, settling.size]).to.deep.equal([false, 2]);
    ends[0]?.();
    await all;
    expect(settling.size).to.equal(1);
    await settling.settled(conversationId('nobody'));
  });

  it('may fail, which is reported and does not stop later work', async () => {
    const told: unknown[] = [];
    const settling = new KeyedTaskQueue((conversation, error) => told.push([conversation, String(error)]));
    settling.add(A, Promise.reject(new Error('one')));
    settling.add(A, Promise.resolve());
    await settling.settled(A);
    expect([told, settling.size]).to.deep.equal([[[A, 'Error: one']], 0]);
  });
});
