import { expect } from 'chai';
import { startSimulatedApi, type Fault, type SimulatedApi } from '../../../src/simulated-api/index.ts';
import { ask, dig, errorOf, eventsOf, question, send, textOf } from './client.ts';

const SUMMARY_REQUEST = question({
  messages: [{ role: 'user', content: 'Please write a summary of the conversation.' }],
});

describe('simulated API: faults', () => {
  let api: SimulatedApi;

  beforeEach(async () => {
    api = await startSimulatedApi();
  });

  afterEach(() => api.close());

  function names(text: string): readonly string[] {
    return eventsOf(text).map(({ name }) => name);
  }

  async function failure(body: unknown = question()): Promise<string> {
    return ask(api, body).then(
      (reply) => `answered ${reply.status}`,
      (error: unknown) => String(dig(error, 'code') ?? error),
    );
  }

  it('answers any status in the shape of the API', async () => {
    const types = [];
    for (const status of [400, 401, 402, 403, 404, 413, 429, 500, 504, 529]) {
      api.fault({ kind: 'status', status });
      const reply = await ask(api, question());
      expect(reply.status).to.equal(status);
      expect(dig(JSON.parse(reply.text), 'request_id')).to.equal(reply.headers['request-id']);
      types.push(errorOf(reply).type);
    }
    expect(types).to.deep.equal([
      'invalid_request_error',
      'authentication_error',
      'billing_error',
      'permission_error',
      'not_found_error',
      'request_too_large',
      'rate_limit_error',
      'api_error',
      'timeout_error',
      'overloaded_error',
    ]);
  });

  it('says when to come again, or does not', async () => {
    api.fault({ kind: 'status', status: 429, retryAfter: 7 });
    api.fault({ kind: 'status', status: 429 });
    const [first, second] = [await ask(api, question()), await ask(api, question())];
    expect(first.headers['retry-after']).to.equal('7');
    expect(second.headers).not.to.have.property('retry-after');
  });

  it('answers an error that is no JSON', async () => {
    api.fault({
      kind: 'status',
      status: 502,
      body: '<html>Bad gateway</html>',
      headers: { 'content-type': 'text/html' },
    });
    const reply = await ask(api, question());
    expect(reply).to.include({ status: 502, text: '<html>Bad gateway</html>' });
    expect(reply.headers['content-type']).to.equal('text/html');
  });

  it('finds a prompt too long', async () => {
    api.fault({ kind: 'prompt_too_long', tokens: 210_000 });
    const reply = await ask(api, question());
    expect(reply.status).to.equal(400);
    expect(errorOf(reply).message).to.equal('prompt is too long: 210000 tokens > 200000 maximum');
  });

  it('strikes as often as it is told, and only whom it is told', async () => {
    const handle = api.fault({ kind: 'status', status: 529 }, { times: 2, when: { summary: true } });
    const statuses = [];
    for (const body of [question(), SUMMARY_REQUEST, SUMMARY_REQUEST, SUMMARY_REQUEST]) {
      statuses.push((await ask(api, body)).status);
    }
    expect(statuses).to.deep.equal([200, 529, 529, 200]);
    expect(handle.remaining).to.equal(0);
    expect(api.requests.map(({ faults }) => faults.length)).to.deep.equal([0, 1, 1, 0]);
  });

  it('can be called off', async () => {
    api.fault({ kind: 'status', status: 500 }, { times: Infinity }).cancel();
    api.fault({ kind: 'status', status: 500 });
    api.clearFaults();
    expect((await ask(api, question())).status).to.equal(200);
  });

  it('strikes other routes by path', async () => {
    api.fault({ kind: 'status', status: 500 }, { when: { path: '/v1/models' } });
    expect((await ask(api, question())).status).to.equal(200);
    expect((await send(api, '/v1/models', { method: 'GET' })).status).to.equal(500);
  });

  it('puts an error event into a stream', async () => {
    api.fault({ kind: 'error_event', afterEvents: 4 });
    const reply = await ask(api, question());
    const events = eventsOf(reply.text);
    expect(reply.status).to.equal(200);
    expect(events).to.have.length(5);
    expect(events.at(-1)?.name).to.equal('error');
    expect(dig(events.at(-1)?.data, 'error', 'type')).to.equal('overloaded_error');
  });

  it('hangs up at every point', async () => {
    api.fault({ kind: 'disconnect', at: 'upload' });
    expect(await failure(question({ padding: 'x'.repeat(200_000) }))).to.be.oneOf(['ECONNRESET', 'EPIPE']);
    api.fault({ kind: 'disconnect', at: 'before_head' });
    expect(await failure()).to.equal('ECONNRESET');
    api.fault({ kind: 'disconnect', at: 'before_head', how: 'reset' });
    expect(await failure()).to.equal('ECONNRESET');
    api.fault({ kind: 'disconnect', at: 'after_head' });
    expect(await ask(api, question())).to.include({ status: 200, text: '', cut: true });
    for (const how of ['cut', 'reset'] as const) {
      api.fault({ kind: 'disconnect', at: 'mid_stream', afterEvents: 2, how });
      const reply = await ask(api, question());
      expect(names(reply.text), how).to.deep.equal(['message_start', 'content_block_start']);
      expect(reply.cut, how).to.equal(true);
    }
    expect(api.requests.every(({ outcome }) => outcome === 'broken')).to.equal(true);
  });

  it('hangs up in the middle of an event, or of a JSON body', async () => {
    api.fault({ kind: 'disconnect', at: 'mid_stream', afterEvents: 1, partial: true }, { times: 2 });
    const stream = await ask(api, question());
    const json = await ask(api, question({ stream: false }));
    expect(stream.text).to.match(/event: content_block_start\ndata: .*[^\n]$/);
    expect(json).to.include({ status: 200, cut: true });
    expect(json.text).to.match(/^\{"id".*[^}]$/);
  });

  it('ends a stream early as if it were complete', async () => {
    api.fault({ kind: 'disconnect', at: 'mid_stream', afterEvents: 5, how: 'end' });
    const reply = await ask(api, question());
    expect(reply.cut).to.equal(false);
    expect(names(reply.text)).to.have.length(5).and.not.include('message_stop');
  });

  it('falls silent at every point, until the client gives up', async () => {
    for (const at of ['before_head', 'after_head', 'mid_stream'] as const) {
      api.fault({ kind: 'silence', at });
      let seen = '';
      const body = question();
      await ask(api, body, { signal: AbortSignal.timeout(40), onData: (soFar) => (seen = soFar) }).catch(
        () => undefined,
      );
      expect(names(seen), at).to.have.length(at === 'mid_stream' ? 3 : 0);
    }
    await api.waitFor(({ number, aborted }) => number === 3 && aborted);
    expect(api.requests.map(({ aborted }) => aborted)).to.deep.equal([true, true, true]);
  });

  it('is slow', async () => {
    api.fault({ kind: 'slow', firstByteMs: 60 });
    const start = performance.now();
    await ask(api, question());
    expect(performance.now() - start).to.be.above(55);
  });

  it('sends what is no HTTP', async () => {
    api.fault({ kind: 'garbage_http' });
    expect(await failure()).to.match(/^HPE_/);
  });

  it('sends what are no events, and goes on', async () => {
    api.fault({ kind: 'garbage_sse' });
    const reply = await ask(api, question());
    expect(reply.text).to.contain('%%% not an event %%%');
    expect(names(reply.text).at(-1)).to.equal('message_stop');
  });

  it('puts noise between the events', async () => {
    api.fault({ kind: 'noise' });
    const reply = await ask(api, question());
    expect(names(reply.text)).to.include.members(['moon_phase', 'ping', 'message_stop']);
    expect(reply.text).to.contain(': keep-alive');
    expect(textOf(reply)).to.match(/^This is simulated answer/);
  });

  it('answers nothing, or with a tool, where a summary was asked for', async () => {
    api.fault({ kind: 'empty_answer' });
    api.fault({ kind: 'tool_call' });
    const empty = await ask(api, SUMMARY_REQUEST);
    const tool = await ask(api, SUMMARY_REQUEST);
    expect(names(empty.text)).to.deep.equal(['message_start', 'message_delta', 'message_stop']);
    expect(dig(eventsOf(tool.text)[1]?.data, 'content_block', 'type')).to.equal('tool_use');
  });

  it('sends byte by byte', async () => {
    api.fault({ kind: 'chunking', bytes: 1 });
    api.respondWith(() => ({ blocks: [{ type: 'text', text: 'Grüße, 你好 👋' }] }));
    const reply = await ask(api, question());
    expect(reply.pieces).to.be.above(100);
    expect(textOf(reply)).to.equal('Grüße, 你好 👋');
  });

  for (const encoding of ['gzip', 'br', 'deflate'] as const) {
    it(`compresses with ${encoding} where that is accepted`, async () => {
      api.fault({ kind: 'compression', encoding }, { times: 3 });
      const accepting = { headers: { 'accept-encoding': `zstd, ${encoding};q=0.9` } };
      const stream = await ask(api, question(), accepting);
      const json = await ask(api, question({ stream: false }), accepting);
      const plain = await ask(api, question());
      expect(stream.headers['content-encoding']).to.equal(encoding);
      expect(names(stream.text).at(-1)).to.equal('message_stop');
      expect(dig(JSON.parse(json.text), 'stop_reason')).to.equal('end_turn');
      expect(plain.headers).not.to.have.property('content-encoding');
    });
  }

  it('combines: compressed, byte by byte, and cut', async () => {
    const cut: Fault = { kind: 'error_event' };
    api.fault(cut);
    api.fault({ kind: 'compression' });
    api.fault({ kind: 'chunking', bytes: 1 });
    const reply = await ask(api, question(), { headers: { 'accept-encoding': 'br, gzip' } });
    expect(reply.headers['content-encoding']).to.equal('br');
    expect(names(reply.text).at(-1)).to.equal('error');
    expect(api.requests[0]?.faults).to.deep.equal(['error_event', 'compression', 'chunking']);
  });

  it('takes a fault from a script', async () => {
    api.respondWith(({ isSummary }) => (isSummary ? { fault: { kind: 'status', status: 529 } } : undefined));
    expect((await ask(api, SUMMARY_REQUEST)).status).to.equal(529);
    expect((await ask(api, question())).status).to.equal(200);
  });
});
