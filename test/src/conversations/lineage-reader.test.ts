import { expect } from 'chai';
import fc from 'fast-check';
import { conversationId } from '../../../machines/units.ts';
import { LineageReader } from '../../../src/conversations/lineage-reader.ts';
import { lineageOf } from '../../../src/wire/lineage.ts';
import { historyFrom, readMessageRequest, type History, type Message } from '../../../src/wire/message-request.ts';
import { continuation, dice, history as someHistory, requestBody } from '../../support/histories.ts';
import { EDITS, varied, type EditName } from '../../support/history-changes.ts';

const ONE = conversationId('one');
const TWO = conversationId('two');
const user = (content: string): Message => ({ role: 'user', content });

/** A history as it comes in a request's bytes. */
function sent(messages: readonly Message[]): History {
  const request = readMessageRequest(requestBody(messages));
  if (request === null) throw new Error('no message request');
  return request;
}

/** The same, which records the messages that are read. */
function watched(messages: readonly Message[]): { readonly history: History; readonly read: number[] } {
  const read: number[] = [];
  const inner = sent(messages);
  const history: History = {
    length: inner.length,
    bytesOfFirst: (count) => inner.bytesOfFirst(count),
    message(index) {
      read.push(index);
      return inner.message(index);
    },
  };
  return { history, read };
}

const numbered = (count: number, from = 0): Message[] =>
  Array.from({ length: count }, (_, at) => user(`message ${from + at}`));

describe('the reader of histories', () => {
  const eager = { unstableMessages: 2, minBytes: 0, maxConversations: 2 };

  it('reads them as a whole', async () => {
    const messages = [user('a'), user('b')];
    const reader = new LineageReader();
    expect(await reader.read(ONE, historyFrom(messages))).to.deep.equal(lineageOf(messages));
    expect(await reader.read(ONE, historyFrom([]))).to.have.length(0);
  });

  it('does not read one with a message of no known shape', async () => {
    const broken = { length: 2, message: (at: number) => (at === 0 ? user('a') : null), bytesOfFirst: () => null };
    expect(await new LineageReader().read(ONE, broken)).to.equal(null);
  });

  it('lets other work run in between', async () => {
    const messages = Array.from({ length: 400 }, (_, at) => user(`${at} ${'x'.repeat(60_000)}`));
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 1);
    const began = performance.now();
    const lineage = await new LineageReader().read(ONE, historyFrom(messages));
    const took = performance.now() - began;
    clearInterval(timer);
    expect(lineage).to.have.length(400);
    if (took > 20) expect(turns).to.be.greaterThan(1);
  });

  it('gives the same result as a new reader, in any order of histories', async () => {
    const next = fc.oneof(
      continuation.map((more) => ({ kind: 'goes on', more }) as const),
      fc.constant({ kind: 'is varied' } as const),
      fc.constantFrom(...(Object.keys(EDITS) as EditName[])).map((edit) => ({ kind: 'is edited', edit }) as const),
      fc.nat().map((keep) => ({ kind: 'loses its end', keep }) as const),
      someHistory.map((other) => ({ kind: 'is another', other }) as const),
    );
    await fc.assert(
      fc.asyncProperty(someHistory, fc.array(next, { maxLength: 8 }), dice, async (first, steps, rolls) => {
        const reader = new LineageReader(eager);
        let messages = first;
        expect(await reader.read(ONE, sent(messages))).to.deep.equal(lineageOf(messages));
        for (const step of steps) {
          if (step.kind === 'goes on') messages = [...messages, ...step.more];
          else if (step.kind === 'is varied') messages = varied(messages, rolls);
          else if (step.kind === 'is edited') messages = EDITS[step.edit](messages, rolls) ?? messages;
          else if (step.kind === 'loses its end') messages = messages.slice(0, 1 + (step.keep % messages.length));
          else messages = step.other;
          if (messages.length === 0) break;
          expect(await reader.read(ONE, sent(messages)), step.kind).to.deep.equal(lineageOf(messages));
        }
      }),
      { seed: 20261124, numRuns: 300 },
    );
  });

  it('reads only the new part of a history that continues, for turns and compactions', async () => {
    const reader = new LineageReader(eager);
    await reader.read(ONE, sent(numbered(10)));
    const longer = watched(numbered(12));
    expect(await reader.read(ONE, longer.history)).to.deep.equal(lineageOf(numbered(12)));
    expect(longer.read).to.deep.equal([8, 9, 10, 11]);
    const again = watched(numbered(12));
    await reader.read(ONE, again.history);
    expect(again.read).to.deep.equal([10, 11]);
  });

  it('reads the whole history when a byte of its beginning differs', async () => {
    const reader = new LineageReader(eager);
    await reader.read(ONE, sent(numbered(10)));
    const changed = numbered(10).map((message, at) => (at === 3 ? user('message 4') : message));
    const { history, read } = watched(changed);
    expect(await reader.read(ONE, history)).to.deep.equal(lineageOf(changed));
    expect(read).to.have.length(10);
  });

  it('keeps the beginnings of a few conversations only, and forgets one on request', async () => {
    const reader = new LineageReader(eager);
    const readBy = async (name: string): Promise<number> => {
      const { history, read } = watched(numbered(10));
      await reader.read(conversationId(name), history);
      return read.length;
    };
    expect(await readBy('a')).to.equal(10);
    expect(await readBy('b')).to.equal(10);
    expect(await readBy('a')).to.equal(2);
    expect(await readBy('c')).to.equal(10); // and b is forgotten
    expect(await readBy('a')).to.equal(2);
    expect(await readBy('b')).to.equal(10);
    reader.forget(conversationId('b'));
    expect(await readBy('b')).to.equal(10);
  });

  it('uses nothing of another conversation, and keeps nothing of short histories', async () => {
    const reader = new LineageReader({ ...eager, minBytes: 1_000 });
    await reader.read(ONE, sent(numbered(10)));
    const short = watched(numbered(10));
    await reader.read(ONE, short.history);
    expect(short.read).to.have.length(10);
    await reader.read(ONE, sent(numbered(100)));
    const other = watched(numbered(100));
    await reader.read(TWO, other.history);
    expect(other.read).to.have.length(100);
  });
});
