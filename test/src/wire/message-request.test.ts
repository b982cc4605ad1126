import { expect } from 'chai';
import fc from 'fast-check';
import { blocksOf, historyFrom, readMessageRequest, textOf, type Message } from '../../../src/wire/message-request.ts';
import { continuation, history, requestBody } from '../../support/histories.ts';

const body = (json: unknown): Buffer => Buffer.from(typeof json === 'string' ? json : JSON.stringify(json));
const HELLO = [{ role: 'user', content: 'hello' }];

describe('message requests', () => {
  it('give what decisions need', () => {
    const request = readMessageRequest(
      body({ model: 'm', messages: HELLO, max_tokens: 5, stream: true, metadata: { user_id: 'u' }, tools: [], new: 1 }),
    );
    expect(request).to.include({
      model: 'm',
      maxTokens: 5,
      stream: true,
      userId: 'u',
      continuesThread: false,
      length: 1,
    });
    expect(request?.message(0)).to.deep.equal(HELLO[0]);
    expect(request?.message(1)).to.equal(null);
    expect(request?.message(-1)).to.equal(null);
  });

  it('do without all that may be left out', () => {
    const request = readMessageRequest(body({ model: 'm', messages: HELLO }));
    expect(request).to.include({ maxTokens: 0, stream: false, userId: null, continuesThread: false });
  });

  for (const [what, fields, expected] of [
    ['max_tokens of another type', { max_tokens: '5' }, { maxTokens: 0 }],
    ['negative max_tokens', { max_tokens: -5 }, { maxTokens: 0 }],
    ['stream that is not quite true', { stream: 1 }, { stream: false }],
    ['metadata null', { metadata: null }, { userId: null }],
    ['a user id of another type', { metadata: { user_id: {} } }, { userId: null }],
    ['a thread that is created', { thread: { type: 'create' } }, { continuesThread: false }],
    [
      'a thread that is continued',
      { thread: { type: 'continue', previous_message_id: 'msg_1' } },
      { continuesThread: true },
    ],
    ['a thread of another kind', { thread: 'continue' }, { continuesThread: false }],
  ] as const) {
    it(`may have ${what}`, () => {
      expect(readMessageRequest(body({ model: 'm', messages: HELLO, ...fields }))).to.include(expected);
    });
  }

  for (const [what, json] of [
    ['nothing', ''],
    ['no JSON', 'hello'],
    ['an array', []],
    ['no model', { messages: HELLO }],
    ['a model that is no name', { model: 1, messages: HELLO }],
    ['no messages', { model: 'm' }],
    ['messages of another type', { model: 'm', messages: 'hello' }],
    ['an empty history', { model: 'm', messages: [] }],
    ['JSON that breaks off', '{"model":"m","messages":[{"role":"user"'],
    ['JSON that breaks off behind the messages', '{"model":"m","messages":[{"role":"user","content":"a"}]'],
  ] as const) {
    it(`are not: ${what}`, () => expect(readMessageRequest(body(json))).to.equal(null));
  }

  for (const [what, message] of [
    ['no role', { content: 'a' }],
    ['no content', { role: 'user' }],
    ['content null', { role: 'user', content: null }],
    ['a number for content', { role: 'user', content: 5 }],
    ['a block that is none', { role: 'user', content: ['a'] }],
    ['a block without type', { role: 'user', content: [{ text: 'a' }] }],
    ['a role that is no name', { role: 1, content: 'a' }],
    ['nothing', null],
    ['a list', []],
  ] as const) {
    it(`have no message where it has ${what}`, () => {
      const request = readMessageRequest(body({ model: 'm', messages: [...HELLO, message] }));
      expect(request?.message(0)).to.deep.equal(HELLO[0]);
      expect(request?.message(1)).to.equal(null);
    });
  }

  it('carry every message as it was sent', () => {
    fc.assert(
      fc.property(history, continuation, (before, after) => {
        const messages = [...before, ...after];
        const request = readMessageRequest(requestBody(messages));
        const read = Array.from({ length: request?.length ?? 0 }, (_, at) => request?.message(at));
        expect(read).to.deep.equal(JSON.parse(JSON.stringify(messages)));
      }),
      { seed: 20260731, numRuns: 100 },
    );
  });

  it('are read without throwing, whatever the bytes', () => {
    fc.assert(
      fc.property(history, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), (messages, changes) => {
        const bytes = requestBody(messages);
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        const request = readMessageRequest(bytes);
        for (let at = 0; at < (request?.length ?? 0); at += 1) request?.message(at);
      }),
      { seed: 20260731, numRuns: 300 },
    );
  });

  it('have blocks, one for a plain string', () => {
    expect(blocksOf({ role: 'user', content: 'a' })).to.deep.equal([{ type: 'text', text: 'a' }]);
    const blocks = [{ type: 'image' }];
    expect(blocksOf({ role: 'user', content: blocks })).to.equal(blocks);
  });

  it('have text in text blocks only', () => {
    expect(textOf({ type: 'text', text: 'a' })).to.equal('a');
    expect(textOf({ type: 'text', text: 5 })).to.equal(undefined);
    expect(textOf({ type: 'thinking', text: 'a' })).to.equal(undefined);
  });

  it('can be made of messages at hand', () => {
    const messages: Message[] = [{ role: 'user', content: 'a' }];
    const given = historyFrom(messages);
    expect([given.length, given.message(0), given.message(1)]).to.deep.equal([1, messages[0], null]);
  });
});
