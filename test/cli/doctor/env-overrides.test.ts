import { expect } from 'chai';
import { shadows } from '../../../cli/doctor/env-overrides.ts';

const THRESHOLDS = { checkpoint: 0.7, swap: 0.8 };

/** What is said of one variable in the environment and in a settings file. */
function judged(name: string, value: unknown): readonly [environment: string, file: string] {
  const of = (overrides: boolean): string => {
    const source = { name: overrides ? 'settings.json' : 'the environment', variables: { [name]: value }, overrides };
    return shadows([source], THRESHOLDS)[0]?.verdict ?? 'well';
  };
  return [of(false), of(true)];
}

describe('what leads claude past the proxy', () => {
  for (const [name, value, environment, file] of [
    ['ANTHROPIC_BASE_URL', 'https://gateway.example', 'fault', 'fault'],
    ['ANTHROPIC_BASE_URL', 'https://api.anthropic.com', 'well', 'well'],
    ['CLAUDE_CODE_USE_BEDROCK', '1', 'fault', 'fault'],
    ['CLAUDE_CODE_USE_VERTEX', true, 'fault', 'fault'],
    ['CLAUDE_CODE_USE_BEDROCK', '0', 'well', 'well'],
    ['DISABLE_AUTO_COMPACT', '1', 'warning', 'warning'],
    ['CLAUDE_AUTOCOMPACT_PCT_OVERRIDE', '60', 'well', 'warning'],
    ['CLAUDE_AUTOCOMPACT_PCT_OVERRIDE', '90', 'well', 'well'],
    // The launcher sees to these, as far as they are in the environment.
    ['HTTPS_PROXY', 'http://proxy.example:3128', 'well', 'fault'],
    ['NO_PROXY', 'example.com', 'well', 'well'],
    ['NO_PROXY', '.anthropic.com', 'well', 'fault'],
    ['NODE_EXTRA_CA_CERTS', '/etc/corporate.pem', 'well', 'fault'],
    ['ANTHROPIC_CUSTOM_HEADERS', 'x: y', 'well', 'warning'],
    ['ANTHROPIC_BASE_URL', '', 'well', 'well'],
    ['ANTHROPIC_BASE_URL', { not: 'text' }, 'well', 'well'],
  ] as const) {
    it(`${name}=${JSON.stringify(value)}: ${environment} in the environment, ${file} in a settings file`, () => {
      expect(judged(name, value)).to.deep.equal([environment, file]);
    });
  }
});
