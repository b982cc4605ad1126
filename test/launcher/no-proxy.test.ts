import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { noProxyFor } from '../../cli/launch/launch-environment.ts';

const CLAUDE_SH = fileURLToPath(new URL('../../cli/posix/launcher/claude.sh', import.meta.url));
const LOOPBACK = 'localhost,127.0.0.1,::1';

/** What the launcher in POSIX sh sets for a user's `NO_PROXY`. */
const byShell = ([shell = 'sh', ...options]: readonly string[], value: string): string =>
  execFileSync(shell, [...options, '-c', `. '${CLAUDE_SH}'; no_proxy_for_claude`], {
    env: { PATH: process.env['PATH'] ?? '', NO_PROXY: value },
    encoding: 'utf8',
  }).trimEnd();

/** A user's value, and the entries of it that are left. */
const CASES: readonly (readonly [value: string, kept: string])[] = [
  ['', ''],
  ['corp.example', 'corp.example'],
  ['corp.example, intern', 'corp.example,intern'],
  ['*', ''],
  ['*:443', ''],
  ['*:80', '*:80'],
  ['*.', '*.'],
  ['api.anthropic.com', ''],
  ['api.anthropic.com:443', ''],
  ['api.anthropic.com:8443', 'api.anthropic.com:8443'],
  ['API.ANTHROPIC.COM', ''],
  ['api.anthropic.com.', ''],
  ['.api.anthropic.com', ''],
  ['*.api.anthropic.com', ''],
  ['Anthropic.com', ''],
  ['*.Anthropic.com', ''],
  ['.COM', ''],
  ['*.com', ''],
  ['com', ''],
  ['notanthropic.com', 'notanthropic.com'],
  ['x.api.anthropic.com', 'x.api.anthropic.com'],
  ['10.0.0.0/8', '10.0.0.0/8'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['[::1]', '[::1]'],
];

describe('NO_PROXY of both launchers', () => {
  for (const [value, kept] of CASES) {
    const expected = kept === '' ? LOOPBACK : `${kept},${LOOPBACK}`;
    it(`turns ${JSON.stringify(value)} into ${JSON.stringify(expected)}`, () => {
      expect(noProxyFor(value), 'the launcher on Node').to.equal(expected);
      for (const shell of [['sh'], ['bash', '--norc', '--posix']]) {
        expect(byShell(shell, value), shell[0]).to.equal(expected);
      }
    });
  }
});
