import { expect } from 'chai';
import {
  promptTokensOf,
  startSimulatedApi,
  type MessagesRequest,
  type SimulatedApi,
  type Usage,
} from '../../../src/simulated-api/index.ts';
import { promptBlocks } from '../../../src/simulated-api/prompt-blocks.ts';
import { PromptCache } from '../../../src/simulated-api/prompt-cache.ts';
import { ask } from './client.ts';

const MARK = { cache_control: { type: 'ephemeral' } };
const HOUR_MARK = { cache_control: { type: 'ephemeral', ttl: '1h' } };
const LONG = 'lorem ipsum dolor sit amet '.repeat(400);
const MINUTE = 60_000;

interface Prompt {
  readonly model?: string;
  readonly tools?: readonly object[];
  readonly system?: readonly object[];
  readonly messages?: readonly object[];
  readonly [more: string]: unknown;
}

const TURN = { role: 'user', content: [{ type: 'text', text: LONG, ...MARK }] };
const BODY = { model: 'claude-sonnet-5-5', messages: [TURN], max_tokens: 1_000 };
const PLAIN_TURN = { role: 'user', content: LONG };

describe('simulated API: prompt cache', () => {
  let api: SimulatedApi;
  let now = 0;

  beforeEach(async () => {
    now = 1_000_000;
    api = await startSimulatedApi({ now: () => now });
  });

  afterEach(() => api.close());

  async function usageOf(prompt: Prompt, headers: Record<string, string> = {}): Promise<Usage> {
    const body = {
      model: 'claude-sonnet-5-5',
      tools: [{ name: 'Bash', description: 'Runs a command' }],
      system: [{ type: 'text', text: 'You are a helper.' }],
      messages: [TURN],
      max_tokens: 1_000,
      ...prompt,
    };
    const { status, text } = await ask(api, body, { headers });
    const usage = api.requests.at(-1)?.usage;
    if (status !== 200 || usage === undefined) throw new Error(text);
    return usage;
  }

  it('writes at a mark and reads the same prefix afterwards', async () => {
    const first = await usageOf({});
    const second = await usageOf({});
    expect(first.cache_read_input_tokens).to.equal(0);
    expect(first.cache_creation_input_tokens).to.be.above(2_500);
    expect(first.cache_creation.ephemeral_5m_input_tokens).to.equal(first.cache_creation_input_tokens);
    expect(second.cache_read_input_tokens).to.equal(first.cache_creation_input_tokens);
    expect(second).to.include({ cache_creation_input_tokens: 0, input_tokens: 0 });
  });

  it('reads at least 95 % for the same request with one more message', async () => {
    await usageOf({});
    const usage = await usageOf({ messages: [TURN, { role: 'user', content: 'Please sum up.' }] });
    expect(usage.cache_read_input_tokens / promptTokensOf(usage)).to.be.above(0.95);
    expect(usage.input_tokens).to.be.above(0);
  });

  it('does not mind that marks move and that a marked text block was a string', async () => {
    await usageOf({});
    const answer = { role: 'assistant', content: 'Done.' };
    const next = { role: 'user', content: [{ type: 'text', text: 'Go on.', ...MARK }] };
    const usage = await usageOf({ messages: [PLAIN_TURN, answer, next] });
    expect(usage.cache_read_input_tokens).to.be.above(2_500);
    expect(usage.cache_creation_input_tokens).to.be.within(1, 50);
  });

  const CHANGES: Readonly<Record<string, Prompt>> = {
    tools: { tools: [{ name: 'Read', description: 'Reads a file' }] },
    system: { system: [{ type: 'text', text: 'You are a hindrance.' }] },
    thinking: { thinking: { type: 'adaptive' } },
    effort: { output_config: { effort: 'low' } },
    'tool choice': { tool_choice: { type: 'none' } },
    model: { model: 'claude-opus-5-5' },
    'an earlier message': { messages: [{ role: 'user', content: 'First.' }, TURN] },
  };
  for (const [what, change] of Object.entries(CHANGES)) {
    it(`reads nothing after a change of ${what}`, async () => {
      await usageOf({});
      expect((await usageOf(change)).cache_read_input_tokens).to.equal(0);
    });
  }

  it('keeps the system prefix when only thinking changes', async () => {
    const system = [{ type: 'text', text: LONG, ...MARK }];
    const first = await usageOf({ system });
    const usage = await usageOf({ system, thinking: { type: 'adaptive' } });
    expect(usage.cache_read_input_tokens).to.be.within(2_500, first.cache_creation_input_tokens - 2_500);
  });

  it("leaves the client's billing header out of the prompt", async () => {
    const system = (nonce: string): readonly object[] => [
      { type: 'text', text: `x-anthropic-billing-header: cc_version=2; cch=${nonce};` },
      { type: 'text', text: 'You are a helper.' },
    ];
    await usageOf({ system: system('aaaaa') });
    expect((await usageOf({ system: system('bbbbb') })).cache_read_input_tokens).to.be.above(2_500);
  });

  it('separates credentials', async () => {
    await usageOf({});
    expect((await usageOf({}, { 'x-api-key': 'other-key' })).cache_read_input_tokens).to.equal(0);
  });

  it('looks back 20 blocks and no further', async () => {
    await usageOf({});
    const history = (between: number): readonly object[] => [
      PLAIN_TURN,
      ...Array.from({ length: between }, () => ({ role: 'user', content: 'x' })),
      { role: 'user', content: [{ type: 'text', text: 'Go on.', ...MARK }] },
    ];
    expect((await usageOf({ messages: history(19) })).cache_read_input_tokens).to.equal(0);
    expect((await usageOf({ messages: history(18) })).cache_read_input_tokens).to.be.above(2_500);
  });

  it('caches nothing below 1,024 tokens, by the size that is claimed', async () => {
    const messages = [{ role: 'user', content: [{ type: 'text', text: 'Short.', ...MARK }] }];
    expect((await usageOf({ messages })).cache_creation_input_tokens).to.equal(0);
    api.respondWith(() => ({ promptTokens: 130_000 }));
    expect((await usageOf({ messages })).cache_creation_input_tokens).to.equal(130_000);
    const appended = await usageOf({ messages: [...messages, { role: 'user', content: 'More.' }] });
    expect(promptTokensOf(appended)).to.equal(130_000);
    expect(appended.cache_read_input_tokens).to.be.above(65_000);
  });

  it('forgets after five minutes without a read', async () => {
    await usageOf({});
    now += 4 * MINUTE;
    expect((await usageOf({})).cache_read_input_tokens).to.be.above(0);
    now += 4 * MINUTE;
    expect((await usageOf({})).cache_read_input_tokens, 'refreshed by the read').to.be.above(0);
    now += 5 * MINUTE;
    expect((await usageOf({})).cache_read_input_tokens).to.equal(0);
  });

  it('keeps for an hour what was marked so', async () => {
    const messages = [{ role: 'user', content: [{ type: 'text', text: LONG, ...HOUR_MARK }] }];
    const first = await usageOf({ messages });
    now += 59 * MINUTE;
    const second = await usageOf({ messages });
    expect(first.cache_creation.ephemeral_1h_input_tokens).to.equal(first.cache_creation_input_tokens);
    expect(second.cache_read_input_tokens).to.be.above(0);
  });

  it('splits a write between both lifetimes', async () => {
    const system = [{ type: 'text', text: LONG, ...HOUR_MARK }];
    const { cache_creation: written } = await usageOf({ system });
    expect(written.ephemeral_1h_input_tokens).to.be.above(2_500);
    expect(written.ephemeral_5m_input_tokens).to.be.above(2_500);
  });

  it('knows a mark on the request itself', async () => {
    const automatic = { messages: [PLAIN_TURN], ...MARK };
    await usageOf(automatic);
    expect((await usageOf(automatic)).cache_read_input_tokens).to.be.above(2_500);
  });

  it('is readable as soon as the answer has begun', async () => {
    api.respondWith(() => ({ tokensPerSecond: 200 }));
    let slow: Promise<unknown> = Promise.resolve();
    await new Promise<void>((begun) => {
      slow = ask(api, { ...BODY, stream: true }, { onData: () => begun() });
    });
    api.respondWith(undefined);
    await ask(api, BODY);
    expect(api.requests[0]?.outcome, 'still under way').to.equal('open');
    expect(api.requests[1]?.usage?.cache_read_input_tokens).to.be.above(2_500);
    await slow;
  });

  it('is not readable before', () => {
    const cache = new PromptCache(() => now);
    const request: MessagesRequest = { ...BODY, messages: [{ role: 'user', content: TURN.content }] };
    const asked = { owner: 'me', request, blocks: promptBlocks(request), scale: 1 };
    const first = cache.plan(asked);
    expect(cache.plan(asked).usage.cache_read_input_tokens).to.equal(0);
    first.commit();
    expect(cache.plan(asked).usage.cache_read_input_tokens).to.be.above(2_500);
  });

  it('writes nothing for a request that failed', async () => {
    api.fault({ kind: 'status', status: 529 });
    await ask(api, BODY);
    await ask(api, BODY);
    expect(api.requests[1]?.usage?.cache_read_input_tokens).to.equal(0);
  });
});
