import { expect } from 'chai';
import fc from 'fast-check';
import { servedAnswer, type ServedAnswer } from '../../../src/compaction/served-answer.ts';
import { AnswerReader, usedTokens } from '../../../src/wire/answer-reader.ts';
import { headerValue } from '../../../src/wire/headers.ts';
import { SseReader, type ServerSentEvent } from '../../../src/wire/sse.ts';
import { anyCharacter } from '../../support/histories.ts';

const serve = (text: string, stream: boolean, key = 'k'): ServedAnswer =>
  servedAnswer({ text, model: 'claude-sonnet-4-6', stream, key });

function eventsOf(answer: ServedAnswer): ServerSentEvent[] {
  const events: ServerSentEvent[] = [];
  new SseReader((event) => events.push(event)).push(answer.body);
  return events;
}

const readStream = (answer: ServedAnswer): AnswerReader => {
  const reader = new AnswerReader({ keepText: true });
  for (const event of eventsOf(answer)) reader.takeEvent(event);
  return reader;
};

const anyText = fc.oneof(
  fc.string({ unit: anyCharacter, minLength: 1, maxLength: 50 }),
  // Characters of one to four bytes, in texts of several deltas and with their bounds anywhere.
  fc
    .tuple(fc.constantFrom('a', 'é', '你', '🙂'), fc.integer({ min: 2_040, max: 8_200 }), fc.constantFrom('', 'x'))
    .map(([letter, times, shift]) => shift + letter.repeat(times)),
);

describe('a served answer', () => {
  it('carries the text, streamed and whole', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const streamed = readStream(serve(text, true));
        expect(streamed.text).to.equal(text);
        expect(streamed).to.include({ completed: true, stopReason: 'end_turn', error: null });
        expect(streamed.blocks).to.deep.equal(['text']);
        const whole = new AnswerReader({ keepText: true });
        whole.takeBody(serve(text, false).body.toString('utf8'));
        expect(whole).to.include({ text, completed: true, stopReason: 'end_turn', error: null });
      }),
      { seed: 20260731, numRuns: 100 },
    );
  });

  it('never cuts a character in two', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        for (const { data } of eventsOf(serve(text, true))) expect(data).not.to.match(/\\ud[89a-f]/i);
      }),
      { seed: 20260731, numRuns: 50 },
    );
  });

  it('is a stream as the API makes one', () => {
    const events = eventsOf(serve('x'.repeat(5_000), true));
    expect(events.map(({ event }) => event)).to.deep.equal([
      ...['message_start', 'content_block_start', 'ping', 'content_block_delta', 'content_block_delta'],
      ...['content_block_stop', 'message_delta', 'message_stop'],
    ]);
    for (const { event, data } of events) expect(JSON.parse(data)).to.include({ type: event });
    const start = JSON.parse(events[0]?.data ?? '') as { message: Record<string, unknown> };
    expect(start.message).to.include({
      type: 'message',
      role: 'assistant',
      model: 'claude-sonnet-4-6',
      stop_reason: null,
    });
    expect(start.message['content']).to.deep.equal([]);
    expect(start.message['id']).to.match(/^msg_[\w]{10,}$/);
  });

  it('bills nothing', () => {
    const streamed = readStream(serve('x', true));
    expect(usedTokens(streamed.usage)).to.equal(0);
    const whole = JSON.parse(serve('x', false).body.toString()) as { usage: Record<string, number> };
    expect(Object.values(whole.usage)).to.deep.equal([0, 0, 0, 0]);
  });

  it('is the same for the same request, and has another id for another', () => {
    for (const stream of [true, false]) {
      expect(serve('text', stream).body.equals(serve('text', stream).body)).to.equal(true);
      expect(serve('text', stream).headers).to.deep.equal(serve('text', stream).headers);
      const ids = [serve('text', stream), serve('text', stream, 'l'), serve('other', stream)].map(({ headers }) =>
        headerValue(headers, 'request-id'),
      );
      expect(new Set(ids)).to.have.length(3);
    }
  });

  it('says what it is', () => {
    expect(headerValue(serve('x', true).headers, 'content-type')).to.match(/^text\/event-stream/);
    expect(headerValue(serve('x', false).headers, 'content-type')).to.match(/^application\/json/);
  });
});
