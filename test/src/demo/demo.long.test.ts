import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pc from 'picocolors';
import { Agent, request } from 'undici';
import { runDemo, type DemoOptions } from '../../../src/demo/demo.ts';
import { DemoFailure } from '../../../src/demo/run.ts';

const ROOT = new URL('../../../', import.meta.url);

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `claude-db-proxy demo` as people run it, but fast; `interruptAt`: Ctrl-C when that is written. */
async function runChild(directory: string, interruptAt?: string): Promise<Ended> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'cli/main.ts', 'demo'], {
    cwd: ROOT,
    env: { ...process.env, TMPDIR: directory, DBPROXY_DEMO_SPEED: '20', FORCE_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  let interrupted = false;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    if (interrupted || interruptAt === undefined || !stdout.includes(interruptAt)) return;
    interrupted = true;
    child.kill('SIGINT');
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  await once(child, 'close');
  return { code: child.exitCode, stdout, stderr };
}

/** The demo in this process, even faster. Returns its lines. */
async function runHere(given: Pick<DemoOptions, 'dataDir'> & Partial<DemoOptions>, onLine?: (line: string) => void) {
  const lines: string[] = [];
  const line = (text = ''): void => {
    lines.push(text);
    onLine?.(text);
  };
  await runDemo({
    screen: { line, status: () => undefined },
    colours: pc.createColors(false),
    columns: 120,
    keep: false,
    signal: new AbortController().signal,
    pace: 40,
    ...given,
  });
  return lines;
}

describe('the demo', function () {
  this.timeout(30_000);
  let directory: string;
  let whole: Promise<Ended>;
  let interrupted: Promise<Ended>;

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'dbproxy-test-'));
    // Both at once: most of their time is waiting.
    whole = runChild(directory);
    interrupted = runChild(directory, 'CHECKPOINTING');
  });

  after(() => rmSync(directory, { recursive: true, force: true }));

  it('shows a conversation from its beginning to the compaction and beyond, and exits 0', async () => {
    const { code, stdout, stderr } = await whole;
    expect(stderr).to.equal('');
    expect(code).to.equal(0);
    const phases = [...stdout.matchAll(/^ +\d+\.\d s {2}(IDLE|CHECKPOINTING|WAL_ACTIVE|SWAP_READY) /gm)].map(
      ([, phase]) => phase,
    );
    const changes = phases.filter((phase, index) => phase !== phases[index - 1]);
    expect(changes).to.deep.equal(['IDLE', 'CHECKPOINTING', 'WAL_ACTIVE', 'SWAP_READY', 'IDLE']);
    expect(phases.filter((phase) => phase === 'CHECKPOINTING').length, 'turns go on meanwhile').to.be.greaterThan(1);
    expect(stdout).to.match(/the client compacts 15\d,\d{3} tokens/);
    expect(stdout).to.match(/answered from the checkpoint in \d+ ms; the API saw nothing of it/);
    expect(stdout).to.match(/^ {2}through claude-db-proxy +\d+ ms/m);
    expect(stdout).to.match(/^ {2}the API by itself +\d+/m);
    const share = Number(/from the prompt cache \((\d+\.\d) %\)/.exec(stdout)?.[1]);
    expect(share).to.be.at.least(95);
  });

  it('writes neither colours nor anything that is rewritten where there is no terminal', async () => {
    const { stdout } = await whole;
    expect(stdout).not.to.include('\u001b').and.not.to.include('\r');
  });

  it('ends at once when it is interrupted', async () => {
    const { code, stdout, stderr } = await interrupted;
    expect(code).to.equal(130);
    expect(stdout).not.to.include('answered from the checkpoint');
    expect(stderr).to.equal('');
  });

  it('leaves nothing behind', async () => {
    await Promise.all([whole, interrupted]);
    expect(readdirSync(directory).filter((name) => name.startsWith('claude-db-proxy-demo-'))).to.deep.equal([]);
  });

  /** State outlives a run: the same words said again would find their checkpoint. */
  const newDataDir = (): string => mkdtempSync(join(directory, 'run-'));

  it('leaves everything running with --keep, says how to talk to it, and ends well', async () => {
    const stopping = new AbortController();
    const shown: string[] = [];
    let health: Promise<unknown> | undefined;
    const lines = await runHere({ dataDir: newDataDir(), keep: true, signal: stopping.signal }, (line) => {
      shown.push(line);
      if (line.trim() !== 'claude') return;
      health = healthOf(shown.join('\n'));
      void health.catch(() => undefined).then(() => stopping.abort());
    });
    expect(await health).to.include({ status: 'ok', conversations: 1, passthrough: false });
    expect(lines.join('\n')).to.match(/export HTTPS_PROXY=http:\/\/127\.0\.0\.1:\d+/);
    expect(lines.join('\n')).to.include(`export NODE_EXTRA_CA_CERTS=${directory}`);
    expect(lines.at(-1)).to.equal('stopping');
  });

  for (const [settings, message] of [
    [{ DBPROXY_PASSTHROUGH: 'true' }, 'the checkpoint threshold was passed, but no checkpoint was begun'],
    [{ DBPROXY_SWAP_THRESHOLD: '0.99' }, 'the conversation should be SWAP_READY, but is WAL_ACTIVE'],
  ] as const) {
    it(`fails with what did not happen: ${message}`, async () => {
      const failure = await runHere({ dataDir: newDataDir(), settings }).catch((error: unknown) => error);
      expect(failure).to.be.instanceOf(DemoFailure).with.property('message', message);
    });
  }
});

/** Asks for `/health` as the demo says that one can. */
async function healthOf(shown: string): Promise<unknown> {
  const [, ca = '', url = ''] = /curl --cacert (\S+) (\S+)/.exec(shown) ?? [];
  const dispatcher = new Agent({ connect: { ca: readFileSync(ca, 'utf8') } });
  const { body } = await request(url, { dispatcher });
  const health = await body.json();
  await dispatcher.destroy();
  return health;
}
