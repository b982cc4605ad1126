import { expect } from 'chai';
import { startSimulatedApi, type SimulatedApi } from '../../../src/simulated-api/index.ts';
import { ask, dig, errorOf, question, send } from './client.ts';

const CALL = { role: 'assistant', content: [{ type: 'tool_use', id: 'toolu_1', name: 'Bash', input: {} }] };
const RESULT = { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: 'ok' }] };
const HELLO = { role: 'user', content: 'Hello' };
const SYSTEM = { role: 'system', content: 'A reminder' };
const MARKED = { type: 'text', text: 'x', cache_control: { type: 'ephemeral' } };
const HOUR = { type: 'text', text: 'x', cache_control: { type: 'ephemeral', ttl: '1h' } };

describe('simulated API: validation', () => {
  let api: SimulatedApi;

  before(async () => {
    api = await startSimulatedApi({ maxBodyBytes: 1_000_000 });
  });

  after(() => api.close());

  const REFUSED: readonly (readonly [string, unknown, RegExp])[] = [
    ['what is no JSON', '{"model":', /not valid JSON/],
    ['a JSON that is no object', '[]', /expected an object/],
    ['no model', question({ model: undefined }), /^model: Field required/],
    ['no messages', question({ messages: undefined }), /^messages: Field required/],
    ['no message', question({ messages: [] }), /at least one message is required/],
    ['no max_tokens', question({ max_tokens: undefined }), /^max_tokens: Field required/],
    ['a max_tokens of zero', question({ max_tokens: 0 }), /greater than or equal to 1/],
    ['more output than the model has', question({ max_tokens: 99_999 }), /^max_tokens: 99999 > 64000/],
    ['an unknown role', question({ messages: [{ role: 'tool', content: 'x' }] }), /^messages\.0\.role/],
    ['a content that is a number', question({ messages: [{ role: 'user', content: 1 }] }), /^messages\.0\.content/],
    ['an empty text', question({ messages: [{ role: 'user', content: [{ type: 'text', text: '' }] }] }), /non-empty/],
    ['an answer at the end', question({ messages: [HELLO, { role: 'assistant', content: 'x' }] }), /prefill/],
    ['an answer at the start', question({ messages: [{ role: 'assistant', content: 'x' }, HELLO] }), /first message/],
    [
      'a call without its result',
      question({ messages: [HELLO, CALL, HELLO] }),
      /^messages\.1: `tool_use` ids .* toolu_1/,
    ],
    ['a result without its call', question({ messages: [HELLO, RESULT] }), /^messages\.1\.content\.0: unexpected/],
    ['five marks', question({ system: Array.from({ length: 5 }, () => MARKED) }), /maximum of 4 .* Found 5/],
    ['a long mark after a short one', question({ system: [MARKED, HOUR] }), /must not come after/],
    [
      'thinking that leaves no room',
      question({ max_tokens: 2_000, thinking: { type: 'enabled', budget_tokens: 2_000 } }),
      /`max_tokens` must be greater/,
    ],
    [
      'a prompt over the window',
      question({ system: 'x'.repeat(900_000) }),
      /^prompt is too long: \d+ tokens > 200000 maximum/,
    ],
  ];
  for (const [what, body, message] of REFUSED) {
    it(`refuses ${what}`, async () => {
      const reply = await ask(api, body);
      expect(reply.status).to.equal(400);
      expect(errorOf(reply)).to.have.property('type', 'invalid_request_error');
      expect(errorOf(reply).message).to.match(message);
    });
  }

  const ACCEPTED: Readonly<Record<string, object>> = {
    'a call with its result': question({ messages: [HELLO, CALL, RESULT] }),
    'a result in the second of two user messages': question({ messages: [HELLO, CALL, HELLO, RESULT] }),
    'system messages anywhere': question({ messages: [SYSTEM, HELLO, CALL, SYSTEM, RESULT, SYSTEM] }),
    'two user messages at the end': question({ messages: [HELLO, CALL, RESULT, HELLO] }),
    'a dated model': question({ model: 'claude-haiku-4-5-20251001' }),
    'long marks before short ones': question({ system: [HOUR, MARKED] }),
    'unknown fields': question({ tomorrow: { more: true } }),
  };
  for (const [what, body] of Object.entries(ACCEPTED)) {
    it(`accepts ${what}`, async () => {
      const reply = await ask(api, body);
      expect(reply.status, reply.text).to.equal(200);
    });
  }

  it('gives a prompt the window of its model and beta', async () => {
    const large = question({ system: 'x'.repeat(900_000) });
    const beta = { headers: { 'anthropic-beta': 'context-1m-2025-08-07' } };
    expect((await ask(api, { ...large, model: 'claude-opus-5-5' })).status).to.equal(200);
    expect((await ask(api, large, beta)).status).to.equal(200);
  });

  it('wants a credential and a version', async () => {
    const anonymous = await ask(api, question(), { headers: { 'x-api-key': undefined } });
    const bearer = await ask(api, question(), { headers: { 'x-api-key': undefined, authorization: 'Bearer x' } });
    const unversioned = await ask(api, question(), { headers: { 'anthropic-version': undefined } });
    expect([anonymous.status, bearer.status, unversioned.status]).to.deep.equal([401, 200, 400]);
    expect(errorOf(anonymous).type).to.equal('authentication_error');
  });

  it('knows no other models', async () => {
    const reply = await ask(api, question({ model: 'gpt-5' }));
    expect(reply.status).to.equal(404);
    expect(errorOf(reply)).to.deep.equal({ type: 'not_found_error', message: 'model: gpt-5' });
  });

  it('refuses a body that is too large, after reading it', async () => {
    const reply = await ask(api, question({ system: 'x'.repeat(1_100_000) }));
    expect(reply.status).to.equal(413);
    expect(errorOf(reply).type).to.equal('request_too_large');
  });

  it('counts tokens without max_tokens', async () => {
    const body = question({ max_tokens: undefined, stream: undefined, system: 'x'.repeat(4_000) });
    const reply = await send(api, '/v1/messages/count_tokens', { body });
    expect(dig(JSON.parse(reply.text), 'input_tokens')).to.be.within(1_000, 1_050);
  });
});
