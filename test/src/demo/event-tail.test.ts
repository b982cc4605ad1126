import { expect } from 'chai';
import { EventTail } from '../../../src/demo/event-tail.ts';

const never = new AbortController().signal;

describe("the demo's log book", () => {
  it('finds what was written before, and waits for what comes', async () => {
    const book = new EventTail();
    book.info('phase.changed', { to: 'IDLE' });
    expect((await book.wait('phase.changed', 1_000, never))?.fields).to.deep.equal({ to: 'IDLE' });
    const coming = book.wait('checkpoint.completed', 1_000, never);
    book.warn('checkpoint.failed');
    book.info('checkpoint.completed', { duration_ms: 7 });
    expect((await coming)?.fields).to.deep.equal({ duration_ms: 7 });
    expect(book.latest('checkpoint.failed')?.fields).to.deep.equal({});
    expect(book.latest('unheard.of')).to.equal(undefined);
  });

  it('gives up after a while, or when it is told to', async () => {
    const book = new EventTail();
    expect(await book.wait('never', 5, never)).to.equal(null);
    const stopping = new AbortController();
    const waiting = book.wait('never', 60_000, stopping.signal);
    stopping.abort();
    expect(await waiting).to.equal(null);
    expect(await book.wait('never', 60_000, stopping.signal), 'already told').to.equal(null);
  });
});
