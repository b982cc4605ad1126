import { expect } from 'chai';
import { DeferredBody } from '../../../src/forwarder/deferred-body.ts';
import { until } from '../redirector/sockets.ts';

describe('what of an answer was not looked at yet', () => {
  let shown: string[];
  let unseen: DeferredBody;
  beforeEach(() => {
    shown = [];
    unseen = new DeferredBody({ kind: 'close' }, (bytes) => void shown.push(bytes.toString()));
  });

  it('is shown a little later, in order', async () => {
    for (const text of ['a', 'b']) {
      unseen.add(Buffer.from(text));
      unseen.scheduleFlush();
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(shown).to.deep.equal([]);
    await until(() => shown.length === 2);
    expect(shown).to.deep.equal(['a', 'b']);
  });

  it('is shown at once when asked for, and once', async () => {
    unseen.add(Buffer.from('a'));
    unseen.flush();
    unseen.flush();
    expect(shown).to.deep.equal(['a']);
    unseen.add(Buffer.from('b'));
    unseen.scheduleFlush();
    await until(() => shown.length === 2);
  });

  it('is shown as soon as the bytes have left when it is much, or many pieces', () => {
    unseen.add(Buffer.alloc(1024 * 1024));
    expect(shown).to.have.length(0);
    unseen.scheduleFlush();
    expect(shown).to.have.length(1);
    for (let piece = 0; piece < 4_096; piece += 1) unseen.add(Buffer.from('x'));
    unseen.scheduleFlush();
    expect(shown).to.have.length(4_097);
  });

  it('is shown without its framing', () => {
    unseen = new DeferredBody({ kind: 'chunked' }, (bytes) => void shown.push(bytes.toString()));
    for (const piece of ['1\r\na\r', '\n2\r\nb', 'c\r\n0\r\n\r\n']) unseen.add(Buffer.from(piece));
    unseen.flush();
    expect(shown.join('')).to.equal('abc');
  });
});
