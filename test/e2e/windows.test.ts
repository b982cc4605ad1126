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
      ...['claude-opus-5-5', 'claude-of-tomorrow', 'claude-of-next-week', 'claude-opus-4-9-of-tomorrow'].map((id) =>
        model(id, 1_000_000),
      ),
      ...['claude-sonnet-4-6', 'claude-configured'].map((id) => model(id, 1_000_000)),
      ...['claude-silent', 'claude-refused-after-0', 'claude-refused-after-2'].map((id) => model(id, null)),
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
    [
      'what the API says of a model whose name only begins like one in the table',
      'claude-opus-4-9-of-tomorrow',
      686_000,
    ],
    ['200,000 where the API says nothing', 'claude-silent', 126_000],
  ] as const) {
    it(`is ${what}`, () => expectThresholdBetween(name, threshold - 1_000, threshold + 1_000));
  }

  it('is what an error named, in a first request and in a later one', async () => {
    for (const [maximum, turns, threshold] of [
      [100_000, 0, 56_000],
      [150_000, 2, 91_000],
    ] as const) {
      const name = `claude-refused-after-${turns}`;
      const client = stage.client({ model: name, maxTokens: 128_000 });
      for (let turn = 0; turn < turns; turn += 1) await client.say(`Turn ${turn} of ${name}.`);
      stage.api.fault({ kind: 'prompt_too_long', tokens: maximum + 1, maximum });
      expect((await client.say(`Too much of ${name}.`)).status).to.equal(400);
      await until(() => stage.log.some(({ event, fields }) => event === 'model.learned' && fields['model'] === name));
      await expectThresholdBetween(name, threshold - 1_000, threshold + 1_000);
    }
  });

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
