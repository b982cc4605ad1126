import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createLog, openLogFile, silentLog, type LogLevel } from '../../src/log.ts';
import { until } from './redirector/sockets.ts';

/** A destination that keeps its lines. */
function recorder(): { write: (line: string) => void; readonly lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  return { lines, write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
}

describe('log', () => {
  it('writes one JSON line each, with time, level, event and fields', () => {
    const to = recorder();
    createLog('INFO', [to]).info('phase.changed', { from: 'IDLE', tokens: 5, ok: true, none: null, words: ['a'] });
    expect(to.lines).to.have.length(1);
    expect(to.lines[0]).to.deep.include({
      level: 'info',
      event: 'phase.changed',
      from: 'IDLE',
      tokens: 5,
      ok: true,
      none: null,
      words: ['a'],
    });
    expect(String(to.lines[0]?.['time'])).to.match(/^\d{4}-\d\d-\d\dT/);
    expect(to.lines[0]).not.to.have.any.keys('pid', 'hostname');
  });

  for (const [level, expected] of [
    ['DEBUG', ['debug', 'info', 'warn', 'error']],
    ['INFO', ['info', 'warn', 'error']],
    ['WARNING', ['warn', 'error']],
    ['ERROR', ['error']],
  ] as readonly (readonly [LogLevel, readonly string[]])[]) {
    it(`${level} lets through ${expected.join(', ')}, to every destination`, () => {
      const destinations = [recorder(), recorder()];
      const log = createLog(level, destinations);
      log.debug('a');
      log.info('b');
      log.warn('c');
      log.error('d');
      for (const { lines } of destinations) expect(lines.map((line) => line['level'])).to.deep.equal(expected);
    });
  }

  it('writes one line, whatever its fields contain', () => {
    const written: string[] = [];
    createLog('INFO', [{ write: (line: string) => void written.push(line) }]).info('x', {
      message: 'two\nlines\u2028\u0000"\ud800',
    });
    expect(written.join('').trimEnd().split('\n')).to.have.length(1);
    expect(JSON.parse(written.join(''))).to.have.property('message');
  });

  it('can be silent', () => {
    for (const level of ['debug', 'info', 'warn', 'error'] as const) {
      expect(() => {
        silentLog[level]('x', { y: 1 });
      }).not.to.throw();
    }
  });

  describe('file', () => {
    let directory: string;
    beforeEach(() => {
      directory = mkdtempSync(join(tmpdir(), 'dbproxy-log-'));
    });
    afterEach(() => rmSync(directory, { recursive: true, force: true }));

    it('is readable for its owner only, as is the directory that is created for it', async () => {
      const logs = join(directory, 'deep', 'logs');
      const file = openLogFile(logs, (error) => expect.fail(error.message));
      createLog('INFO', [file.stream]).info('hello');
      await file.close();
      const path = join(logs, 'dbproxy.jsonl');
      expect(readFileSync(path, 'utf8')).to.include('"event":"hello"');
      expect(statSync(path).mode & 0o777).to.equal(0o600);
      expect(statSync(logs).mode & 0o777).to.equal(0o700);
      expect(statSync(join(directory, 'deep')).mode & 0o777).to.equal(0o700);
    });

    it('is appended to', async () => {
      for (const event of ['first', 'second']) {
        const file = openLogFile(directory, (error) => expect.fail(error.message));
        createLog('INFO', [file.stream]).info(event);
        await file.close();
      }
      const lines = readFileSync(join(directory, 'dbproxy.jsonl'), 'utf8').trimEnd().split('\n');
      expect(lines.map((line) => (JSON.parse(line) as { event: string }).event)).to.deep.equal(['first', 'second']);
    });

    it('is rotated at 10 MB, and loses nothing', async () => {
      writeFileSync(join(directory, 'dbproxy.jsonl'), `${'x'.repeat(10 * 1024 * 1024 - 100)}\n`, { mode: 0o600 });
      const file = openLogFile(directory, (error) => expect.fail(error.message));
      const log = createLog('INFO', [file.stream]);
      for (let count = 0; count < 50; count += 1) log.info('line', { count });
      await file.close();
      const names = readdirSync(directory).filter((name) => !name.endsWith('.txt'));
      expect(names).to.have.length.at.least(2);
      const all = names.map((name) => readFileSync(join(directory, name), 'utf8')).join('');
      for (let count = 0; count < 50; count += 1) expect(all).to.include(`"count":${count}}`);
      for (const name of names) expect(statSync(join(directory, name)).mode & 0o077, name).to.equal(0);
    });

    it('whose directory cannot be created is refused at the start', () => {
      const blocked = join(directory, 'logs');
      writeFileSync(blocked, ''); // a file where the directory should be
      expect(() => openLogFile(blocked, () => undefined)).to.throw(/EEXIST|ENOTDIR/);
    });

    it('that cannot be opened is reported, and stops nothing', async () => {
      mkdirSync(join(directory, 'dbproxy.jsonl')); // a directory where the file should be
      const told: Error[] = [];
      const file = openLogFile(directory, (error) => told.push(error));
      createLog('INFO', [file.stream]).info('lost');
      await until(() => told.length > 0);
      expect(told[0]).to.be.instanceOf(Error);
    });
  });
});
