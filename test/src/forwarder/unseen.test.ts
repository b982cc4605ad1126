import { expect } from 'chai';
import { Unseen } from '../../../src/forwarder/unseen.ts';
import { until } from '../redirector/sockets.ts';

describe('what of an answer was not looked at yet', () => {
  let shown: string[];
  let unseen: Unseen;
  beforeEach(() => {
    shown = [];
    unseen = new Unseen((bytes) => void shown.push(bytes.toString()));
  });

  it('is shown a little later, in order', async () => {
    for (const text of ['a', 'b']) unseen.add(Buffer.from(text));
    await new Promise((resolve) => setImmediate(resolve));
    expect(shown).to.deep.equal([]);
    await until(() => shown.length === 2);
    expect(shown).to.deep.equal(['a', 'b']);
  });

  it('is shown at once when asked for, and once', async () => {
    unseen.add(Buffer.from('a'));
    unseen.show();
    unseen.show();
    expect(shown).to.deep.equal(['a']);
    unseen.add(Buffer.from('b'));
    await until(() => shown.length === 2);
  });

  it('is full with much of it, or with many pieces', () => {
    expect(unseen.isFull).to.equal(false);
    unseen.add(Buffer.alloc(1024 * 1024));
    expect(unseen.isFull).to.equal(true);
    unseen.show();
    expect(unseen.isFull).to.equal(false);
    for (let piece = 0; piece < 4_096; piece += 1) unseen.add(Buffer.from('x'));
    expect(unseen.isFull).to.equal(true);
    unseen.show();
    expect(shown).to.have.length(4_097);
  });
});
