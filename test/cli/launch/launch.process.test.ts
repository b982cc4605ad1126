import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { checkHealth } from '../../../cli/health-check.ts';
import { startTcp } from '../../src/redirector/sockets.ts';
import { FakeEngine } from '../../launcher/fake-engine.ts';
import { eventually, lives, worlds } from './world.ts';

const ANNOUNCED = /^◈ DB_PROXY_ON {2}https:\/\/localhost:\d+\/dashboard\n$/;
const JOB_CONTROL = fileURLToPath(new URL('job-control.py', import.meta.url));
const WITHOUT = /\. Running claude without the proxy\.\n$/;

describe('claude-db-proxy as claude', function () {
  this.timeout(90_000);
  const open = worlds();
  let stranger: Awaited<ReturnType<typeof startTcp>> | undefined;
  afterEach(() => {
    stranger?.server.close();
    stranger = undefined;
  });

  it('starts the proxy, then claude with every argument, an environment that leads through it, and one line', async () => {
    const world = await open();
    const args = ['-p', 'two words', '', '--', 'status', "it's", '*'];
    const { code, stdout, stderr } = await world.ended(args, { FAKE_EXIT: '7' });
    expect([code, stdout]).to.deep.equal([7, '']);
    expect(stderr.replace('claude-db-proxy: starting the proxy …\n', '')).to.match(ANNOUNCED);
    const { args: given, env } = world.start;
    expect(given).to.deep.equal(args);
    const url = `http://127.0.0.1:${world.record?.ports.proxy ?? 0}`;
    expect(env).to.include({
      HTTPS_PROXY: url,
      https_proxy: url,
      NODE_EXTRA_CA_CERTS: world.layout.ca,
      NO_PROXY: 'localhost,127.0.0.1,::1',
      no_proxy: 'localhost,127.0.0.1,::1',
      CLAUDE_AUTOCOMPACT_PCT_OVERRIDE: '80',
      CLAUDE_CODE_GATEWAY_HINT_HEADERS: '1',
    });
    expect(env).not.to.have.property('ANTHROPIC_CUSTOM_HEADERS');
    expect(lives(world.pid), 'the proxy stays').to.equal(true);

    const { pid } = world;
    world.forget();
    const again = await world.ended(['again'], {
      CLAUDE_AUTOCOMPACT_PCT_OVERRIDE: '65',
      DBPROXY_CHECKPOINT_THRESHOLD: '0.60',
      ANTHROPIC_CUSTOM_HEADERS: 'x-own: 1\nx-other: 2\n',
      no_proxy: 'internal.example, .anthropic.com',
    });
    expect([again.code, world.pid]).to.deep.equal([0, pid]);
    expect(again.stderr).to.match(ANNOUNCED);
    expect(world.start.env).to.include({
      CLAUDE_AUTOCOMPACT_PCT_OVERRIDE: '65',
      ANTHROPIC_CUSTOM_HEADERS:
        'x-own: 1\nx-other: 2\nx-dbproxy-checkpoint-threshold: 0.60\nx-dbproxy-compact-percent: 65',
      NO_PROXY: 'internal.example,localhost,127.0.0.1,::1',
    });
  });

  it("joins our CA with the user's own, and makes the file anew when either changes", async () => {
    const world = await open();
    const users = join(world.home, 'corporate.pem');
    const launch = async (): Promise<string> => {
      world.forget();
      await world.ended([], { NODE_EXTRA_CA_CERTS: users });
      return readFileSync(world.start.env['NODE_EXTRA_CA_CERTS'] ?? '', 'utf8');
    };
    writeFileSync(users, 'FIRST\n');
    const ca = readFileSync(world.layout.ca, 'utf8');
    expect(await launch()).to.equal(`${ca.trimEnd()}\nFIRST\n`);
    writeFileSync(users, 'SECOND\n');
    expect(await launch()).to.equal(`${ca.trimEnd()}\nSECOND\n`);
    rmSync(users);
    expect(await launch()).to.equal(ca);
  });

  it('passes stdin and stdout on, and signals, and dies of the signal that claude dies of', async () => {
    const world = await open();
    const echo = world.run([], { FAKE_ECHO: '1', FAKE_EXIT: '3' });
    echo.process.stdin.end('from stdin');
    expect(await echo.ended).to.include({ code: 3, stdout: 'from stdin' });

    world.forget();
    const waiting = world.run([], { FAKE_WAIT: 'SIGINT,SIGHUP,SIGUSR1' });
    await world.running();
    for (const signal of ['SIGINT', 'SIGHUP', 'SIGUSR1'] as const) {
      waiting.process.kill(signal);
      await eventually(() => (world.start.signals.includes(signal) ? true : null), `${signal} was not passed on`);
    }
    waiting.process.kill('SIGTERM');
    expect(await waiting.ended).to.include({ code: null, signal: 'SIGTERM' });
    expect(lives(world.start.pid)).to.equal(false);
  });

  it('gives claude the terminal', async () => {
    const world = await open();
    writeFileSync(join(world.bin, 'claude'), '#!/bin/sh\ntest -t 0 && test -t 1 && test -t 2 && stty size && exit 5\n');
    await world.ended(['start']);
    const command = `stty rows 33 cols 77; '${world.launcher.join("' '")}'`;
    const child = spawn('script', ['-qec', command, '/dev/null'], { env: { ...world.env, SHELL: '/bin/sh' } });
    let seen = '';
    child.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()));
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect(seen).to.include('33 77');
    expect(code, seen).to.equal(5);
  });

  it('starts one proxy for five launches at once', async () => {
    const world = await open();
    const ended = await Promise.all([1, 2, 3, 4, 5].map((number) => world.ended([String(number)])));
    expect(ended.map(({ code }) => code)).to.deep.equal([0, 0, 0, 0, 0]);
    expect(new Set(world.starts.map(({ env }) => env['HTTPS_PROXY'])).size).to.equal(1);
    expect(world.logged('proxy.started')).to.equal(1);
  });

  it('does not mind the lock of somebody who was killed', async () => {
    const world = await open();
    await world.ended(['start']);
    await world.ended(['stop']);
    writeFileSync(join(world.layout.state, 'start.lock'), '2147483646 abandoned\n');
    expect((await world.ended(['x'])).stderr).to.include('DB_PROXY_ON');
  });

  it("takes the next free port beside a stranger's, remembers it, and never takes the stranger for ours", async () => {
    const world = await open();
    // It says what our /health says, and is not ours.
    const body = JSON.stringify({ status: 'ok', version: '9.9.9' });
    const other = (stranger = await startTcp((socket) => {
      socket.on('data', () => socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`));
    }));
    const ports = { DBPROXY_PROXY_PORT: String(other.port) };
    const question = { host: '127.0.0.1', port: other.port, timeoutMs: 2_000 };
    expect(await checkHealth(world.layout, question)).to.deep.equal({ healthy: false, trouble: 'stranger' });
    await world.ended([], ports);
    const port = world.record?.ports.proxy ?? 0;
    expect(port).to.be.above(0).and.not.equal(other.port);
    expect(world.start.env['HTTPS_PROXY']).to.equal(`http://127.0.0.1:${port}`);
    other.server.close();
    await world.ended(['stop'], ports);
    await world.ended(['start'], ports);
    expect(world.record?.ports.proxy, 'remembered').to.equal(port);
    const status = JSON.parse((await world.ended(['status', '--json'], ports)).stdout) as { ports: unknown };
    expect(status.ports).to.deep.equal(world.record?.ports);
  });

  it('replaces an older proxy once it is idle, and leaves a newer one alone', async () => {
    const world = await open();
    const old = world.run(['start'], {}, world.copy('0.0.1'));
    await old.ended;
    const { pid } = world;
    expect(world.record?.version).to.equal('0.0.1');
    const ports = world.record?.ports;
    await world.ended(['x']);
    expect(world.pid).not.to.equal(pid);
    expect(lives(pid)).to.equal(false);
    expect(world.record?.version).not.to.equal('0.0.1');
    expect(world.record?.ports).to.deep.equal(ports);
  });

  it('takes no lasting harm from certificates that cannot be used', async () => {
    const world = await open();
    await world.ended(['start']);
    await world.ended(['stop']);
    for (const [file, bytes] of [
      ['ca.pem', readFileSync(world.layout.ca).subarray(0, 300)],
      ['ca-key.pem', Buffer.from('no key')],
      ['ca.pem', Buffer.alloc(0)],
    ] as const) {
      world.forget();
      writeFileSync(join(world.layout.certs, file), bytes);
      const launched = await world.ended(['x']);
      expect(launched.code, launched.stderr).to.equal(0);
      expect(launched.stderr).to.match(/^◈ DB_PROXY_ON/m);
      expect(world.start.env['NODE_EXTRA_CA_CERTS']).to.equal(world.layout.ca);
      await world.ended(['stop']);
    }
  });

  it('goes through the proxy without a network too, and says nothing of it: claude does', async () => {
    const world = await open();
    const env = { DBPROXY_UPSTREAM_URL: 'https://api.invalid' };
    const launched = await world.ended(['x'], env);
    expect(launched.code).to.equal(0);
    expect(launched.stderr.replace('claude-db-proxy: starting the proxy …\n', '')).to.match(ANNOUNCED);
    const doctor = await world.ended(['proxy-doctor'], env);
    expect(doctor.code).to.equal(1);
    expect(doctor.stdout).to.match(/^✘ .*api\.invalid.*\n {2}→ /m);
  });

  it('runs the image that DBPROXY_IMAGE names', async () => {
    const world = await open();
    const engine = new FakeEngine('docker', world.bin, world.home);
    const env = { DBPROXY_RUNTIME: 'docker', DBPROXY_IMAGE: 'registry.example/our/proxy:7' };
    try {
      const launched = await world.ended(['x'], env);
      expect([launched.code, world.record?.runtime], launched.stderr).to.deep.equal([0, 'docker']);
      expect(engine.calls('run')[0]).to.include('registry.example/our/proxy:7');
      expect((await world.ended(['stop'], env)).code).to.equal(0);
      engine.loseImage();
      world.forget();
      const without = await world.ended(['x'], env);
      expect(without.stderr)
        .to.match(/docker has no image registry\.example\/our\/proxy:7/)
        .and.to.match(WITHOUT);
      expect(world.start.args).to.deep.equal(['x']);
    } finally {
      engine.kill();
    }
  });

  it('stops with claude at Ctrl-Z, and goes on with it', async function () {
    if (spawnSync('python3', ['-c', 'import pty']).status !== 0) return this.skip();
    const world = await open();
    await world.ended(['start']);
    // In a shell with job control, on a terminal of its own: claude is started, stopped by Ctrl-Z, and brought back.
    writeFileSync(join(world.bin, 'claude'), '#!/bin/sh\necho IS-UP\nread word\necho "HEARD $word"\nexit 5\n');
    const child = spawn('python3', [JOB_CONTROL, ...world.launcher], { env: world.env });
    let seen = '';
    child.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (seen += chunk.toString()));
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect(code, seen).to.equal(0);
    expect(seen).to.match(/IS-UP[^]*Stopped[^]*HEARD again[^]*ended with 5/);
  });

  describe('without a proxy', () => {
    const direct = ['HTTPS_PROXY', 'NODE_EXTRA_CA_CERTS', 'CLAUDE_CODE_GATEWAY_HINT_HEADERS', 'NO_PROXY'];
    const cases: readonly (readonly [what: string, env: Record<string, string>, says: RegExp])[] = [
      ['an unknown runtime', { DBPROXY_RUNTIME: 'kubernetes' }, /DBPROXY_RUNTIME=kubernetes.*docker, podman or node/],
      ['a threshold that cannot be', { DBPROXY_SWAP_THRESHOLD: '80' }, /DBPROXY_SWAP_THRESHOLD=80/],
      ['a directory that cannot be', { DBPROXY_DATA_DIR: '/dev/null/data' }, /\/dev\/null\/data cannot be written/],
      ['no container engine', { DBPROXY_RUNTIME: 'docker', PATH: '' }, /DBPROXY_RUNTIME=docker cannot be used/],
    ];
    for (const [what, env, says] of cases) {
      it(`for ${what}, says so in one line, and claude runs as it would alone`, async () => {
        const world = await open();
        const path = env['PATH'] === '' ? { PATH: world.bin } : {};
        const { code, stderr } = await world.ended(['a', 'b'], { ...env, ...path, FAKE_EXIT: '4' });
        const said = stderr.replace('claude-db-proxy: starting the proxy …\n', '');
        expect(code, stderr).to.equal(4);
        expect(said.trimEnd().split('\n'), said).to.have.length(1);
        expect(said).to.match(says).and.to.match(WITHOUT);
        expect(world.start.args).to.deep.equal(['a', 'b']);
        expect(world.start.env).not.to.have.any.keys(...direct);
      });
    }

    it('says how to get claude where there is none, and takes no link to ourselves for it', async () => {
      const world = await open({ claude: false });
      symlinkSync(fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url)), join(world.bin, 'claude'));
      const { code, stderr } = await world.ended(['x'], { PATH: world.bin });
      expect(code).to.equal(127);
      expect(stderr).to.match(/^claude-db-proxy: Claude Code is not installed.*install\.sh/);
      expect(stderr.trimEnd().split('\n')).to.have.length(1);
      expect(world.record, 'no proxy was started').to.equal(null);
    });

    it('asks for no proxy to tell the version', async () => {
      const world = await open();
      expect(await world.ended(['--version'])).to.include({ code: 0, stderr: '' });
      expect(world.start.args).to.deep.equal(['--version']);
      expect(world.record).to.equal(null);
    });
  });
});
