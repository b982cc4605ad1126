import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { tapAnswer } from '../../../src/forwarder/answer-tap.ts';
import type { AnswerReader } from '../../../src/wire/answer-reader.ts';

const EVENTS = [
  { type: 'message_start', message: { usage: { input_tokens: 7, output_tokens: 1 } } },
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 11 } },
  { type: 'message_stop' },
];
const STREAM = Buffer.from(EVENTS.map((data) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`).join(''));
const MESSAGE = Buffer.from(
  JSON.stringify({ type: 'message', content: [], usage: { input_tokens: 7, output_tokens: 11 } }),
);

/** What has been read of `body` at the moment when it has passed: null when nothing has. */
function readAt(encoding: string, type: string, body: Buffer): AnswerReader | null {
  const read: AnswerReader[] = [];
  const passing = tapAnswer(['Content-Type', type, 'Content-Encoding', encoding], (reader) => read.push(reader));
  for (let at = 0; at < body.length; at += 10) passing.push(body.subarray(at, at + 10));
  passing.end();
  expect(read.length).to.be.at.most(1);
  return read[0] ?? null;
}

describe('an answer that passes', () => {
  const encodings = { '': (body: Buffer) => body, gzip: gzipSync, br: brotliCompressSync, deflate: deflateSync };
  for (const [encoding, encode] of Object.entries(encodings)) {
    it(`has been read by the time it has passed, ${encoding || 'plain'}: the next turn may begin right behind it`, () => {
      for (const [type, body] of [
        ['text/event-stream', STREAM],
        ['application/json', MESSAGE],
      ] as const) {
        const reader = readAt(encoding, type, encode(body));
        expect(reader?.completed, type).to.equal(true);
        expect(reader?.usage).to.include({ input: 7, output: 11 });
      }
    });

    if (encoding !== '') {
      it(`tells nothing that is not sure: ${encoding} cut off, or none at all`, () => {
        const whole = encode(STREAM);
        expect(readAt(encoding, 'text/event-stream', whole.subarray(0, -12))).to.equal(null);
        expect(readAt(encoding, 'text/event-stream', Buffer.from('no such thing'))).to.equal(null);
      });
    }
  }

  it('tells nothing of an encoding that is not known', () => {
    expect(readAt('zstd', 'text/event-stream', STREAM)).to.equal(null);
  });
});
