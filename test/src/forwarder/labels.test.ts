import { expect } from 'chai';
import type { Fault } from '../../../src/simulated-api/index.ts';
import { API_HEADERS, ask, messageRequest, question, RawClient, requestBytes, type Answer } from './raw-client.ts';
import { startingWith, valuesOf } from './http-bytes.ts';
import { quickRig } from './quick-rig.ts';
import type { Rig } from '../../support/rig.ts';

/** The label headers, as an object. */
function labelsOf(answer: Answer): Record<string, string> {
  const pairs = startingWith(answer.headers, 'x-double-buffer-');
  return Object.fromEntries(pairs.flatMap((name, at) => (at % 2 === 0 ? [[name, pairs[at + 1] ?? '']] : [])));
}

describe('labels and errors', () => {
  let rig: Rig;
  before(async () => {
    rig = await quickRig();
  });
  after(() => rig.close());

  it('every answer to a turn tells phase and conversation', async () => {
    for (const stream of [true, false]) {
      const answer = await ask(rig, messageRequest('labelled', question({ stream })));
      expect(answer.status).to.equal(200);
      expect(labelsOf(answer)).to.deep.equal({
        'x-double-buffer-phase': 'IDLE',
        'x-double-buffer-conv-id': 'labelled',
      });
    }
  });

  it('an auxiliary request is labelled by the conversation beside it', async () => {
    const answer = await ask(rig, messageRequest('labelled', question(), { requestClass: 'auxiliary' }));
    expect(labelsOf(answer)['x-double-buffer-conv-id']).to.equal('labelled');
  });

  it('a conversation of a session with an odd name can stand in a header', async () => {
    for (const session of ['caf\xe9', 'a b', '"quoted"', 'x'.repeat(500), '../../etc']) {
      const answer = await ask(rig, messageRequest(session));
      expect(answer.status).to.equal(200);
      expect(labelsOf(answer)['x-double-buffer-conv-id']).to.match(/^[\w.~+-]{1,200}$/);
    }
  });

  it('nothing that is no message is labelled', async () => {
    const paths = ['/v1/models', '/v1/models/claude-sonnet-4-6', '/api/hello', '/api/claude_code/settings'];
    for (const path of paths) {
      expect(labelsOf(await ask(rig, { path, headers: API_HEADERS })), path).to.deep.equal({});
    }
    const counted = await ask(rig, { ...messageRequest('counted'), path: '/v1/messages/count_tokens?beta=true' });
    expect(JSON.parse(counted.text)).to.have.property('input_tokens');
    expect(labelsOf(counted)).to.deep.equal({});
    const logged = { method: 'POST', path: '/api/event_logging/v2/batch', headers: API_HEADERS, body: '{"events":[]}' };
    const answer = await ask(rig, logged);
    expect([answer.status, labelsOf(answer)]).to.deep.equal([200, {}]);
  });

  const headers = {
    'anthropic-ratelimit-unified-status': 'rejected',
    'x-should-retry': 'true',
    'Anthropic-Odd': 'caf\xe9',
  };
  const faults: readonly Fault[] = [
    { kind: 'status', status: 400, message: 'prompt is too long: 200001 tokens > 200000 maximum' },
    { kind: 'status', status: 401 },
    { kind: 'status', status: 402 },
    { kind: 'status', status: 403 },
    { kind: 'status', status: 404 },
    { kind: 'status', status: 413 },
    { kind: 'status', status: 429, retryAfter: 17, headers },
    { kind: 'status', status: 429, headers },
    { kind: 'status', status: 500 },
    { kind: 'status', status: 502, body: '<html>Bad gateway</html>', headers: { 'content-type': 'text/html' } },
    { kind: 'status', status: 503, body: '' },
    { kind: 'status', status: 504 },
    { kind: 'status', status: 529, retryAfter: 3 },
    { kind: 'prompt_too_long' },
  ];
  for (const fault of faults) {
    const told =
      fault.kind === 'status' ? `${fault.status}${fault.retryAfter === undefined ? '' : ' with a pause'}` : fault.kind;
    it(`the API's ${told} passes as it is, labelled`, async () => {
      const request = messageRequest('labelled');
      rig.api.fault(fault);
      const proxied = await ask(rig, request);
      const { requestId = '' } = rig.api.messages.at(-1) ?? {};
      rig.api.fault(fault);
      const direct = await fetch(`${rig.api.url}/v1/messages`, {
        method: 'POST',
        headers: { 'x-api-key': 'k', 'anthropic-version': '2023-06-01' },
        body: JSON.stringify(question()),
      });
      const other = rig.api.messages.at(-1)?.requestId ?? '';
      expect(proxied.status).to.equal(direct.status);
      expect(proxied.text).to.equal((await direct.text()).replace(other, requestId));
      expect(proxied.header('request-id')).to.equal(requestId);
      direct.headers.forEach((value, name) => {
        if (/^(retry-after|x-should-retry|content-|anthropic-)/.test(name) && !name.endsWith('-reset')) {
          expect(valuesOf(proxied.headers, name), name).to.deep.equal([value]);
        }
      });
      expect(proxied.header('anthropic-ratelimit-requests-remaining')).to.equal('3999');
      expect(proxied.header('anthropic-ratelimit-requests-reset')).to.match(/^\d{4}-/);
      expect(Object.keys(labelsOf(proxied))).to.have.length(2);
    });
  }

  it('an error in the stream, silence and unknown events pass as they are', async () => {
    rig.api.fault({ kind: 'error_event' });
    const failed = await ask(rig, messageRequest('labelled'));
    expect([failed.status, failed.whole]).to.deep.equal([200, true]);
    expect(failed.text).to.match(/event: error\ndata: \{"type":"error","error":\{"type":"overloaded_error".*\n\n$/);
    rig.api.fault({ kind: 'noise' });
    rig.api.fault({ kind: 'chunking', bytes: 7 });
    const noisy = await ask(rig, messageRequest('noisy'));
    expect(noisy.text).to.include('event: moon_phase').and.to.include(': keep-alive').and.to.include('message_stop');
    rig.api.fault({ kind: 'garbage_sse' });
    const garbled = await ask(rig, messageRequest('garbled'));
    expect(garbled.text).to.include('%%% not an event %%%').and.to.include('message_stop');
  });

  it('an answer that breaks off is no turn that counts', async () => {
    rig.api.respondWith(() => ({ promptTokens: 150_000 }));
    for (const fault of [
      { kind: 'disconnect', at: 'mid_stream', partial: true },
      { kind: 'error_event' },
      { kind: 'status', status: 529 },
    ] as const) {
      rig.api.fault(fault);
      await ask(rig, messageRequest(`broken-${fault.kind}`));
      const again = rig.log.filter(({ event }) => event === 'checkpoint.started');
      expect(again, fault.kind).to.deep.equal([]);
    }
    rig.api.respondWith(undefined);
  });

  it('a client that leaves in silence ends the call, and the connection of another lives on', async () => {
    rig.api.fault({ kind: 'silence', at: 'mid_stream' });
    const client = await RawClient.open(rig);
    client.write(requestBytes(messageRequest('silent')));
    await client.head();
    client.leave();
    const call = await rig.api.waitFor(({ headers: sent, outcome }) => {
      return sent['x-claude-code-session-id'] === 'silent' && outcome !== 'open';
    });
    expect(call.outcome).to.equal('aborted');
    expect((await ask(rig, messageRequest('labelled'))).status).to.equal(200);
  });
});
