import { expect } from 'chai';
import { tokens, type Tokens } from '../../../machines/units.ts';
import { clientCompactionPoint, contextWindow, effectiveWindow, isKnownModel } from '../../../src/wire/windows.ts';

const NOTHING = { configured: {}, learned: new Map<string, Tokens>() };
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
    const configured = { 'claude-': tokens(100_000), 'claude-sonnet-4': tokens(300_000), other: tokens(5) };
    const sources = { configured, learned: new Map([['claude-x', tokens(7)]]) };
    expect(contextWindow('claude-sonnet-4-6', LONG, sources)).to.equal(300_000);
    expect(contextWindow('claude-x', '', sources)).to.equal(100_000);
    expect(contextWindow('gpt', '', sources)).to.equal(200_000);
  });

  it('are learned for models that are not known, and only for those', () => {
    const learned = new Map([
      ['claude-next-9', tokens(400_000)],
      ['claude-sonnet-4-6', tokens(1)],
    ]);
    expect(contextWindow('claude-next-9', '', { configured: {}, learned })).to.equal(400_000);
    expect(contextWindow('claude-sonnet-4-6', '', { configured: {}, learned })).to.equal(200_000);
    expect(contextWindow('claude-next-9', LONG, { configured: {}, learned })).to.equal(1_000_000);
    expect(isKnownModel('claude-next-9')).to.equal(false);
    expect(isKnownModel('claude-sonnet-4-6')).to.equal(true);
  });

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
