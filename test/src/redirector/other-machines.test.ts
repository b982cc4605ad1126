/** Clients of other machines, as far as one machine can play them: they come from an address that is not loopback. */
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import { expect } from 'chai';
import { silentLog } from '../../../src/log.ts';
import { ownListener } from '../../../src/redirector/tunnel-policy.ts';
import { createRedirector, type Redirector, type RedirectorOptions } from '../../../src/redirector/redirector.ts';
import { connectDirectly } from '../../../src/net/tunnel.ts';
import { ask } from '../forwarder/raw-client.ts';
import { quickRig } from '../forwarder/quick-rig.ts';
import { drain, portOf } from './sockets.ts';

const external = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ internal, family }) => !internal && family === 'IPv4')?.address;

/** Asks `at`:`port` for a tunnel with `words` sent along, and returns all that comes back. */
async function tunnelled(at: string, port: number, target: string, words = 'hello'): Promise<string> {
  const socket = connect({ host: at, port, allowHalfOpen: true });
  socket.on('error', () => undefined);
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n${words}`);
  const answer = (await drain(socket)).toString('latin1');
  socket.destroy();
  return answer;
}

describe('a client of another machine', () => {
  let redirector: Redirector;
  let local: Server;
  let port: number;
  let at: string;
  /** What arrived at the service that only this machine should reach. */
  let arrived: string;
  let connections: number;
  const warnings: unknown[] = [];

  before(function () {
    // Skipped where this machine has no other address than loopback.
    if (external === undefined) this.skip();
    else at = external;
  });
  beforeEach(async () => {
    arrived = '';
    connections = 0;
    local = createServer((socket) => {
      connections += 1;
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => {
        arrived += chunk.toString();
        socket.end('secret');
      });
    });
    local.listen(0, '::');
    await once(local, 'listening');
  });
  afterEach(async () => {
    await redirector.close();
    local.close();
    await once(local, 'close');
  });

  async function start(options: Partial<RedirectorOptions> = {}, host = '0.0.0.0'): Promise<void> {
    redirector = createRedirector({
      apiHost: 'api.anthropic.com',
      deliver: () => false,
      log: { ...silentLog, warn: (...line) => void warnings.push(line) },
      timeouts: { drainMs: 50 },
      isOwn: ownListener(host, (candidate) => candidate === port),
      ...options,
    });
    ({ port } = await redirector.listen(host, 0));
  }

  for (const host of [
    ...['127.0.0.1', 'localhost', '127.1', '2130706433', '0x7f.1', '017700000001', '127.0.0.1.', '[::1]'],
    ...['[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '0.0.0.0', '0', '[::]', '169.254.169.254', '[fe80::1]'],
  ]) {
    it(`gets no tunnel to ${host}, and no connection is made for it`, async () => {
      await start();
      const answer = await tunnelled(at, port, `${host}:${portOf(local)}`);
      expect(answer).to.match(/^HTTP\/1\.1 403 .*own machine only\n$/s);
      expect([connections, arrived]).to.deep.equal([0, '']);
      expect(warnings.at(-1)).to.deep.include('tunnel.forbidden');
    });
  }

  it('gets none by a name that was looked up as something harmless and leads to the loopback: not a byte', async () => {
    await start({ connect: () => connectDirectly('127.0.0.1', portOf(local)) });
    expect(await tunnelled(at, port, `rebound.example:${portOf(local)}`)).to.match(/^HTTP\/1\.1 403 /);
    expect(arrived).to.equal('');
  });

  it('gets none by a name that leads to the loopback, and no connection is made for it', async () => {
    await start({ connect: (_host, to, allows) => connectDirectly('localhost', to, allows) });
    expect(await tunnelled(at, port, `pointed.example:${portOf(local)}`)).to.match(/^HTTP\/1\.1 403 .*own machine/s);
    expect(connections).to.equal(0);
  });

  it('cannot tell by the answer which ports are open', async () => {
    await start({ connect: (_host, to, allows) => connectDirectly('localhost', to, allows) });
    const answers = [portOf(local), 1].map((to) => tunnelled(at, port, `pointed.example:${to}`));
    const [open, closed] = (await Promise.all(answers)).map((answer) => answer.replace(/:\d+ can/, ' can'));
    expect(open?.replace(/content-length: \d+/, '')).to.equal(closed?.replace(/content-length: \d+/, ''));
  });

  it('gets one to everywhere else', async () => {
    await start();
    const answer = await tunnelled(at, port, `${at}:${portOf(local)}`);
    expect([answer.split('\r\n\r\n')[1], arrived]).to.deep.equal(['secret', 'hello']);
  });

  it('gets one through a proxy on this machine that its network wants', async () => {
    const opening = () => {
      const socket = connectDirectly('127.0.0.1', portOf(local));
      return { socket, ready: once(socket, 'connect').then(() => undefined), throughProxy: true };
    };
    await start({ connect: opening });
    expect(await tunnelled(at, port, 'example.com:443')).to.match(/secret$/);
  });

  it('as a client of this machine gets one to the loopback', async () => {
    await start();
    expect(await tunnelled('127.0.0.1', port, `localhost:${portOf(local)}`)).to.match(/secret$/);
  });

  it('gets none to our own ports, by any address of this machine', async () => {
    await start();
    for (const client of ['127.0.0.1', at]) {
      for (const host of [at, '127.0.0.1', '0.0.0.0', '[::1]'])
        expect(await tunnelled(client, port, `${host}:${port}`), host).to.match(/^HTTP\/1\.1 403 .*itself\n$/s);
    }
    await redirector.close();
    await start({}, at);
    expect(await tunnelled(at, port, `${at}:${port}`)).to.match(/^HTTP\/1\.1 403 .*itself\n$/s);
  });

  it('finds a proxy that was told to listen for it, and hears so by its name only when that is allowed', async () => {
    await start();
    const rig = await quickRig({ DBPROXY_HOST: at });
    const { ports } = rig.proxy;
    try {
      for (const own of [ports.proxy, ports.dashboard])
        expect(await tunnelled(at, ports.proxy, `${at}:${own}`)).to.match(/^HTTP\/1\.1 403 .*itself\n$/s);
      expect(await tunnelled(at, ports.proxy, `localhost:${portOf(local)}`)).to.match(/own machine only/);
      const target = { proxy: rig.proxy, ca: rig.ca, host: at };
      expect((await ask(target, { path: '/health', host: `${at}:${ports.dashboard}` })).status).to.equal(200);
      expect((await ask(target, { path: '/health', host: 'box.example' })).status).to.equal(421);
      expect(await rig.logged('listener.exposed')).to.include({ address: at });
    } finally {
      await rig.close();
    }
  });
});
