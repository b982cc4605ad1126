import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect, createServer, Server } from 'node:net';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { expect } from 'chai';
import { parseConfig } from '../../src/config/config.ts';
import { silentLog } from '../../src/log.ts';
import { startProxy, type Proxy } from '../../src/proxy.ts';
import { ask, messageRequest, RawClient, requestBytes } from './forwarder/raw-client.ts';
import { newDataDir, quickRig, rawRig, type RawRig } from './forwarder/quick-rig.ts';
import { dial, drain, openTunnel, portOf, until } from './redirector/sockets.ts';

const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

/** The server of this process that listens on a port: there is no other way to it from outside. */
function serverOn(port: number): Server {
  const handles = (process as unknown as { _getActiveHandles(): unknown[] })._getActiveHandles();
  const found = handles.find((handle) => {
    const address = handle instanceof Server ? handle.address() : null;
    return typeof address === 'object' && address?.port === port;
  });
  if (!(found instanceof Server)) throw new Error(`nobody listens on ${port}`);
  return found;
}

const refusesConnections = async (port: number): Promise<boolean> => {
  const socket = connect(port, '127.0.0.1');
  const [outcome] = await Promise.race([once(socket, 'connect').then(() => ['open']), once(socket, 'error')]).catch(
    () => ['refused'],
  );
  socket.destroy();
  return outcome !== 'open';
};

describe('the proxy as a whole', () => {
  let rig: RawRig;
  beforeEach(async () => {
    rig = await rawRig();
  });
  afterEach(() => rig.close());

  for (const name of ['forwarder', 'redirector'] as const) {
    for (const how of ['is closed from outside', 'fails'] as const) {
      it(`binds the ${name} again on the same port when its socket ${how}; the other goes on`, async () => {
        const { dashboard, proxy } = rig.proxy.ports;
        const [port, other] = name === 'forwarder' ? [dashboard, proxy] : [proxy, dashboard];
        const server = serverOn(port);
        if (how === 'fails') server.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }));
        else server.close();
        await rig.logged('listener.listening', (fields) => {
          const lines = rig.log.filter(
            ({ event, fields: told }) => event === 'listener.listening' && told['port'] === port,
          );
          return fields['port'] === port && lines.length === 2;
        });
        expect(await refusesConnections(other)).to.equal(false);
        for (const way of ['tunnel', 'direct'] as const) {
          expect((await ask(rig, { path: '/api/x' }, { way })).text).to.equal('ok');
        }
        expect(rig.proxy.supervisor.getSnapshot().context.services[name]).to.deep.equal({
          up: true,
          port,
          reason: null,
        });
      });
    }
  }

  it('binds the forwarder again though a stream is under way on it, and the stream goes on', async () => {
    rig.upstream.serve = async (request) => {
      await request.whole();
      request.send(HEAD + chunk('one'));
    };
    const client = await RawClient.open(rig, { way: 'direct' });
    client.write(requestBytes(messageRequest('streaming')));
    const head = await client.head();
    serverOn(rig.proxy.ports.dashboard).emit('error', new Error('accept EMFILE'));
    await rig.logged('listener.listening', ({ listener }) => {
      const lines = rig.log.filter(
        ({ event, fields }) => event === 'listener.listening' && fields['listener'] === listener,
      );
      return listener === 'forwarder' && lines.length === 2;
    });
    rig.upstream.requests[0]?.send(`${chunk('two')}0\r\n\r\n`);
    expect((await client.body(head)).bytes.toString()).to.equal('onetwo');
    await client.close();
  });

  it('stops: an answer under way ends first, new ones are refused, then nothing listens and nothing is open', async () => {
    rig.upstream.serve = async (request) => {
      await request.whole();
      request.send(HEAD + chunk('one'));
    };
    const clients = await Promise.all(['tunnel', 'direct'].map((way) => RawClient.open(rig, { way: way as 'tunnel' })));
    const idle = await Promise.all(['tunnel', 'direct'].map((way) => RawClient.open(rig, { way: way as 'tunnel' })));
    for (const client of idle) {
      client.write(requestBytes({ path: '/health', host: 'localhost' }));
      expect((await client.answer()).status).to.equal(200);
    }
    const silent = await dial(rig.proxy.ports.proxy); // connected to the redirector, never says a word
    for (const client of clients) client.write(requestBytes(messageRequest('draining')));
    const heads = await Promise.all(clients.map((client) => client.head()));
    const silenced = drain(silent);
    let stopped = false;
    const stopping = rig.proxy.stop().then(() => {
      stopped = true;
    });
    await until(() => idle.every(({ reader }) => reader.over));
    await silenced;
    for (const port of [rig.proxy.ports.proxy, rig.proxy.ports.dashboard])
      expect(await refusesConnections(port)).to.equal(true);
    expect(stopped).to.equal(false);
    const began = performance.now();
    for (const request of rig.upstream.requests) request.send(`${chunk('two')}0\r\n\r\n`);
    for (const [at, client] of clients.entries()) {
      const head = heads[at];
      if (head === undefined) throw new Error('no head');
      const body = await client.body(head);
      expect([body.bytes.toString(), body.whole]).to.deep.equal(['onetwo', true]);
    }
    await stopping;
    expect(performance.now() - began).to.be.below(1_000);
    expect(clients.every(({ reader }) => reader.over)).to.equal(true);
    await until(() => rig.upstream.connections === 0);
    await Promise.all([...clients, ...idle].map((client) => client.close()));
  });

  it('stops at once when idle, and a second time', async () => {
    const client = await RawClient.open(rig, { way: 'tunnel' });
    client.write(requestBytes({ path: '/api/x' }));
    await client.answer();
    const began = performance.now();
    await Promise.all([rig.proxy.stop(), rig.proxy.stop()]);
    expect(performance.now() - began).to.be.below(1_000);
    await client.close();
  });

  it('is not kept from stopping by a checkpoint that is being computed', async () => {
    const own = await quickRig();
    own.api.respondWith(({ isSummary }) => (isSummary ? { firstByteMs: 60_000 } : { promptTokens: 150_000 }));
    await own.client().say('Much work.');
    const call = await own.api.waitFor(({ isSummary }) => isSummary);
    const began = performance.now();
    await own.proxy.stop();
    expect(performance.now() - began).to.be.below(1_000);
    await until(() => call.outcome === 'aborted');
    await own.close();
  });

  it('cares for tunnels through it: those to others are blind, one to itself is refused', async () => {
    const { proxy, dashboard } = rig.proxy.ports;
    for (const port of [proxy, dashboard]) {
      const { socket, answer } = await openTunnel(proxy, `127.0.0.1:${port}`);
      expect(answer).to.match(/^HTTP\/1\.1 403 /);
      socket.destroy();
    }
    const { socket, answer } = await openTunnel(proxy, `127.0.0.1:${rig.upstream.port}`);
    expect(answer).to.match(/^HTTP\/1\.1 200 /);
    socket.write('GET /blind HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => rig.upstream.requests.some(({ path }) => path === '/blind'));
    socket.destroy();
  });

  it('survives the crash of a conversation', async () => {
    const own = await quickRig();
    const client = own.client();
    await client.say('Hello.');
    const conversation = own.proxy.supervisor.getSnapshot().children[`conversation:${client.session}`];
    (conversation as { send(event: unknown): void } | undefined)?.send({ type: 'turn.started' }); // incomplete: throws or not
    expect((await client.say('Still there?')).status).to.equal(200);
    expect((await own.client().say('And for others?')).status).to.equal(200);
    await own.close();
  });

  it('forgets a conversation after its time', async () => {
    const own = await quickRig({ DBPROXY_CONVERSATION_TTL: '100ms' });
    await own.client().say('Hello.');
    expect(own.proxy.conversations.actors.size).to.equal(1);
    await until(() => own.proxy.conversations.actors.size === 0);
    await own.close();
  });
});

