import { expect } from 'chai';
import { tokens, type Tokens } from '../../../machines/units.ts';
import {
  clientCompactionPoint,
  contextWindow,
  effectiveWindow,
  isKnownModel,
  limitKey,
  windowInError,
  type WindowSources,
} from '../../../src/wire/windows.ts';

type Windows = Readonly<Record<string, number>>;

const sources = (given: { configured?: Windows; listed?: Windows; limits?: Windows }): WindowSources => {
  const map = (windows: Windows = {}) => new Map(Object.entries(windows).map(([key, window]) => [key, tokens(window)]));
  return {
    configured: (given.configured ?? {}) as Record<string, Tokens>,
    learned: { listed: map(given.listed), limits: map(given.limits) },
  };
};
const NOTHING = sources({});
const LONG = 'claude-code-20250219,context-1m-2025-08-07';

describe('context windows', () => {
  for (const [model, window] of [
    ['claude-sonnet-4-6', 200_000],
    ['claude-haiku-4-5-20251001', 200_000],
    ['claude-opus-4-6', 200_000],
    ['claude-3-5-haiku-20241022', 200_000],
    ['claude-opus-5-5', 1_000_000],
    ['claude-sonnet-5-5', 1_000_000],
    ['claude-haiku-5-5-20260630', 1_000_000],
    ['claude-opus-4-7', 1_000_000],
    ['claude-opus-4-8', 1_000_000],
    ['claude-opus-4-8-20260801', 1_000_000],
    ['claude-sonnet-4@20250514', 200_000],
    ['claude-next-9', 200_000],
    ['', 200_000],
    ['constructor', 200_000],
  ] as const) {
    it(`are ${window} for ${model === '' ? 'no model' : model}`, () => {
      expect(contextWindow(model, '', NOTHING)).to.equal(window);
    });
  }

  it('are a million with the beta that asks for it', () => {
    expect(contextWindow('claude-sonnet-4-6', LONG, NOTHING)).to.equal(1_000_000);
    expect(contextWindow('claude-sonnet-4-6', 'not-a-context-10m-beta', NOTHING)).to.equal(200_000);
  });

  it('are what is configured before anything else, the longest beginning first', () => {
    const given = sources({
      configured: { 'claude-': 100_000, 'claude-sonnet-4': 300_000, other: 5 },
      listed: { 'claude-x': 7 },
      limits: { 'claude-sonnet-4-6': 9 },
    });
    expect(contextWindow('claude-sonnet-4-6', LONG, given)).to.equal(300_000);
    expect(contextWindow('claude-sonnet-4-6', '', given)).to.equal(300_000);
    expect(contextWindow('claude-x', '', given)).to.equal(100_000);
    expect(contextWindow('gpt', '', given)).to.equal(200_000);
  });

  it("are the API's list's for models that the table does not know, and only for those", () => {
    const given = sources({ listed: { 'claude-next-9': 400_000, 'claude-sonnet-4-6': 1 } });
    expect(contextWindow('claude-next-9', '', given)).to.equal(400_000);
    expect(contextWindow('claude-sonnet-4-6', '', given)).to.equal(200_000);
    expect(contextWindow('claude-next-9', LONG, given)).to.equal(1_000_000);
  });

  for (const model of ['claude-opus-4-9', 'claude-sonnet-4-7-20270101', 'claude-opus-5-5-1', 'claude-haiku-4-99']) {
    it(`are the API's list's for ${model}, which only begins like a known model`, () => {
      expect(isKnownModel(model)).to.equal(false);
      expect(contextWindow(model, '', sources({ listed: { [model]: 600_000 } }))).to.equal(600_000);
    });
  }

  it('are what an error of the API named before the table and the list, with and without the long window', () => {
    const given = sources({
      listed: { 'claude-next-9': 400_000 },
      limits: {
        [limitKey('claude-opus-5-5', '')]: 200_000,
        [limitKey('claude-next-9', '')]: 128_000,
        [limitKey('claude-sonnet-4-6', '')]: 150_000,
      },
    });
    expect(contextWindow('claude-opus-5-5', '', given)).to.equal(200_000);
    expect(contextWindow('claude-next-9', '', given)).to.equal(128_000);
    expect(contextWindow('claude-sonnet-4-6', '', given)).to.equal(150_000);
    expect(contextWindow('claude-sonnet-4-6', LONG, given)).to.equal(1_000_000);
    const long = sources({ limits: { [limitKey('claude-sonnet-4-6', LONG)]: 500_000 } });
    expect(contextWindow('claude-sonnet-4-6', LONG, long)).to.equal(500_000);
    expect(contextWindow('claude-sonnet-4-6', '', long)).to.equal(200_000);
  });

  for (const [message, window] of [
    ['prompt is too long: 210000 tokens > 200000 maximum', 200_000],
    ['litellm.BadRequestError: prompt is too long: 210,000 tokens > 200,000 maximum', 200_000],
    ["This model's maximum context length is 131072 tokens. However, you requested 140000 tokens", 131_072],
    ['prompt is too long', null],
    ['maximum context length is 0 tokens', null],
    ['Input is too long for requested model.', null],
    [`prompt is too long: 1 tokens > ${'9'.repeat(400)} maximum`, null],
  ] as const) {
    it(`are ${window ?? 'not'} named by an error "${message.slice(0, 60)}"`, () => {
      expect(windowInError(message)).to.equal(window);
    });
  }

  for (const [window, maxTokens, effective] of [
    [200_000, 32_000, 180_000],
    [200_000, 20_000, 180_000],
    [200_000, 8_192, 191_808],
    [1_000_000, 128_000, 980_000],
    [200_000, 0, 200_000],
    [10_000, 32_000, 1],
  ] as const) {
    it(`leave ${effective} of ${window} with max_tokens ${maxTokens}`, () => {
      expect(effectiveWindow(tokens(window), maxTokens)).to.equal(effective);
    });
  }

  it('are compacted by the client 13,000 below (measured: above 167,000 of 200,000)', () => {
    expect(clientCompactionPoint(effectiveWindow(tokens(200_000), 32_000))).to.equal(167_000);
    expect(clientCompactionPoint(tokens(5))).to.equal(0);
  });
});
