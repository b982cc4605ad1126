import { readFileSync, rmSync } from 'node:fs';
import { expect } from 'chai';
import { parseConfig } from '../../../src/config/config.ts';
import { ScriptedClient } from '../../../src/demo/scripted-client.ts';
import { startProxy, type Proxy } from '../../../src/proxy.ts';
import { startSimulatedApi, type SimulatedApi } from '../../../src/simulated-api/index.ts';
import { recordingLog, type LogLine } from '../../support/rig.ts';
import { newDataDir } from '../forwarder/quick-rig.ts';
import { ask, messageRequest, question, RawClient, requestBytes } from '../forwarder/raw-client.ts';
import { dial, drain, exchange, openTunnel, startTcp, until } from '../redirector/sockets.ts';
import { startConnectProxy, type ConnectProxy } from './connect-proxy.ts';
import { HOST, selfSigned } from './self-signed.ts';

const CANARY = 'canary-3ab7';

interface Office {
  readonly proxy: Proxy;
  readonly log: readonly LogLine[];
  readonly ca: string;
  readonly client: ScriptedClient;
  close(): Promise<void>;
}

describe('behind the proxy of an office', () => {
  let api: SimulatedApi;
  let corporate: ConnectProxy;
  let office: Office;

  /** Our proxy, started in an environment with these proxy variables. */
  async function start(env: Record<string, string>): Promise<Office> {
    const dataDir = await newDataDir();
    const { cert } = await selfSigned();
    const log: LogLine[] = [];
    const config = parseConfig({
      HOME: dataDir,
      DBPROXY_DATA_DIR: dataDir,
      DBPROXY_PROXY_PORT: '0',
      DBPROXY_DASHBOARD_PORT: '0',
      DBPROXY_UPSTREAM_URL: `https://${HOST}:${api.port}`,
      ...env,
    });
    const proxy = await startProxy({ config, log: recordingLog(log), upstreamCa: [cert] });
    const ca = readFileSync(proxy.caPath, 'utf8');
    const client = new ScriptedClient({ proxy: `http://127.0.0.1:${proxy.ports.proxy}`, ca });
    let closing: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      await client.close();
      await proxy.stop();
      rmSync(dataDir, { recursive: true, force: true });
    };
    return { proxy, log, ca, client, close: () => (closing ??= close()) };
  }

  const url = (password = CANARY): string => `http://user:${password}@127.0.0.1:${corporate.port}`;

  before(async () => {
    api = await startSimulatedApi({ tls: await selfSigned() });
    corporate = await startConnectProxy({ credentials: `user:${CANARY}` });
  });
  beforeEach(() => {
    api.reset();
    corporate.answer = undefined;
  });
  afterEach(async () => {
    await office.close();
    const said = JSON.stringify(office.log);
    expect(said).not.to.include(CANARY);
    expect(said).not.to.include(Buffer.from(`user:${CANARY}`).toString('base64'));
  });
  after(() => Promise.all([api.close(), corporate.close()]));

  it('requests and checkpoint calls go through it', async () => {
    office = await start({ HTTPS_PROXY: url() });
    api.respondWith(() => ({ promptTokens: 130_000 }));
    const before = corporate.targets.length;
    const { client, log } = office;
    expect((await client.say('Please fix the parser.')).status).to.equal(200);
    await until(() => log.some(({ event }) => event === 'checkpoint.completed'));
    expect(api.messages).to.have.length(2);
    const targets = corporate.targets.slice(before);
    expect(targets).to.have.length(2); // one connection for forwarded requests, one of undici's
    expect(new Set(targets)).to.deep.equal(new Set([`${HOST}:${api.port}`]));
    expect(log.find(({ event }) => event === 'outbound.proxy_used')?.fields).to.deep.equal({
      variable: 'HTTPS_PROXY',
      proxy: `http://127.0.0.1:${corporate.port}`,
    });
    const { text } = await ask(office, { path: '/health', host: 'localhost' });
    expect(text).to.include('"status":"ok"').and.not.to.include(CANARY);
    api.respondWith(undefined);
  });

  it('blind tunnels go through it, and one half of them may end before the other', async () => {
    office = await start({ https_proxy: url() });
    const destination = await startTcp((socket) => {
      void drain(socket).then((all) => socket.end(`heard ${all.toString()}`));
    });
    const target = `files.example.test:${destination.port}`;
    const { socket, answer } = await openTunnel(office.proxy.ports.proxy, target, Buffer.from('all '));
    expect(answer).to.equal('HTTP/1.1 200 Connection Established\r\n\r\n');
    expect(corporate.targets.at(-1)).to.equal(target);
    socket.end('of it');
    expect((await drain(socket)).toString()).to.equal('heard all of it');
    destination.server.close();
  });

  it('tunnels to loopback and to hosts of NO_PROXY go around it', async () => {
    office = await start({ HTTPS_PROXY: url(), NO_PROXY: '.invalid' });
    const before = corporate.targets.length;
    const destination = await startTcp((socket) => void socket.end('here'));
    const { socket } = await openTunnel(office.proxy.ports.proxy, `localhost:${destination.port}`);
    expect((await drain(socket)).toString()).to.equal('here');
    socket.destroy();
    destination.server.close();
    const answer = await exchange(office.proxy.ports.proxy, 'CONNECT files.invalid:443 HTTP/1.1\r\n\r\n');
    expect(answer).to.match(/^HTTP\/1\.1 50[24] /); // nobody by that name; the proxy would have found one
    expect(corporate.targets.length).to.equal(before);
  });

  it('a wrong password is a 502 that says so', async () => {
    office = await start({ HTTPS_PROXY: url(`${CANARY}x`) });
    const answer = await ask(office, messageRequest('s', question()));
    const message = `the proxy http://127.0.0.1:${corporate.port} refused the tunnel (407 Proxy Authentication Required); check HTTPS_PROXY`;
    expect(answer.status).to.equal(502);
    expect(JSON.parse(answer.text)).to.deep.equal({
      type: 'error',
      error: { type: 'api_error', message: `claude-db-proxy: ${message}` },
    });
    expect(office.log.find(({ event }) => event === 'upstream.failed')?.fields['message']).to.equal(message);
    const tunnel = await openTunnel(office.proxy.ports.proxy, 'files.example.test:443');
    expect(tunnel.answer).to.match(/^HTTP\/1\.1 502 /);
    expect((await drain(tunnel.socket)).toString()).to.equal(`claude-db-proxy: ${message}\n`);
    tunnel.socket.destroy();
  });

  it('that hangs is given up with the client of a tunnel, and holds nobody up who stops', async () => {
    office = await start({ HTTPS_PROXY: url() });
    await until(() => corporate.connections === 0);
    corporate.answer = () => undefined;
    const client = await RawClient.open(office);
    client.write(requestBytes(messageRequest('s', question())));
    await until(() => corporate.connections === 1);
    const tunnel = await dial(office.proxy.ports.proxy);
    tunnel.write('CONNECT files.example.test:443 HTTP/1.1\r\n\r\n');
    await until(() => corporate.connections === 2);
    tunnel.resetAndDestroy();
    await until(() => corporate.connections === 1);
    client.leave();
    await office.close();
    await until(() => corporate.connections === 0);
  });

  it('a variable that points at ourselves is ignored, and that is said', async () => {
    office = await start({ NO_PROXY: '*' });
    const { proxy: own } = office.proxy.ports;
    await office.close();
    office = await start({ HTTPS_PROXY: `http://user:${CANARY}@localhost:${own}`, DBPROXY_PROXY_PORT: String(own) });
    expect(office.log.find(({ event }) => event === 'outbound.proxy_ignored')).to.deep.include({
      level: 'warn',
      fields: { variable: 'HTTPS_PROXY', proxy: `http://localhost:${own}`, reason: 'it is claude-db-proxy itself' },
    });
    expect(await exchange(own, 'CONNECT files.invalid:443 HTTP/1.1\r\n\r\n')).to.match(/^HTTP\/1\.1 50[24] /);
  });
});
