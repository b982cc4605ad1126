import { expect } from 'chai';
import type { SimulatedModel } from '../../src/simulated-api/index.ts';
import { until } from '../src/redirector/sockets.ts';
import { openStage, type Stage } from './flows.ts';

const model = (id: string, maxInputTokens: number | null): SimulatedModel => ({
  id,
  displayName: id,
  createdAt: '2026-01-01T00:00:00Z',
  maxInputTokens,
  maxTokens: 128_000,
});

describe('the window that thresholds are shares of', () => {
  let stage: Stage;
  before(async () => {
    const models = [
      ...['claude-opus-5-5', 'claude-of-tomorrow', 'claude-of-next-week'].map((id) => model(id, 1_000_000)),
      ...['claude-sonnet-4-6', 'claude-configured'].map((id) => model(id, 1_000_000)),
      model('claude-silent', null),
    ];
    stage = await openStage({ DBPROXY_MODEL_WINDOWS: '{"claude-configured": 400000}' }, { models });
  });
  after(() => stage.close());

  /** A checkpoint is computed of the turn that has `above` tokens, not of the one before that has `below`. */
  async function expectThresholdBetween(name: string, below: number, above: number): Promise<void> {
    const client = stage.client({ model: name, maxTokens: 128_000 });
    await client.say(`Beginning of ${name}.`);
    await until(() => !name.includes('tomorrow') || stage.log.some(({ event }) => event === 'model.learned'));
    stage.size(client, below);
    await client.say('Not yet.');
    stage.size(client, above);
    await client.say('Now.');
    expect((await stage.told(client, 'checkpoint.started'))['messages'], name).to.equal(5);
  }

  // 70 % of the window less 20,000.
  for (const [what, name, threshold] of [
    ["the table's, whatever the API says", 'claude-sonnet-4-6', 126_000],
    ["the table's, a million", 'claude-opus-5-5', 686_000],
    ['the configured one', 'claude-configured', 266_000],
    ['what the API says of a model that is not in the table', 'claude-of-tomorrow', 686_000],
    ['200,000 where the API says nothing', 'claude-silent', 126_000],
  ] as const) {
    it(`is ${what}`, () => expectThresholdBetween(name, threshold - 1_000, threshold + 1_000));
  }

  it('is asked for once, in the name of the client', async () => {
    const headers = { 'X-Stainless-Lang': 'js', 'Anthropic-Beta': 'context-1m' };
    const client = stage.client({ model: 'claude-of-next-week', headers });
    await client.say('One.');
    const asked = await stage.api.waitFor(({ path }) => path === '/v1/models/claude-of-next-week');
    expect(asked.headers).to.include({ 'x-api-key': 'sk-ant-scripted-client', 'anthropic-version': '2023-06-01' });
    // However they are spelled.
    expect(asked.headers).not.to.have.any.keys('x-claude-code-session-id', 'x-stainless-lang', 'anthropic-beta');
    expect(asked.body.length).to.equal(0);
    await client.say('Two.');
    await stage.client({ model: 'claude-of-next-week' }).say('Somebody else.');
    expect(stage.api.requests.filter(({ path }) => path === asked.path)).to.have.length(1);
  });

  it('of a million tokens, with system messages in the history', async () => {
    const client = stage.client({ model: 'claude-opus-5-5', maxTokens: 128_000 });
    await client.say('A long story begins.');
    client.messages.push({ role: 'system', content: 'The user has opened a file.' });
    stage.size(client, 700_000);
    await client.say('It went on.');
    await stage.told(client, 'checkpoint.completed');
    client.messages.push({ role: 'system', content: [{ type: 'text', text: 'The file was saved.' }] });
    stage.size(client, 790_000);
    const turn = await client.say('And on.');
    expect(turn.status).to.equal(200);
    const answer = await client.compact();
    expect(answer.headers['x-double-buffer-served']).to.equal('checkpoint');
    expect(answer.text).to.include('And on.');
  });
});
