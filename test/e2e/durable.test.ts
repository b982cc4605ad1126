/** What outlives the process: a proxy is "killed" by starting another one on what its files held at that moment. */
import { expect } from 'chai';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { utilisation } from '../../machines/conversation-calculations.ts';
import { conversationId } from '../../machines/units.ts';
import { parseConfig, type Environment } from '../../src/config/config.ts';
import { ScriptedClient } from '../../src/demo/scripted-client.ts';
import { startProxy, type Proxy } from '../../src/proxy.ts';
import { startSimulatedApi, type Answer, type SimulatedApi } from '../../src/simulated-api/index.ts';
import { newDataDir } from '../src/forwarder/quick-rig.ts';
import { until } from '../src/redirector/sockets.ts';
import { recordingLog, type LogLine } from '../support/rig.ts';
import { FULL, isCheckpointCall, isCompaction, LARGE, SMALL } from './flows.ts';

/** A proxy on a data directory, and what it logged. */
interface Running {
  readonly proxy: Proxy;
  readonly dataDir: string;
  readonly log: readonly LogLine[];
}

describe('what outlives the process', () => {
  let api: SimulatedApi;
  let promptTokens: number;
  /** What checkpoint calls are answered with; by default a summary, at once. */
  let summary: Answer | undefined;
  let running: Running[];
  let clients: ScriptedClient[];

  beforeEach(async () => {
    api = await startSimulatedApi();
    promptTokens = SMALL;
    summary = undefined;
    api.respondWith(({ request }) => (isCheckpointCall(request) ? summary : { promptTokens }));
    running = [];
    clients = [];
  });

  afterEach(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await Promise.all(running.map(({ proxy }) => proxy.stop()));
    await api.close();
    for (const { dataDir } of running) rmSync(dataDir, { recursive: true, force: true });
  });

  async function start(dataDir: string, env: Environment = {}): Promise<Running> {
    const log: LogLine[] = [];
    const ports = { DBPROXY_PROXY_PORT: '0', DBPROXY_DASHBOARD_PORT: '0' };
    const own = { HOME: dataDir, DBPROXY_DATA_DIR: dataDir, DBPROXY_UPSTREAM_URL: api.url };
    const config = parseConfig({ ...own, ...ports, ...env });
    const one = { proxy: await startProxy({ config, log: recordingLog(log) }), dataDir, log };
    running.push(one);
    return one;
  }

  /** Another proxy on what the files of `one` hold now: what is there after `kill -9`. */
  async function afterKill(one: Running, env: Environment = {}): Promise<Running> {
    const copy = mkdtempSync(join(tmpdir(), 'dbproxy-killed-'));
    cpSync(one.dataDir, copy, { recursive: true });
    return start(copy, env);
  }

  /** The same conversation, going on through `to`. */
  function client(to: Running, from?: ScriptedClient): ScriptedClient {
    const options = from === undefined ? {} : { session: from.session, model: from.model };
    const proxy = `http://127.0.0.1:${to.proxy.ports.proxy}`;
    const made = new ScriptedClient({ proxy, ca: readFileSync(to.proxy.caPath, 'utf8'), ...options });
    if (from !== undefined) made.messages = [...from.messages];
    clients.push(made);
    return made;
  }

  const snapshotOf = ({ proxy }: Running, { session }: ScriptedClient) =>
    proxy.conversations.actors.snapshot(conversationId(session));
  const phaseOf = ({ proxy }: Running, { session }: ScriptedClient) =>
    proxy.conversations.actors.phase(conversationId(session));
  const walOf = ({ proxy }: Running, { session }: ScriptedClient) =>
    proxy.conversations.persistence.wal(conversationId(session));
  const has = ({ log }: Running, event: string) => log.some((line) => line.event === event);
  const eventually = (one: Running, event: string) => until(() => has(one, event));
  const compactions = () => api.messages.filter(isCompaction).length;

  /** A conversation whose checkpoint is there, with two turns after it. */
  async function working(one: Running): Promise<ScriptedClient> {
    const me = client(one);
    await me.say('Please write the parser.');
    promptTokens = LARGE;
    await me.say('And its tests.');
    await eventually(one, 'checkpoint.completed');
    await me.say('The third thing, said after the checkpoint.');
    await me.say('The fourth thing, said after the checkpoint.');
    await until(() => walOf(one, me)?.entries.length === 4);
    return me;
  }

  /** Says hello under the conversation's name, so that it is restored, without moving it. */
  async function recalled(one: Running, me: ScriptedClient): Promise<ScriptedClient> {
    const again = client(one, me);
    await again.aside('A title, please.');
    return again;
  }

  for (const [phase, tokens] of [
    ['WAL_ACTIVE', LARGE],
    ['SWAP_READY', FULL],
  ] as const) {
    it(`is in ${phase} again after a kill, with the same anchor, log and utilisation, and served at once`, async () => {
      const before = await start(await newDataDir());
      const me = await working(before);
      promptTokens = tokens;
      // The checkpoint is computed anew in SWAP_READY; nothing may change while this test looks.
      summary = { fault: { kind: 'slow', firstByteMs: 10_000 } };
      await me.say('The fifth thing.');
      await until(() => phaseOf(before, me) === phase && walOf(before, me)?.entries.length === 6);
      await new Promise((resolve) => void setImmediate(resolve));
      const was = snapshotOf(before, me)?.context;
      const log = walOf(before, me);

      const after = await afterKill(before);
      const again = await recalled(after, me);
      const is = snapshotOf(after, me)?.context;
      expect(phaseOf(after, again)).to.equal(phase);
      expect(is?.checkpoint).to.deep.equal(was?.checkpoint);
      expect(is === undefined || was === undefined ? null : utilisation(is) - utilisation(was)).to.equal(0);
      expect(is?.counters).to.deep.equal(was?.counters);
      expect(walOf(after, again)).to.deep.equal(log);

      const reply = await again.compact();
      expect([reply.headers['x-double-buffer-served'], compactions()]).to.deep.equal(['checkpoint', 0]);
      expect(reply.text).to.include('The third thing').and.to.include('The fifth thing');
      expect(reply.ms).to.be.below(1_000);
    });
  }

  it('knows after a stop what the last answer told, however soon behind it that comes', async () => {
    const before = await start(await newDataDir());
    const me = await working(before);
    promptTokens = LARGE + 7;
    await me.say('The fifth thing.');
    await before.proxy.stop();
    running = running.filter((one) => one !== before);
    const after = await start(before.dataDir);
    await recalled(after, me);
    expect(snapshotOf(after, me)?.context.used).to.be.within(LARGE + 7, LARGE + 1_000);
  });

  it('knows after a kill that a summary was served, and that the client took it', async () => {
    const before = await start(await newDataDir());
    const me = await working(before);
    await me.compact();
    expect(phaseOf(before, me)).to.equal('SWAP_READY');
    await new Promise((resolve) => void setImmediate(resolve));
    const after = await afterKill(before);
    const again = client(after, me);
    promptTokens = SMALL;
    await again.say('On we go.');
    await eventually(after, 'history.replaced');
    expect(after.log.find(({ event }) => event === 'history.replaced')?.fields['confirmed']).to.equal(true);
    await until(() => after.proxy.history.compactions()[0]?.tokensAfter !== null);
    expect(after.proxy.history.compactions()[0]).to.include({ outcome: 'served', confirmed: true });
    expect(phaseOf(after, me)).to.equal('IDLE');
  });

  it('serves a fork under another session after a kill, and nothing to another history', async () => {
    const before = await start(await newDataDir());
    const me = await working(before);
    const after = await afterKill(before);
    const fork = client(after);
    fork.messages = [...me.messages];
    expect((await fork.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
    const other = client(after);
    other.messages = [{ role: 'user', content: 'Quite another thing.' }, ...me.messages.slice(1)];
    expect((await other.compact()).headers['x-double-buffer-served']).to.equal(undefined);
    expect(compactions()).to.equal(1);
  });

  it('is there after an orderly restart, and after many kills', async () => {
    let one = await start(await newDataDir());
    let me = await working(one);
    await one.proxy.stop();
    one = await start(one.dataDir);
    me = client(one, me);
    for (let kill = 0; kill < 3; kill += 1) {
      await me.say(`After kill ${kill}.`);
      await until(() => (walOf(one, me)?.entries.length ?? 0) >= 6 + 2 * kill);
      await new Promise((resolve) => void setImmediate(resolve));
      one = await afterKill(one);
      me = client(one, me);
    }
    const reply = await me.compact();
    expect(reply.headers['x-double-buffer-served']).to.equal('checkpoint');
    expect(reply.text).to.include('After kill 0').and.to.include('After kill 2');
    expect(api.messages.filter(isCheckpointCall)).to.have.length(1);
  });

  it('makes the checkpoint that a kill cut off with the next turn', async () => {
    const before = await start(await newDataDir());
    const me = client(before);
    await me.say('Please write the parser.');
    promptTokens = LARGE;
    api.fault({ kind: 'silence', at: 'before_head' }, { when: { summary: true } });
    await me.say('And its tests.');
    await eventually(before, 'checkpoint.started');
    const after = await afterKill(before);
    const again = client(after, me);
    await again.say('Where were we?');
    await eventually(after, 'checkpoint.completed');
    expect((await again.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
  });

  it('is forgotten with the conversation, in the file as well', async () => {
    const one = await start(await newDataDir(), { DBPROXY_CONVERSATION_TTL: '400ms' });
    const me = await working(one);
    await until(() => one.proxy.conversations.actors.size === 0);
    await one.proxy.stop();
    const after = await start(one.dataDir, { DBPROXY_CONVERSATION_TTL: '400ms' });
    const again = await recalled(after, me);
    expect([snapshotOf(after, again), after.proxy.conversations.actors.size]).to.deep.equal([undefined, 0]);
    expect((await again.compact()).headers['x-double-buffer-served']).to.equal(undefined);
  });

  it('starts and serves without a file where there can be none, and says so', async () => {
    const dataDir = await newDataDir();
    writeFileSync(join(dataDir, 'state'), 'no directory');
    const one = await start(dataDir);
    const failed = one.log.find(({ event }) => event === 'store.failed');
    expect([failed?.level, one.proxy.supervisor.getSnapshot().context.services.store.up]).to.deep.equal([
      'error',
      false,
    ]);
    const me = await working(one);
    expect((await me.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
  });

  it('takes the store up when it can be opened, with everything that happened meanwhile', async () => {
    const dataDir = await newDataDir();
    writeFileSync(join(dataDir, 'state'), 'no directory');
    const one = await start(dataDir);
    const me = await working(one);
    rmSync(join(dataDir, 'state'));
    await eventually(one, 'store.opened');
    const after = await afterKill(one);
    const again = client(after, me);
    expect((await again.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
  });

  it('begins anew over a damaged file, and keeps the damaged one', async () => {
    const one = await start(await newDataDir());
    const me = await working(one);
    await one.proxy.stop();
    const file = join(one.dataDir, 'state', 'dbproxy.sqlite');
    writeFileSync(file, 'scribbled over '.repeat(1_000));
    const after = await start(one.dataDir);
    expect(after.log.filter(({ event }) => event === 'store.set_aside')).to.have.length(1);
    const again = client(after, me);
    expect((await again.compact()).headers['x-double-buffer-served']).to.equal(undefined);
    expect(readdirSync(join(one.dataDir, 'state')).some((name) => name.includes('.unusable-'))).to.equal(true);
  });

  it('holds no message, no header and no credential', async () => {
    const one = await start(await newDataDir());
    const me = await working(one);
    await me.compact();
    promptTokens = SMALL;
    await me.say('After the swap.');
    await one.proxy.stop();
    const bytes = Buffer.concat(
      readdirSync(join(one.dataDir, 'state')).map((name) => readFileSync(join(one.dataDir, 'state', name))),
    );
    for (const said of ['The third thing', 'And its tests', 'After the swap', 'sk-ant-scripted-client', 'x-api-key']) {
      expect(bytes.includes(said), said).to.equal(false);
    }
    expect(bytes.includes(me.session)).to.equal(true);
  });

  it('keeps the history of compactions for people', async () => {
    const one = await start(await newDataDir());
    const me = await working(one);
    await me.compact();
    promptTokens = SMALL;
    await me.say('After the swap.');
    await until(() => one.proxy.history.compactions()[0]?.tokensAfter !== null);
    await me.compact('manual', 'only the tests');
    await one.proxy.stop();
    const { history } = (await start(one.dataDir)).proxy;
    const [forwarded, served, ...others] = history.compactions({ conversation: me.session });
    expect(others).to.deep.equal([]);
    expect(forwarded).to.include({ outcome: 'forwarded', reason: 'instructions', savedMs: 0 });
    expect(served).to.include({ outcome: 'served', reason: null, confirmed: true });
    expect(served?.tokensBefore).to.be.within(LARGE, LARGE + 1_000);
    expect(served?.tokensAfter).to.be.within(SMALL, SMALL + 1_000);
    expect(served?.checkpoint?.tokens.output).to.be.greaterThan(0);
    expect(history.totals()).to.deep.include({ served: 1, forwarded: 1, forwardedBy: { instructions: 1 } });
    expect(history.checkpoints().map(({ fate }) => fate)).to.deep.equal(['used']);
  });

  it('is not put at risk by two proxies on one data directory: the second keeps its state in memory', async () => {
    const one = await start(await newDataDir());
    const me = await working(one);
    const second = await start(one.dataDir);
    expect(second.log.find(({ event }) => event === 'store.failed')?.fields['message']).to.match(/second proxy/);
    expect((await client(second).say('Hello.')).status).to.equal(200);
    expect((await me.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
  });

  it('makes its directory for nobody else', async () => {
    const one = await start(await newDataDir());
    mkdirSync(join(one.dataDir, 'elsewhere'));
    await one.proxy.stop();
    expect(readdirSync(join(one.dataDir, 'state'))).to.deep.equal(['dbproxy.sqlite']);
  });
});
