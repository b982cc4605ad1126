import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { openToken, tokenFile } from '../../../../src/admin/access/token.ts';
import { recordingLog, type LogLine } from '../../../support/rig.ts';

describe('the token', () => {
  let directory: string;
  let lines: LogLine[];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'dbproxy-token-'));
    lines = [];
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const open = (file = tokenFile(directory)) => openToken(file, recordingLog(lines));
  const events = (): string[] => lines.map(({ level, event }) => `${level} ${event}`);
  const mode = (path: string): number => statSync(path).mode & 0o777;

  it('is 32 random bytes in a file for its owner only, in a directory of that kind, and stays', async () => {
    const file = join(directory, 'new/data/token');
    const token = await open(file);
    expect(token.file).to.equal(file);
    expect(Buffer.from(token.value, 'base64url')).to.have.length(32);
    expect(readFileSync(file, 'utf8').trim()).to.equal(token.value);
    expect([mode(file), mode(join(directory, 'new/data'))]).to.deep.equal([0o600, 0o700]);
    expect(await open(file)).to.deep.equal(token);
    expect(events()).to.deep.equal(['info access.token_made']);
    expect((await open(join(directory, 'other'))).value).not.to.equal(token.value);
  });

  for (const [fault, text] of [
    ['empty', ''],
    ['too short', 'A'.repeat(42)],
    ['too long', 'A'.repeat(44)],
    ['something else', `${'A'.repeat(42)}!`],
    ['binary', '\u0000\ufffd'],
  ] as const) {
    it(`that is ${fault} is replaced, with a line that says so`, async () => {
      writeFileSync(tokenFile(directory), text, { mode: 0o600 });
      const token = await open();
      expect(token.value).to.match(/^[\w-]{43}$/);
      expect(readFileSync(tokenFile(directory), 'utf8')).to.equal(`${token.value}\n`);
      expect(mode(tokenFile(directory))).to.equal(0o600);
      expect(events()).to.deep.equal(['warn access.token_replaced']);
      expect((await open()).value).to.equal(token.value);
      expect(readdirSync(directory)).to.deep.equal(['token']);
    });
  }

  for (const lax of [0o644, 0o640, 0o604, 0o602]) {
    it(`that others could touch (${lax.toString(8)}) is replaced: they may have`, async () => {
      const { value } = await open();
      chmodSync(tokenFile(directory), lax);
      const replaced = await open();
      expect(replaced.value).not.to.equal(value);
      expect(mode(tokenFile(directory))).to.equal(0o600);
      expect(events().at(-1)).to.equal('warn access.token_replaced');
      expect((await open()).value).to.equal(replaced.value);
    });
  }

  it('is the same for many that start at once', async () => {
    const tokens = await Promise.all(Array.from({ length: 8 }, () => open()));
    expect(new Set(tokens.map(({ value }) => value)).size).to.equal(1);
    expect(readFileSync(tokenFile(directory), 'utf8').trim()).to.equal(tokens[0]?.value);
  });

  for (const [name, prepare] of [
    ['whose directory cannot be made', () => writeFileSync(join(directory, 'data'), '')],
    ['whose place is a directory', () => mkdirSync(join(directory, 'data/token'), { recursive: true })],
  ] as const) {
    it(`${name} is kept in memory, with a clear warning`, async () => {
      prepare();
      const token = await open(join(directory, 'data/token'));
      expect(token.value).to.match(/^[\w-]{43}$/);
      expect(token.file).to.equal(null);
      expect(events()).to.deep.equal(['warn access.token_not_kept']);
      expect((await open(join(directory, 'data/token'))).value).not.to.equal(token.value);
    });
  }

  it('is in no log line', async () => {
    const first = await open();
    writeFileSync(tokenFile(directory), 'A'.repeat(10));
    const second = await open();
    const third = await open('/dev/null/token');
    expect(lines).to.have.length(3);
    for (const { value } of [first, second, third]) expect(JSON.stringify(lines)).not.to.include(value);
  });
});
