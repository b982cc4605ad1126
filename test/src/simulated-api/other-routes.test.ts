import { expect } from 'chai';
import { startSimulatedApi, type SimulatedApi } from '../../../src/simulated-api/index.ts';
import { dig, errorOf, send } from './client.ts';

describe('simulated API: other routes', () => {
  let api: SimulatedApi;

  before(async () => {
    api = await startSimulatedApi();
  });

  after(() => api.close());

  it('lets the client knock', async () => {
    expect(await send(api, '/api/hello', { method: 'HEAD' })).to.include({ status: 200, text: '' });
  });

  it('lists the models', async () => {
    const reply = await send(api, '/v1/models?limit=1000', { method: 'GET' });
    const models = dig(JSON.parse(reply.text), 'data');
    expect(models).to.deep.include({
      type: 'model',
      id: 'claude-opus-5-5',
      display_name: 'Claude Opus 5.5',
      created_at: '2026-06-30T00:00:00Z',
      max_input_tokens: 1_000_000,
      max_tokens: 128_000,
    });
  });

  it('tells of one model, also by a dated name, and of none that is unknown', async () => {
    const known = await send(api, '/v1/models/claude-haiku-4-5-20251001', { method: 'GET' });
    const unknown = await send(api, '/v1/models/llama', { method: 'GET' });
    expect(JSON.parse(known.text)).to.include({ id: 'claude-haiku-4-5', max_input_tokens: 200_000 });
    expect(unknown.status).to.equal(404);
    expect(errorOf(unknown).type).to.equal('not_found_error');
  });

  it('serves the models it is given, with no figure where there is none', async () => {
    const model = { id: 'x', displayName: 'X', createdAt: '2026-01-01T00:00:00Z', maxInputTokens: null, maxTokens: 1 };
    const other = await startSimulatedApi({ models: [model] });
    const reply = await send(other, '/v1/models/x', { method: 'GET' });
    await other.close();
    expect(JSON.parse(reply.text)).to.include({ id: 'x', max_input_tokens: null });
  });

  const OTHERS: readonly (readonly [string, string, number])[] = [
    ['POST', '/api/event_logging/v2/batch', 200],
    ['GET', '/api/hello', 200],
    ['GET', '/api/claude_code/settings', 404],
    ['GET', '/api/claude_cli/bootstrap', 404],
    ['GET', '/v1/messages', 405],
    ['DELETE', '/', 404],
  ];
  for (const [method, path, status] of OTHERS) {
    it(`answers ${method} ${path} with ${status}`, async () => {
      const reply = await send(api, path, { method, body: method === 'POST' ? {} : undefined });
      expect(reply.status).to.equal(status);
      expect(JSON.parse(reply.text)).to.be.an('object');
    });
  }
});
