import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { expect } from 'chai';
import { checkHealth } from '../../../cli/health-check.ts';
import { layoutOf } from '../../../cli/installation.ts';
import type { ScriptedClient } from '../../../src/demo/scripted-client.ts';
import { VERSION } from '../../../src/version.ts';
import { eventually, json } from '../../launcher/host.ts';
import { Release, ROOT } from '../../install/machine.ts';
import { BASE_IMAGE, ContainerMachine, exists, podman, startSimulatedApi, type SimulatedApi } from './podman.ts';

const IMAGE = `localhost/claude-db-proxy:${VERSION}`;
const MAX_IMAGE_BYTES = 60_000_000;

/** A machine without Node, installed from the checkout once; the tests follow one another on it. */
describe('the container', function () {
  this.timeout(420_000);
  const machine = new ContainerMachine();
  let api: SimulatedApi;
  let homeBefore: readonly string[];
  const clients: ScriptedClient[] = [];

  before(async () => {
    api = await startSimulatedApi();
    machine.env['DBPROXY_UPSTREAM_URL'] = api.url;
    machine.file('.bashrc', '# mine\n');
    homeBefore = machine.picture();
    const installed = await machine.run('sh', [join(ROOT, 'install.sh')]);
    expect([installed.code, installed.stderr]).to.deep.equal([0, '']);
    expect(installed.stdout).to.include(`claude-db-proxy ${VERSION} is installed (runtime: podman).`);
  });
  after(async () => {
    for (const client of clients) await client.close();
    await machine.remove();
    await api.close();
  });

  const healthy = async (): Promise<boolean> => {
    const check = await checkHealth(layoutOf(machine), {
      host: '127.0.0.1',
      port: machine.ports.proxy,
      timeoutMs: 2_000,
    });
    return check.healthy;
  };
  const client = (session?: string): ScriptedClient => {
    const made = machine.client(session);
    clients.push(made);
    return made;
  };

  /** A conversation that has its checkpoint. */
  async function checkpointed(): Promise<ScriptedClient> {
    api.respondWith(({ isSummary }) => (isSummary ? undefined : { promptTokens: 130_000 }));
    const talking = client();
    await talking.say(`Please fix the parser of ${talking.session}.`);
    await eventually(() => api.messages.filter(({ isSummary }) => isSummary).length > 0, 'a checkpoint call');
    for (;;) {
      const reply = await talking.say('And the lexer.');
      if (reply.headers['x-double-buffer-phase'] === 'WAL_ACTIVE') return talking;
    }
  }

  describe('its image', () => {
    it('adds 60 MB at most to its base', () => {
      const [own = 0, base = 0] = [IMAGE, BASE_IMAGE].map((name) =>
        Number(podman('image', 'inspect', '--format', '{{.Size}}', name)),
      );
      expect(own - base).to.be.within(1_000_000, MAX_IMAGE_BYTES);
    });

    it('says what it is, has a health check, and is for no privileged user', () => {
      const [config] = JSON.parse(podman('image', 'inspect', IMAGE)) as readonly {
        readonly Config: { readonly User: string; readonly Labels: Record<string, string> };
        readonly Healthcheck: { readonly Test: readonly string[] };
      }[];
      expect(config?.Config.User).to.equal('1000:1000');
      expect(config?.Config.Labels['org.opencontainers.image.version']).to.equal(VERSION);
      expect(config?.Healthcheck.Test).to.deep.equal(['CMD', 'node', '/app/dist/cli/health.js']);
    });

    it('holds no sources, types, maps or development packages', () => {
      const files = podman(
        'run',
        '--rm',
        '--network',
        'none',
        '--entrypoint',
        'find',
        IMAGE,
        '/app',
        '-type',
        'f',
      ).split('\n');
      expect(files).to.include('/app/dist/cli/main.js');
      expect(files.filter((file) => /\.(?:map|d\.[cm]?ts)$/.test(file))).to.deep.equal([]);
      expect(
        files.filter((file) => /^\/app\/node_modules\/(?:typescript|tsx|mocha|esbuild|eslint)\//.test(file)),
      ).to.deep.equal([]);
    });
  });

  describe('at work', () => {
    it('runs without privileges, on a root that cannot be written, as the owner of the data', async () => {
      const status = (await machine.inside('cat', '/proc/1/status')).stdout;
      expect(/^CapEff:\s*0+$/m.test(status), status).to.equal(true);
      expect(status).to.match(/^NoNewPrivs:\s*1$/m);
      expect((await machine.inside('touch', '/app/x')).stderr).to.match(/Read-only file system/);
      const [owner] = [podman('exec', machine.container, 'id', '-u')];
      expect(owner).to.equal(String(process.getuid?.()));
      expect(readFileSync('/proc/1/comm', 'utf8')).not.to.equal('node\n'); // it is the container's process 1, not ours
      expect((await machine.inside('cat', '/proc/1/comm')).stdout).to.match(/node|MainThread/);
    });

    it('passes the engine’s own health check', async () => {
      expect((await machine.run('podman', ['healthcheck', 'run', machine.container])).code).to.equal(0);
    });

    it('serves a compaction to what claude is told, and still does after it was killed', async () => {
      machine.program('claude', `printf '%s %s' "$HTTPS_PROXY" "$NODE_EXTRA_CA_CERTS"; exit 6`);
      const launched = await machine.proxy(['-p']);
      const [, url, bundle = ''] = /^(\S+) (.*)$/.exec(launched.stdout) ?? [];
      expect([launched.code, url]).to.deep.equal([6, `http://127.0.0.1:${machine.ports.proxy}`]);
      expect(readFileSync(bundle, 'utf8')).to.include(readFileSync(machine.caFile, 'utf8').trim());

      const first = await checkpointed();
      expect((await first.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');

      const second = await checkpointed();
      const process1 = podman('inspect', '--format', '{{.State.Pid}}', machine.container);
      const killed = performance.now();
      process.kill(Number(process1), 'SIGKILL');
      // Restarted by the engine, as the policy says.
      await eventually(
        () => !['', '0', process1].includes(podman('inspect', '--format', '{{.State.Pid}}', machine.container)),
        'another process',
        60_000,
      );
      while (!(await healthy())) await new Promise((resolve) => setTimeout(resolve, 20));
      console.log(`        killed, and healthy again after ${Math.round(performance.now() - killed)} ms`);
      const again = client(second.session);
      again.messages = [...second.messages];
      const compacted = await again.compact();
      expect(compacted.headers['x-double-buffer-served']).to.equal('checkpoint');
      expect(compacted.text).to.include('And the lexer.');
    });

    for (const [words, expected] of [
      [['status'], /podman/],
      [['status', '--json'], /"version"/],
      [['logs', '--json'], /"event":"compaction\.served"/],
      [['proxy-version'], new RegExp(`^${VERSION}\n$`)],
      [['proxy-help'], /uninstall/],
      [['dashboard'], /^https:\/\/localhost:\d+\/dashboard\?token=/],
      [['statusline'], /^$/],
      [['history'], /compactions +\d/],
      [['proxy-demo'], /compact/i],
    ] as const) {
      it(`answers to ${words.join(' ')} without Node on the machine`, async () => {
        const ended = await machine.proxy([...words], { input: '{}' });
        expect([ended.code, ended.stderr]).to.deep.equal([0, '']);
        expect(ended.stdout).to.match(expected);
      });
    }

    it('lets its doctor look around', async () => {
      const { code, stdout } = await machine.proxy(['proxy-doctor', '--json']);
      const found = JSON.parse(stdout) as readonly { readonly check: string; readonly verdict: string }[];
      // Its one complaint: the user's settings are not to be seen from there.
      expect([code, found.filter(({ verdict }) => verdict !== 'well').map(({ check }) => check)]).to.deep.equal([
        0,
        ['shadows'],
      ]);
      expect(found.map(({ check }) => check)).to.include.members(['claude', 'runtime', 'ports', 'upstream', 'clock']);
    });

    it('follows its log until it is told to end', async () => {
      const { child, said } = machine.follow(['logs', '-f', '--json']);
      const ended = once(child, 'exit');
      await eventually(() => said().includes('"event":"proxy.started"'), 'the log so far');
      const talking = client();
      await talking.say('Hello.');
      await eventually(() => said().includes(talking.session), 'what is new in it');
      child.kill('SIGINT');
      await ended;
    });

    it('ends in time, also when it has hardly begun', async () => {
      const stopped = performance.now();
      expect((await machine.proxy(['stop'])).stdout).to.match(/is stopped/);
      expect(performance.now() - stopped).to.be.below(9_000);
      expect(exists('container', machine.container)).to.equal(false);
      expect(json(join(machine.dataDir, 'runtime.json'))).to.include({ running: false });

      const data = mkdtempSync(join(tmpdir(), 'dbproxy-early-'));
      podman(
        ...['run', '--detach', '--name', 'dbproxy-early', '--network', 'none', '--pull', 'never'],
        ...['--user', `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`, '--volume', `${data}:/data`, IMAGE],
      );
      try {
        // The log comes first: certificates and listeners are still to come.
        await eventually(() => existsSync(join(data, 'logs')), 'a beginning');
        const began = performance.now();
        podman('stop', 'dbproxy-early');
        expect(performance.now() - began).to.be.below(9_000);
      } finally {
        podman('rm', '--force', 'dbproxy-early');
        rmSync(data, { recursive: true, force: true });
      }
    });

    it('publishes on 127.0.0.1 only, on a network of its own', async () => {
      const started = await machine.proxy(['start'], { env: { DBPROXY_CONTAINER_NETWORK: 'bridge' } });
      expect([started.code, started.stderr]).to.deep.equal([0, '']);
      expect(await healthy()).to.equal(true);
      const { proxy, dashboard } = machine.ports;
      const published = podman('port', machine.container).split('\n').sort();
      expect(published).to.deep.equal([proxy, dashboard].map((port) => `${port}/tcp -> 127.0.0.1:${port}`).sort());
      await machine.proxy(['stop']);
    });
  });

  describe('and other runtimes', () => {
    /** The launcher on Node, on the same data directory. */
    const onNode = (runtime: string, ...args: string[]) =>
      machine.run(process.execPath, [join(ROOT, 'dist/cli/main.js'), ...args], { env: { DBPROXY_RUNTIME: runtime } });

    it('share certificates and checkpoints with it', async () => {
      const ca = readFileSync(machine.caFile, 'utf8');
      expect((await onNode('podman', 'start')).stderr).to.equal('');
      expect(podman('inspect', '--format', '{{.State.Status}}', machine.container)).to.equal('running');
      const talking = await checkpointed();
      expect((await onNode('podman', 'status')).stdout).to.match(/podman/);
      expect((await onNode('podman', 'stop')).stderr).to.equal('');
      expect((await onNode('node', 'start')).stderr).to.equal('');
      expect(json(join(machine.dataDir, 'runtime.json'))).to.include({ runtime: 'node', container: null });
      const again = client(talking.session);
      again.messages = [...talking.messages];
      expect((await again.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
      expect((await onNode('node', 'stop')).stderr).to.equal('');
      expect(readFileSync(machine.caFile, 'utf8')).to.equal(ca);
    });

    it('include docker, whose own command speaks to Podman here', async function () {
      const docker = spawnSync('sh', ['-c', 'command -v docker'], { encoding: 'utf8' }).stdout.trim();
      if (docker === '') return this.skip();
      const directory = mkdtempSync(join(tmpdir(), 'dbproxy-docker-'));
      const socket = join(directory, 'podman.sock');
      const service = spawn('podman', ['system', 'service', '--time', '0', `unix://${socket}`], { stdio: 'ignore' });
      try {
        await eventually(() => existsSync(socket), 'the engine');
        const env = { DOCKER_HOST: `unix://${socket}`, DBPROXY_RUNTIME: 'docker', PATH: process.env['PATH'] ?? '' };
        const main = join(ROOT, 'dist/cli/main.js');
        const started = await machine.run(process.execPath, [main, 'start'], { env });
        expect([started.code, started.stderr]).to.deep.equal([0, '']);
        expect(await healthy()).to.equal(true);
        expect(json(join(machine.dataDir, 'runtime.json'))).to.include({ runtime: 'docker' });
        const stopped = await machine.run(process.execPath, [main, 'stop'], { env });
        expect([stopped.code, stopped.stderr]).to.deep.equal([0, '']);
      } finally {
        service.kill();
        await once(service, 'exit');
        rmSync(directory, { recursive: true, force: true });
      }
    });
  });

  describe('and newer versions', () => {
    let release: Release;
    before(async () => {
      release = await Release.publish();
    });
    after(() => release.close());

    it('go again when they do not become healthy, and come when they do', async () => {
      await machine.proxy(['start']);
      const ca = readFileSync(machine.caFile, 'utf8');
      const env = { DBPROXY_RELEASE_URL: release.url };
      release.makeVersion('9.0.0', (tree) => {
        const dockerfile = join(tree, 'Dockerfile');
        writeFileSync(dockerfile, `${readFileSync(dockerfile, 'utf8')}ENV DBPROXY_LOG_LEVEL=loud\n`);
      });
      const refused = await machine.proxy(['proxy-update'], { env });
      expect(refused.code).to.equal(1);
      expect(refused.stderr).to.include(`going back to ${VERSION}`).and.to.include('DBPROXY_LOG_LEVEL=loud');
      expect(await healthy()).to.equal(true);
      expect(exists('image', 'localhost/claude-db-proxy:9.0.0')).to.equal(false);

      release.make(ROOT);
      release.makeVersion('9.0.1');
      const updated = await machine.proxy(['proxy-update'], { env });
      expect([updated.code, updated.stderr]).to.deep.equal([0, '']);
      expect((await machine.proxy(['proxy-version'])).stdout).to.equal('9.0.1\n');
      expect(podman('inspect', '--format', '{{.ImageName}}', machine.container)).to.equal(
        'localhost/claude-db-proxy:9.0.1',
      );
      expect(await healthy()).to.equal(true);
      expect(readFileSync(machine.caFile, 'utf8')).to.equal(ca);
    });
  });

  // Last: mocha runs the tests of a suite before the suites in it.
  describe('in the end', () => {
    it('leaves no trace', async () => {
      const { container } = machine;
      const removed = await machine.proxy(['uninstall']);
      expect([removed.code, removed.stderr]).to.deep.equal([0, '']);
      expect(machine.picture()).to.deep.equal(homeBefore);
      expect(machine.temporary).to.deep.equal([]);
      expect(exists('container', container)).to.equal(false);
      for (const name of [IMAGE, 'localhost/claude-db-proxy:9.0.1', 'localhost/claude-db-proxy:previous'])
        expect(exists('image', name), name).to.equal(false);
      expect(podman('images', '--quiet', '--filter', 'label=claude-db-proxy.stage=build')).to.equal('');
      expect(exists('image', BASE_IMAGE)).to.equal(true);
    });
  });
});
