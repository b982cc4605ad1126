import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { expect } from 'chai';
import { ScriptedClient } from '../../src/demo/scripted-client.ts';
import { startSimulatedApi, type SimulatedApi } from '../../src/simulated-api/index.ts';
import { VERSION } from '../../src/version.ts';
import { ask, messageRequest, RawClient, requestBytes, type Target } from '../src/forwarder/raw-client.ts';
import { newDataDir } from '../src/forwarder/quick-rig.ts';
import { Child } from './child.ts';

interface Served {
  readonly child: Child;
  readonly target: Target;
}

describe('claude-db-proxy serve', function () {
  this.timeout(15_000);
  let api: SimulatedApi;
  let dataDir: string;
  const children: Child[] = [];

  beforeEach(async () => {
    api = await startSimulatedApi();
    dataDir = await newDataDir();
  });
  afterEach(async () => {
    for (const child of children.splice(0)) {
      child.kill('SIGKILL');
      await child.ended;
    }
    await api.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  async function serve(env: Record<string, string> = {}): Promise<Served> {
    const ports = { DBPROXY_PROXY_PORT: '0', DBPROXY_DASHBOARD_PORT: '0' };
    const child = new Child(['serve'], { ...ports, DBPROXY_DATA_DIR: dataDir, DBPROXY_UPSTREAM_URL: api.url, ...env });
    children.push(child);
    const started = await child.logged('proxy.started');
    const port = (url: unknown): number => Number(/:(\d+)$/.exec(String(url))?.[1]);
    const at = { proxy: port(started['https_proxy']), dashboard: port(started['dashboard']) };
    return { child, target: { proxy: { ports: at }, ca: readFileSync(String(started['ca']), 'utf8') } };
  }

  it('serves, logs JSON lines to stdout and to a file for its owner only, tells no words, and ends on SIGTERM', async () => {
    const { child, target } = await serve();
    const health = await ask(target, { path: '/health', host: 'localhost' }, { servername: 'localhost' });
    expect(health.status).to.equal(200);
    expect(JSON.parse(health.text)).to.include({
      status: 'ok',
      version: VERSION,
      conversations: 0,
      passthrough: false,
    });

    api.respondWith(({ isSummary }) => (isSummary ? undefined : { promptTokens: 150_000 }));
    const client = new ScriptedClient({ proxy: `http://127.0.0.1:${target.proxy.ports.proxy}`, ca: target.ca });
    expect((await client.say('canary-words')).status).to.equal(200);
    await child.logged('checkpoint.completed');
    expect((await client.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
    await client.say('canary-words again');
    await client.close();

    const began = performance.now();
    child.kill('SIGTERM');
    const ended = await child.ended;
    expect(performance.now() - began).to.be.below(2_000);
    expect([ended.code, ended.signal, ended.stderr]).to.deep.equal([0, null, '']);

    const events = child.lines.map(({ event }) => event);
    expect(events).to.include.members([
      ...['listener.listening', 'proxy.started', 'phase.changed', 'checkpoint.started', 'checkpoint.completed'],
      ...['compaction.served', 'history.replaced', 'proxy.stopping', 'proxy.stopped'],
    ]);
    for (const line of child.lines)
      expect(line).to.have.all.keys(Object.keys({ time: 0, level: 0, event: 0, ...line }));
    const logs = join(dataDir, 'logs');
    const file = join(logs, 'dbproxy.jsonl');
    expect(readFileSync(file, 'utf8')).to.equal(ended.stdout);
    expect([statSync(logs).mode & 0o777, statSync(file).mode & 0o777]).to.deep.equal([0o700, 0o600]);
    expect(ended.stdout).not.to.match(/canary|sk-ant|SIMULATED-SUMMARY/);
  });

  it('says loudly, in the log and on stderr, when other machines can reach it', async () => {
    const { child } = await serve({ DBPROXY_HOST: '0.0.0.0' });
    const line = await child.logged('listener.exposed');
    expect(line).to.include({ level: 'warn', address: '0.0.0.0' });
    child.kill('SIGTERM');
    const { code, stderr } = await child.ended;
    expect(code).to.equal(0);
    expect(stderr).to.equal(`claude-db-proxy: ${String(line['message'])}\n`);
    expect(stderr).to.match(/^claude-db-proxy: WARNING: listening on 0\.0\.0\.0, .*DBPROXY_HOST\n$/);
  });

  it('takes empty variables for their defaults, and ends on SIGINT after the answer under way', async () => {
    const names = [
      ...['CHECKPOINT_THRESHOLD', 'SWAP_THRESHOLD', 'LOG_LEVEL', 'PASSTHROUGH', 'HOST', 'DATA_DIR', 'MODEL_WINDOWS'],
      ...['CONVERSATION_TTL', 'COMPACTION_WAIT'],
    ];
    const empty = Object.fromEntries(names.map((name) => [`DBPROXY_${name}`, '']));
    const { child, target } = await serve({ ...empty, HOME: dataDir });
    const started = await child.logged('proxy.started');
    const own = join(dataDir, '.local/share/claude-db-proxy');
    expect(started).to.include({ checkpoint_threshold: 0.7, swap_threshold: 0.8, passthrough: false });
    expect(started).to.include({ ca: join(own, 'certs/ca.pem') });
    expect(started['https_proxy']).to.match(/^http:\/\/127\.0\.0\.1:/);
    for (const name of ['', 'certs', 'logs']) expect(statSync(join(own, name)).mode & 0o077, name).to.equal(0);
    expect(statSync(join(own, 'certs/ca-key.pem')).mode & 0o777).to.equal(0o600);

    api.fault({ kind: 'chunking', bytes: 200, delayMs: 30 });
    const client = await RawClient.open(target, { way: 'tunnel' });
    client.write(requestBytes(messageRequest('under-way')));
    const head = await client.head();
    child.kill('SIGINT');
    const body = await client.body(head);
    expect(body.whole).to.equal(true);
    expect(body.bytes.toString()).to.include('message_stop');
    const ended = await child.ended;
    expect([ended.code, ended.stderr]).to.deep.equal([0, '']);
    await client.close();
  });

  it('ends well when told to while it is still starting', async () => {
    const ports = { DBPROXY_PROXY_PORT: '0', DBPROXY_DASHBOARD_PORT: '0' };
    const child = new Child(['serve'], { ...ports, DBPROXY_DATA_DIR: dataDir, DBPROXY_UPSTREAM_URL: api.url });
    children.push(child);
    // The log comes first, before certificates and listeners.
    while (!existsSync(join(dataDir, 'logs'))) await new Promise((resolve) => setTimeout(resolve, 1));
    child.kill('SIGTERM');
    const ended = await child.ended;
    expect([ended.code, ended.signal, ended.stderr]).to.deep.equal([0, null, '']);
    expect(child.lines.map(({ event }) => event)).to.include.members([
      'proxy.started',
      'proxy.stopping',
      'proxy.stopped',
    ]);
  });

  it('ends at once when asked a second time, and at DEBUG logs neither credentials nor secrets', async () => {
    const { child, target } = await serve({ DBPROXY_LOG_LEVEL: 'debug' });
    api.fault({ kind: 'silence', at: 'mid_stream' });
    const client = await RawClient.open(target, { way: 'tunnel' });
    const headers = ['authorization', 'Bearer canary-token', 'cookie', 'canary-cookie'];
    client.write(requestBytes(messageRequest('stuck', undefined, { headers })));
    await client.head();
    child.kill('SIGTERM');
    await child.logged('proxy.stopping');
    const began = performance.now();
    child.kill('SIGTERM');
    const ended = await child.ended;
    expect(performance.now() - began).to.be.below(1_000);
    expect(ended.code).to.equal(1);
    expect(ended.stdout)
      .to.include('"level":"debug"')
      .and.not.to.match(/canary|sk-ant-/);
    await client.close();
  });
});
