import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { expect } from 'chai';
import { launchEnvironment } from '../../cli/launch/launch-environment.ts';
import { checkHealth } from '../../cli/health-check.ts';
import { FakeEngine } from './fake-engine.ts';
import { eventually, Host, json, told } from './host.ts';

/** Measured: 1.8 s, of which up to one passes until the next look. Twice that, for a busy machine. */
const REVIVED_MS = 4_000;

/** Launched one after another, each with a proxy of its own: far from anybody's ports. */
const PORTS = { DBPROXY_PROXY_PORT: '0', DBPROXY_DASHBOARD_PORT: '0' };

async function occupied<T>(port: number, then: (port: number) => Promise<T>): Promise<T> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  try {
    return await then((server.address() as AddressInfo).port);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

describe('the launcher on a machine without Node', function () {
  this.timeout(60_000);
  let host: Host;
  let engine: FakeEngine;

  function furnish(without: readonly string[] = [], name: 'docker' | 'podman' = 'podman'): void {
    host = new Host(without);
    engine = new FakeEngine(name, host.bin, host.home);
    host.installClaude();
  }
  afterEach(async () => {
    const { pid } = engine;
    engine.kill();
    if (pid !== null) await eventually(() => !existsSync(`/proc/${pid}`), 'the end of the proxy');
    host.remove();
  });

  for (const shell of [['/bin/dash'], ['/bin/bash', '--posix'], ['/bin/busybox', 'sh']]) {
    it(`starts the container, then claude in its environment, with ${shell.join(' ')}`, async function () {
      if (spawnSync(shell[0] ?? '', [...shell.slice(1), '-c', 'exit 0']).status !== 0) return this.skip();
      furnish();
      host.shell = shell;
      const env = {
        ...PORTS,
        NO_PROXY: 'corp.example, *.anthropic.com,::1',
        ANTHROPIC_CUSTOM_HEADERS: 'x-mine: 1',
        DBPROXY_SWAP_THRESHOLD: '0.655',
        DBPROXY_CHECKPOINT_THRESHOLD: '.5',
        CLAUDE_CODE_AUTO_COMPACT_WINDOW: '200k',
      };
      const ended = await host.run(['-p', 'two words', '', '--resume'], { env, input: 'said on stdin' });
      const claude = told(ended);
      expect([ended.code, claude.args, claude.input]).to.deep.equal([
        7,
        ['-p', 'two words', '', '--resume'],
        'said on stdin',
      ]);
      const { ports } = json(host.layout.runtime) as { ports: { proxy: number; dashboard: number } };
      expect(ended.stderr).to.equal(`◈ DB_PROXY_ON  https://localhost:${ports.dashboard}/dashboard\n`);
      const expected = launchEnvironment(env, {
        proxyUrl: `http://127.0.0.1:${ports.proxy}`,
        caFile: host.layout.ca,
        swap: 0.655,
      });
      expect(claude.env).to.include(expected);
    });
  }

  for (const [how, without] of [
    ['openssl', ['curl']],
    ["the container's own check", ['curl', 'openssl']],
  ] as const) {
    it(`knows a healthy proxy by ${how} where there is no curl`, async () => {
      furnish(without);
      expect((await host.run(['start'], { env: PORTS })).stderr).to.equal('');
      // More than one where another process took the port in between.
      const runs = engine.calls('run').length;
      const again = await host.run([], { env: PORTS });
      expect([again.code, engine.calls('run').length]).to.deep.equal([7, runs]);
    });
  }

  it('starts one proxy for two launches at once', async () => {
    furnish();
    const both = await Promise.all([host.run([], { env: PORTS }), host.run([], { env: PORTS })]);
    expect(both.map(({ code }) => code)).to.deep.equal([7, 7]);
    const [one, other] = both.map((ended) => told(ended).env['HTTPS_PROXY']);
    expect(one)
      .to.equal(other)
      .and.to.match(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(engine.calls('run')).to.have.length(1);
  });

  it('takes the next port where one is taken, and remembers it', async () => {
    furnish();
    await occupied(0, async (port) => {
      const env = { DBPROXY_PROXY_PORT: String(port), DBPROXY_DASHBOARD_PORT: '0' };
      const url = told(await host.run([], { env })).env['HTTPS_PROXY'];
      const used = Number(/:(\d+)$/.exec(url ?? '')?.[1]);
      expect(used)
        .to.be.above(port)
        .and.below(port + 50);
      expect((await host.run(['stop'], { env })).stdout).to.match(/^The proxy is stopped \(podman, container /);
      expect((await host.run(['stop'], { env })).stdout).to.equal('The proxy was not running.\n');
      expect(told(await host.run([], { env })).env['HTTPS_PROXY']).to.equal(url);
    });
  });

  it('puts our certificate before those that the user trusts', async () => {
    furnish();
    const bundle = join(host.home, 'corp.pem');
    writeFileSync(bundle, 'CORPORATE');
    const { NODE_EXTRA_CA_CERTS: file = '' } = told(
      await host.run([], { env: { ...PORTS, NODE_EXTRA_CA_CERTS: bundle } }),
    ).env;
    expect(readFileSync(file, 'utf8')).to.equal(`${readFileSync(host.layout.ca, 'utf8')}\nCORPORATE`);
  });

  it('starts the proxy again while claude runs', async () => {
    furnish();
    // Ends when it is told to.
    host.installClaude('while [ ! -e "$HOME/end" ]; do sleep 0.1; done');
    const running = host.run([], { env: PORTS });
    await eventually(() => existsSync(host.layout.runtime), 'a proxy');
    const { ports } = json(host.layout.runtime) as { ports: { proxy: number } };
    const before = engine.pid;
    const killed = performance.now();
    engine.kill();
    const healthy = async (): Promise<boolean> =>
      (await checkHealth(host.layout, { host: '127.0.0.1', port: ports.proxy, timeoutMs: 1_000 })).healthy;
    while (!(await healthy())) expect(performance.now() - killed).to.be.below(20_000);
    expect(performance.now() - killed, 'milliseconds until it served again').to.be.below(REVIVED_MS);
    expect(engine.pid).not.to.equal(before);
    // Whoever started it has seen it too: killed before that, it would be started once more.
    await eventually(() => !existsSync(join(host.layout.state, 'start.lock')), 'the end of the start');
    writeFileSync(join(host.home, 'end'), '');
    expect((await running).code).to.equal(0);
    expect([engine.calls('run').length, engine.calls('start').length]).to.deep.equal([1, 1]);
  });

  it('runs the image that DBPROXY_IMAGE names', async () => {
    furnish();
    const ended = await host.run([], { env: { ...PORTS, DBPROXY_IMAGE: 'registry.example/our/proxy:7' } });
    expect(ended.code).to.equal(7);
    expect(engine.calls('run')[0]?.slice(-3)).to.deep.equal(['registry.example/our/proxy:7', 'serve', '--no-record']);
  });

  it('says how to get claude where there is none', async () => {
    furnish();
    const path = join(host.bin, 'claude');
    // An alias made a file is not claude either.
    writeFileSync(path, '#!/bin/sh\nexec claude-db-proxy "$@"\n');
    const ended = await host.run([]);
    expect([ended.code, ended.stdout, engine.calls('run').length]).to.deep.equal([127, '', 0]);
    expect(ended.stderr).to.match(/^claude-db-proxy: Claude Code is not installed.*\n$/);
  });

  it('leaves questions to claude that need no proxy', async () => {
    furnish();
    const ended = await host.run(['--version']);
    expect([told(ended).args, ended.stderr, engine.calls('run').length]).to.deep.equal([['--version'], '', 0]);
  });

  describe('runs claude without the proxy, with one line,', () => {
    for (const [what, prepare, env, line] of [
      ['for an unknown runtime', () => undefined, { DBPROXY_RUNTIME: 'lxc' }, /DBPROXY_RUNTIME=lxc cannot be used/],
      ['for a runtime that is not there', () => undefined, { DBPROXY_RUNTIME: 'docker' }, /nor docker is installed/],
      ['for Node, which is not there', () => undefined, { DBPROXY_RUNTIME: 'node' }, /there is no Node 20\.19/],
      ['for a threshold that is none', () => undefined, { DBPROXY_SWAP_THRESHOLD: '1.5' }, /=1\.5 cannot be used/],
      ['for an engine without the image', () => engine.loseImage(), {}, /podman has no image localhost\/claude-db/],
      [
        'when the proxy does not start',
        () => undefined,
        { DBPROXY_LOG_LEVEL: 'loud' },
        /DBPROXY_LOG_LEVEL=loud cannot/,
      ],
    ] as const) {
      it(what, async () => {
        furnish();
        prepare();
        const ended = await host.run(['-p'], { env: { ...PORTS, ...env } });
        expect([ended.code, told(ended).args]).to.deep.equal([7, ['-p']]);
        expect(told(ended).env).not.to.have.any.keys('HTTPS_PROXY', 'NODE_EXTRA_CA_CERTS', 'NO_PROXY');
        expect(ended.stderr)
          .to.match(/^claude-db-proxy: [^\n]* Running claude without the proxy\.\n$/)
          .and.to.match(line);
        expect(existsSync(join(host.layout.state, 'start.lock'))).to.equal(false);
      });
    }

    it('for a data directory that cannot be written', async function () {
      furnish();
      const file = join(host.home, 'file');
      writeFileSync(file, '');
      const ended = await host.run([], { env: { ...PORTS, DBPROXY_DATA_DIR: join(file, 'data') } });
      expect(ended.code).to.equal(7);
      expect(ended.stderr).to.match(/^claude-db-proxy: .*\/data cannot be written; see DBPROXY_DATA_DIR[^\n]*\n$/);
    });
  });

  it('shows the status line behind the one that the user has', async () => {
    furnish();
    await host.run(['start'], { env: PORTS });
    const { ports } = json(host.layout.runtime) as { ports: { proxy: number } };
    mkdirSync(host.layout.state, { recursive: true });
    const users = `sed 's/.*"model":"\\([a-z]*\\)".*/[\\1]/'`;
    writeFileSync(
      host.layout.install,
      `{\n  "runtime": "podman",\n  "statusLineBefore": ${JSON.stringify(users)}\n}\n`,
    );
    chmodSync(host.layout.install, 0o600);
    const input = '{"session_id":"abc-1","model":"opus",\n"cost":{"total_api_duration_ms":0}}';
    const env = { ...PORTS, HTTPS_PROXY: `http://127.0.0.1:${ports.proxy}` };
    const own = /^\[opus\]/;
    expect((await host.run(['statusline'], { env, input })).stdout).to.match(own);
    const broken = await host.run(['statusline'], { env: PORTS, input: 'no json' });
    expect([broken.code, broken.stderr]).to.deep.equal([0, '']);
  });
});
