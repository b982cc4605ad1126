import { expect } from 'chai';
import { generateKeyPairSync } from 'node:crypto';
import { connect } from 'node:net';
import forge from 'node-forge';
import { startSimulatedApi, summaryMarker, type SimulatedApi } from '../../../src/simulated-api/index.ts';
import { ask, dig, eventsOf, question, send, textOf } from './client.ts';

describe('simulated API: server', () => {
  let api: SimulatedApi;

  beforeEach(async () => {
    api = await startSimulatedApi();
  });

  afterEach(() => api.close());

  it('streams the documented sequence of events', async () => {
    const reply = await ask(api, question());
    const events = eventsOf(reply.text);
    const names = events.map(({ name }) => name);
    expect(reply.status).to.equal(200);
    expect(reply.headers['content-type']).to.equal('text/event-stream; charset=utf-8');
    expect(reply.headers['request-id']).to.match(/^req_01/);
    expect(reply.headers).to.include.keys('anthropic-ratelimit-requests-remaining', 'anthropic-organization-id');
    expect(names.slice(0, 4)).to.deep.equal(['message_start', 'content_block_start', 'ping', 'content_block_delta']);
    expect(names.slice(-3)).to.deep.equal(['content_block_stop', 'message_delta', 'message_stop']);
    expect(events.every(({ name, data }) => data['type'] === name)).to.equal(true);
    expect(dig(events[0]?.data, 'message', 'usage')).to.have.keys(
      'input_tokens',
      'cache_creation_input_tokens',
      'cache_read_input_tokens',
      'cache_creation',
      'output_tokens',
      'service_tier',
    );
    expect(dig(events.at(-2)?.data, 'delta', 'stop_reason')).to.equal('end_turn');
    expect(textOf(reply)).to.match(/^This is simulated answer 1/);
  });

  it('answers in one piece where no stream is asked for', async () => {
    const reply = await ask(api, question({ stream: false }));
    const json: unknown = JSON.parse(reply.text);
    expect(json).to.include({
      type: 'message',
      role: 'assistant',
      model: 'claude-sonnet-4-6',
      stop_reason: 'end_turn',
    });
    expect(dig(json, 'id')).to.match(/^msg_01[A-Za-z0-9]{22}$/);
    expect(reply.headers['content-type']).to.equal('application/json');
  });

  it('follows a script: blocks, figures, stop reason', async () => {
    api.respondWith(({ message }) => ({
      blocks: [
        { type: 'thinking', thinking: 'Let me see.' },
        { type: 'tool_use', name: 'Bash', input: { command: `echo ${message.model}` } },
      ],
      usage: { input_tokens: 130_000, output_tokens: 77 },
    }));
    const reply = await ask(api, question());
    const events = eventsOf(reply.text);
    const kinds = events.map(({ data }) => dig(data, 'delta', 'type')).filter((kind) => kind !== undefined);
    const input = events
      .map(({ data }) => dig(data, 'delta', 'partial_json'))
      .filter((piece) => typeof piece === 'string')
      .join('');
    expect([...new Set(kinds)]).to.deep.equal(['thinking_delta', 'signature_delta', 'input_json_delta']);
    expect(JSON.parse(input)).to.deep.equal({ command: 'echo claude-sonnet-4-6' });
    expect(events.at(-2)?.data).to.deep.include({ delta: { stop_reason: 'tool_use', stop_sequence: null } });
    expect(dig(events.at(-2)?.data, 'usage')).to.include({ input_tokens: 130_000, output_tokens: 77 });
    expect(api.requests[0]?.usage).to.include({ input_tokens: 130_000 });
  });

  it('sends raw chunks as they are', async () => {
    api.respondWith(() => ({ raw: { chunks: ['event: a\n', 5, 'data: {}\n\n'], headers: { 'x-raw': '1' } } }));
    const reply = await ask(api, question());
    expect(reply.text).to.equal('event: a\ndata: {}\n\n');
    expect(reply.headers['x-raw']).to.equal('1');
  });

  it('gives a summary that can be recognised, of the length that was set', async () => {
    const other = await startSimulatedApi({ summaryTokens: 2_000 });
    const instruction = 'Your task is to create a detailed summary of the conversation so far.';
    const history = [
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'Hello.' },
      { role: 'user', content: instruction },
    ];
    const reply = await ask(other, question({ messages: history }));
    await other.close();
    const text = textOf(reply);
    expect(text).to.match(/^<analysis>[^]*<\/analysis>\s*<summary>[^]*<\/summary>$/);
    expect(text).to.contain(summaryMarker(1));
    expect(text.length / 4).to.be.within(1_800, 2_200);
    expect(other.requests[0]?.isSummary).to.equal(true);
  });

  it('takes its own test for what is a summary request', async () => {
    const other = await startSimulatedApi({ isSummaryRequest: ({ max_tokens: max }) => max === 20_000 });
    const reply = await ask(other, question({ max_tokens: 20_000 }));
    await other.close();
    expect(textOf(reply)).to.contain(summaryMarker(1));
  });

  it('cuts an answer at max_tokens', async () => {
    const reply = await ask(api, question({ max_tokens: 3 }));
    expect(textOf(reply)).to.equal('This is simu');
    expect(dig(eventsOf(reply.text).at(-2)?.data, 'delta', 'stop_reason')).to.equal('max_tokens');
  });

  it('keeps to the speed that was set', async () => {
    api.setSpeed({ firstByteMs: 40, tokensPerSecond: 1_000 });
    api.respondWith(() => ({ blocks: [{ type: 'text', text: 'word'.repeat(60) }] }));
    const start = performance.now();
    await ask(api, question());
    expect(performance.now() - start).to.be.within(95, 400);
  });

  it('records what came and how it ended', async () => {
    await ask(api, question(), { headers: { 'X-Custom': 'Yes' } });
    await send(api, '/api/claude_code/settings?x=1', { method: 'GET' });
    const [first, second] = api.requests;
    expect(first).to.include({ number: 1, method: 'POST', path: '/v1/messages', kind: 'messages', status: 200 });
    expect(first?.rawHeaders).to.include.members(['X-Custom', 'Yes']);
    expect(first?.message?.messages).to.have.length(1);
    expect(first?.outcome).to.equal('answered');
    expect(second).to.include({ path: '/api/claude_code/settings', url: '/api/claude_code/settings?x=1', status: 404 });
    expect(api.messages).to.have.length(1);
  });

  it('notes that the client went', async () => {
    api.setSpeed({ tokensPerSecond: 20 });
    const client = new AbortController();
    await ask(api, question(), { signal: client.signal, onData: () => client.abort() }).catch(() => undefined);
    const request = await api.waitFor(({ aborted }) => aborted);
    expect(request).to.include({ outcome: 'aborted', status: 200 });
  });

  it('tells an upload that broke off', async () => {
    const socket = connect(api.port, '127.0.0.1');
    socket.write('POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"model"', () =>
      socket.destroy(),
    );
    const request = await api.waitFor(({ aborted }) => aborted);
    expect(request.body.toString()).to.equal('{"model"');
  });

  it('waits for requests, and says what it saw where none came', async () => {
    const waiting = api.waitFor(({ path }) => path === '/api/hello');
    await send(api, '/api/hello', { method: 'GET' });
    expect((await waiting).path).to.equal('/api/hello');
    const error: unknown = await api.waitFor(() => false, 5).catch((reason: unknown) => reason);
    expect(String(error)).to.contain('GET /api/hello');
  });

  it('shows a script that throws', async () => {
    api.respondWith(() => {
      throw new Error('slip of the pen');
    });
    const reply = await ask(api, question());
    expect(reply.status).to.equal(500);
    expect(reply.text).to.contain('slip of the pen');
  });

  it('answers without looking at bodies when lean', async () => {
    const lean = await startSimulatedApi({ lean: true, record: 0 });
    const reply = await ask(lean, '{"stream":true, not JSON');
    await lean.close();
    expect(eventsOf(reply.text).at(-1)?.name).to.equal('message_stop');
    expect(lean.requests).to.be.empty;
  });

  it('closes with answers under way and connections idle, and leaves none', async () => {
    api.fault({ kind: 'silence', at: 'mid_stream' });
    const idle = connect(api.port, '127.0.0.1');
    idle.on('error', () => undefined);
    const hanging = ask(api, question()).catch(() => undefined);
    await api.waitFor(({ kind }) => kind === 'messages');
    await api.close();
    await hanging;
    expect(api.connections).to.equal(0);
    expect(api.requests[0]?.outcome).to.equal('closed');
    const refused: unknown = await ask(api, question()).catch((error: unknown) => error);
    expect(String(refused)).to.contain('ECONNREFUSED');
  });

  it('does not wait for a script that never answers', async () => {
    api.respondWith(() => new Promise<undefined>(() => undefined));
    const client = new AbortController();
    const left = ask(api, question(), { signal: client.signal }).catch(() => undefined);
    const hanging = ask(api, question()).catch(() => undefined);
    await api.waitFor(() => api.requests.length === 2);
    client.abort();
    await api.waitFor(({ aborted }) => aborted);
    await Promise.all([api.close(), left, hanging]);
    expect(api.requests.map(({ outcome }) => outcome)).to.have.members(['aborted', 'closed']);
  });

  it('speaks TLS', async () => {
    const tls = selfSigned();
    const secure = await startSimulatedApi({ tls });
    secure.fault({ kind: 'disconnect', at: 'before_head', how: 'reset' }, { when: { model: 'claude-haiku-5-5' } });
    const reply = await ask(secure, question());
    const reset: unknown = await ask(secure, question({ model: 'claude-haiku-5-5' })).catch((error: unknown) => error);
    await secure.close();
    expect(secure.url).to.match(/^https:/);
    expect(reply.status).to.equal(200);
    expect(reset).to.be.instanceOf(Error);
    expect(secure.connections).to.equal(0);
  });
});

function selfSigned(): { key: string; cert: string } {
  const pair = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(pair.publicKey);
  certificate.serialNumber = '01';
  certificate.validity.notAfter.setFullYear(certificate.validity.notBefore.getFullYear() + 1);
  certificate.setSubject([{ name: 'commonName', value: 'localhost' }]);
  certificate.setIssuer([{ name: 'commonName', value: 'localhost' }]);
  certificate.sign(forge.pki.privateKeyFromPem(pair.privateKey), forge.md.sha256.create());
  return { key: pair.privateKey, cert: forge.pki.certificateToPem(certificate) };
}