describe('a start that cannot be', () => {
  const start = (env: Record<string, string>): Promise<Proxy> =>
    startProxy({
      config: parseConfig({ DBPROXY_PROXY_PORT: '0', DBPROXY_DASHBOARD_PORT: '0', ...env }),
      log: silentLog,
    });

  for (const variable of ['DBPROXY_PROXY_PORT', 'DBPROXY_DASHBOARD_PORT']) {
    it(`for ${variable} in use is rejected with one clear line, and leaves nothing behind`, async () => {
      const taken = createServer().listen(0, '127.0.0.1');
      await once(taken, 'listening');
      const port = portOf(taken);
      const dataDir = await newDataDir();
      const servers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'TCPServerWrap').length;
      const before = servers();
      const error: unknown = await start({ DBPROXY_DATA_DIR: dataDir, [variable]: String(port) }).catch(
        (thrown: unknown) => thrown,
      );
      expect(error).to.be.instanceOf(Error);
      expect((error as Error).message).to.match(new RegExp(`^${variable}=${port} [^\\n]*in use[^\\n]*$`));
      await until(() => servers() === before);
      rmSync(dataDir, { recursive: true });
      taken.close();
    });
  }

  it('for an address of somebody else names DBPROXY_HOST or the address', async () => {
    const dataDir = await newDataDir();
    const error: unknown = await start({ DBPROXY_DATA_DIR: dataDir, DBPROXY_HOST: '203.0.113.7' }).catch(
      (thrown: unknown) => thrown,
    );
    expect((error as Error).message).to.match(/^[^\n]*203\.0\.113\.7[^\n]*$/);
    rmSync(dataDir, { recursive: true });
  });

  it('for a data directory that is none is rejected', async () => {
    const dataDir = await newDataDir();
    rmSync(join(dataDir, 'certs'), { recursive: true });
    writeFileSync(join(dataDir, 'certs'), '');
    const error: unknown = await start({ DBPROXY_DATA_DIR: dataDir }).catch((thrown: unknown) => thrown);
    expect((error as Error).message)
      .to.include(dataDir)
      .and.not.to.include('\n');
    rmSync(dataDir, { recursive: true });
    mkdirSync(dataDir);
    expect(existsSync(join(dataDir, 'certs'))).to.equal(false);
    rmSync(dataDir, { recursive: true });
  });
});
