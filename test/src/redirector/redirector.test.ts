import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import https from 'node:https';
import { Socket, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { expect } from 'chai';
import { openCertificates, type Certificates } from '../../../src/certificates/certificates.ts';
import { ListenError } from '../../../src/errors.ts';
import { silentLog } from '../../../src/log.ts';
import { OpenConnections } from '../../../src/net/open-connections.ts';
import { createRedirector, type Redirector, type RedirectorOptions } from '../../../src/redirector/redirector.ts';
import { connectDirectly } from '../../../src/net/tunnel.ts';
import { dial, drain, exchange, openTunnel, portOf, startTcp, until } from './sockets.ts';

const OPENED = 'HTTP/1.1 200 Connection Established\r\n\r\n';

describe('redirector', () => {
  let redirector: Redirector;
  let port: number;
  let echo: { server: Server; port: number };

  before(async () => {
    echo = await startTcp((socket) => socket.pipe(socket));
  });

  after(async () => {
    echo.server.close();
    await once(echo.server, 'close');
  });

  afterEach(() => redirector.close());

  async function start(options: Partial<RedirectorOptions> = {}): Promise<void> {
    redirector = createRedirector({
      apiHost: 'api.anthropic.com',
      deliver: () => false,
      log: silentLog,
      ...options,
      timeouts: { drainMs: 50, ...options.timeouts },
    });
    ({ port } = await redirector.listen('127.0.0.1', 0));
  }

  describe('a tunnel to another host', () => {
    it('is blind, and counted while it is open', async () => {
      await start();
      const { socket, answer } = await openTunnel(port, `127.0.0.1:${echo.port}`, Buffer.from('with the CONNECT, '));
      expect(answer).to.equal(OPENED);
      expect(redirector.counts()).to.deep.equal({ delivered: 0, blind: 1 });
      socket.end('and after');
      expect((await drain(socket)).toString()).to.equal('with the CONNECT, and after');
      await until(() => redirector.counts().blind === 0);
    });

    it('finds a name on whichever family it listens', async () => {
      await start();
      const { socket, answer } = await openTunnel(port, `localhost:${echo.port}`);
      expect(answer).to.equal(OPENED);
      socket.destroy();
    });

    it('that is refused by the destination is a 502', async () => {
      await start();
      const gone = await startTcp(() => undefined);
      gone.server.close();
      await once(gone.server, 'close');
      const answer = await exchange(port, connectTo(`127.0.0.1:${gone.port}`));
      expectRefusal(answer, 502, 'connection refused');
    });

    it('that does not answer in time is a 504', async () => {
      const socket = new Socket();
      Object.defineProperty(socket, 'connecting', { value: true });
      await start({ connect: () => socket, timeouts: { connectMs: 20, headersMs: 1000, drainMs: 50 } });
      expectRefusal(await exchange(port, connectTo('slow.example:443')), 504, 'no answer in time');
      expect(socket.destroyed).to.be.true;
    });

    it('is given up when the client goes while it is connecting', async () => {
      const socket = new Socket();
      Object.defineProperty(socket, 'connecting', { value: true });
      await start({ connect: () => socket });
      const client = await dial(port);
      client.write(connectTo('slow.example:443'));
      await until(() => redirector.counts().blind === 1);
      client.resetAndDestroy();
      await until(() => socket.destroyed && redirector.counts().blind === 0);
    });

    it('is refused when it would lead back to us, by address or by a name for it', async () => {
      await start({ isOwn: (host, at) => host === '127.0.0.1' && at === echo.port });
      expectRefusal(await exchange(port, connectTo(`127.0.0.1:${echo.port}`)), 403, 'claude-db-proxy itself');
      expectRefusal(await exchange(port, connectTo(`127.1:${echo.port}`)), 403, 'claude-db-proxy itself');
    });

    it('that fails in an unforeseen way takes nothing else with it', async () => {
      await start({
        connect: (host, at) => {
          if (host === 'broken.example') throw new Error('made for a test');
          return connectDirectly(host, at);
        },
      });
      expect(await exchange(port, connectTo('broken.example:443'))).to.equal('');
      const { socket, answer } = await openTunnel(port, `127.0.0.1:${echo.port}`);
      expect(answer).to.equal(OPENED);
      socket.destroy();
    });
  });

  describe('a tunnel to the API', () => {
    let directory: string;
    let certificates: Certificates;
    let forwarder: https.Server;

    before(async () => {
      directory = await mkdtemp(join(tmpdir(), 'dbproxy-redirector-'));
      certificates = await openCertificates({ directory, now: () => new Date(), log: silentLog });
      forwarder = https.createServer(certificates.serverOptions(), (request, response) => {
        const body = `${request.method ?? ''} ${request.url ?? ''}`;
        response.writeHead(200, { 'content-length': body.length, connection: 'close' });
        response.end(body);
      });
    });

    after(() => rm(directory, { recursive: true }));

    const deliver = (socket: Socket, head: Buffer): boolean => {
      if (head.length > 0) socket.unshift(head);
      return forwarder.emit('connection', socket);
    };

    /** Speaks TLS over `transport` and asks for `/v1/models`. */
    async function ask(transport: Duplex): Promise<string> {
      const socket = tls.connect({ socket: transport, ca: certificates.caPem, servername: 'api.anthropic.com' });
      socket.write('GET /v1/models HTTP/1.1\r\nhost: api.anthropic.com\r\n\r\n');
      const answer = (await drain(socket)).toString();
      socket.destroy();
      return answer;
    }

    for (const target of ['api.anthropic.com:443', 'API.Anthropic.Com.:443']) {
      it(`is delivered to the HTTPS forwarder (${target})`, async () => {
        await start({ deliver });
        const { socket, answer } = await openTunnel(port, target);
        expect(answer).to.equal(OPENED);
        expect(redirector.counts()).to.deep.equal({ delivered: 1, blind: 0 });
        expect(await ask(socket)).to.match(/\r\n\r\nGET \/v1\/models$/);
        await until(() => redirector.counts().delivered === 0);
      });
    }

    it('is delivered with a ClientHello that came in one packet with the CONNECT', async () => {
      let headLength = 0;
      await start({
        deliver: (socket, head) => {
          headLength = head.length;
          return deliver(socket, head);
        },
      });
      const client = await dial(port);
      expect(await ask(pipelined(client, connectTo('api.anthropic.com:443')))).to.match(/\r\n\r\nGET \/v1\/models$/);
      expect(headLength).to.be.above(100);
      await until(() => redirector.counts().delivered === 0);
    });

    it('goes to the real API while the forwarder is down', async () => {
      const asked: string[] = [];
      await start({
        connect: (host, at) => {
          asked.push(`${host}:${at}`);
          return connectDirectly('127.0.0.1', echo.port);
        },
      });
      const { socket, answer } = await openTunnel(port, 'api.anthropic.com:443', Buffer.from('hello '));
      expect(answer).to.equal(OPENED);
      socket.end('API');
      expect((await drain(socket)).toString()).to.equal('hello API');
      expect(asked).to.deep.equal(['api.anthropic.com:443']);
    });

    it('goes there as well, blind, while there are too many connections; the others stay', async () => {
      const openConnections = new OpenConnections({ limit: 1, log: silentLog });
      await start({ deliver, openConnections, connect: () => connectDirectly('127.0.0.1', echo.port) });
      const first = await openTunnel(port, 'api.anthropic.com:443');
      const second = await openTunnel(port, 'api.anthropic.com:443', Buffer.from('hello'));
      expect(redirector.counts()).to.deep.equal({ delivered: 1, blind: 1 });
      second.socket.end();
      expect((await drain(second.socket)).toString()).to.equal('hello');
      await until(() => openConnections.size === 1);
      expect(await ask(first.socket)).to.match(/GET \/v1\/models$/);
      await until(() => openConnections.size === 0);
      const third = await openTunnel(port, 'api.anthropic.com:443');
      expect(redirector.counts().delivered).to.equal(1);
      third.socket.destroy();
    });

    it('is reset when the forwarder is down and the API unreachable', async () => {
      await start({ connect: () => connectDirectly('127.0.0.1', 1) });
      const { socket, answer } = await openTunnel(port, 'api.anthropic.com:443');
      expect(answer).to.equal(OPENED);
      expect((await drain(socket)).toString()).to.equal('');
    });

    it('on another port is blind', async () => {
      await start({ deliver: () => expect.fail('delivered'), connect: () => connectDirectly('127.0.0.1', echo.port) });
      const { socket, answer } = await openTunnel(port, 'api.anthropic.com:8443');
      expect(answer).to.equal(OPENED);
      expect(redirector.counts()).to.deep.equal({ delivered: 0, blind: 1 });
      socket.destroy();
    });
  });

  describe('anything else', () => {
    for (const target of ['foo', 'foo:0', 'foo:70000', 'user@foo:443', '[::1]', '::1:443', 'http://foo:443/']) {
      it(`CONNECT ${target} is a 400`, async () => {
        await start();
        expectRefusal(await exchange(port, connectTo(target)), 400);
      });
    }

    for (const request of [
      'GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n',
      'GET / HTTP/1.1\r\n\r\n',
      'POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\nbody',
      'GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
    ]) {
      it(`${request.slice(0, request.indexOf('\r\n'))} is a 405 that says what the port is for`, async () => {
        await start();
        const answer = await exchange(port, request);
        expectRefusal(answer, 405, 'HTTPS_PROXY');
        expect(answer).to.match(/\r\nallow: CONNECT\r\n/i);
      });
    }

    for (const [what, bytes] of [
      ['no HTTP', 'hello\r\n\r\n'],
      ['a TLS ClientHello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
      ['a bad header', 'CONNECT foo:443 HTTP/1.1\r\nbad header\r\n\r\n'],
    ] as const) {
      it(`${what} is a 400`, async () => {
        await start();
        expectRefusal(await exchange(port, bytes), 400);
      });
    }

    it('a header of 100 KB is a 431', async () => {
      await start();
      expectRefusal(await exchange(port, `CONNECT foo:443 HTTP/1.1\r\nx: ${'x'.repeat(100_000)}\r\n\r\n`), 431);
    });

    it('a header that does not arrive in time is a 408', async () => {
      await start({ timeouts: { headersMs: 50, connectMs: 1000, drainMs: 50 } });
      expectRefusal(await exchange(port, 'CONNECT foo:443 HTTP/1.1\r\n'), 408);
    });

    it('a client that goes without a word disturbs nobody', async () => {
      await start();
      (await dial(port)).resetAndDestroy();
      (await dial(port)).destroy();
      const { socket, answer } = await openTunnel(port, `127.0.0.1:${echo.port}`);
      expect(answer).to.equal(OPENED);
      socket.destroy();
    });
  });

  describe('the listener', () => {
    it('rejects with what it could not do, and can try again', async () => {
      await start();
      const taken = portOf(echo.server);
      const second = createRedirector({ apiHost: 'api.anthropic.com', deliver: () => false, log: silentLog });
      const failure = await second.listen('127.0.0.1', taken).catch((error: unknown) => error);
      expect(failure).to.be.instanceOf(ListenError).and.to.include({ reason: 'EADDRINUSE' });
      expect((await second.listen('127.0.0.1', 0)).port).to.be.above(0);
      await second.close();
      await second.close();
    });

    it('waits for open tunnels when it closes', async () => {
      await start({ timeouts: { drainMs: 5000, connectMs: 1000, headersMs: 1000 } });
      const { socket } = await openTunnel(port, `127.0.0.1:${echo.port}`);
      const closed = redirector.close();
      socket.end('still here');
      expect((await drain(socket)).toString()).to.equal('still here');
      await closed;
      const refused = await dial(port).catch((error: unknown) => error);
      expect(refused).to.include({ code: 'ECONNREFUSED' });
    });

    it('destroys what is open after that, at once what is idle, and leaves nothing', async () => {
      const before = openSockets();
      await start();
      const idle = await dial(port);
      const { socket } = await openTunnel(port, `127.0.0.1:${echo.port}`);
      const began = performance.now();
      const gone = [drain(idle), drain(socket)];
      await redirector.close();
      expect(performance.now() - began).to.be.within(45, 1000);
      await Promise.all(gone);
      idle.destroy();
      socket.destroy();
      expect(redirector.counts()).to.deep.equal({ delivered: 0, blind: 0 });
      await until(() => openSockets() === before);
    });

    it('a thousand tunnels later holds no socket and has warned of no listeners', async () => {
      const before = openSockets();
      const warnings: Error[] = [];
      const onWarning = (warning: Error): void => void warnings.push(warning);
      process.on('warning', onWarning);
      await start();
      for (let round = 0; round < 10; round += 1) {
        await Promise.all(
          Array.from({ length: 100 }, async (_, index) => {
            const { socket, answer } = await openTunnel(port, `127.0.0.1:${echo.port}`);
            expect(answer).to.equal(OPENED);
            if (index % 2 === 0) socket.resetAndDestroy();
            else socket.end(() => socket.resume());
            if (!socket.destroyed) await once(socket, 'close');
          }),
        );
      }
      await until(() => redirector.counts().blind === 0);
      await redirector.close();
      await until(() => openSockets() === before);
      process.off('warning', onWarning);
      expect(warnings).to.deep.equal([]);
    });
  });
});

function connectTo(target: string): string {
  return `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`;
}

/** The answer has this status, `text` in its body, a length that is right, and closes the connection. */
function expectRefusal(answer: string, status: number, text = ''): void {
  const [header = '', body] = answer.split('\r\n\r\n');
  expect(header).to.match(new RegExp(`^HTTP/1\\.1 ${status} [A-Z]`));
  expect(header).to.match(/\r\nconnection: close(\r\n|$)/i);
  expect(Number(/\r\ncontent-length: (\d+)/i.exec(header)?.[1])).to.equal(body?.length);
  expect(body).to.include(text);
}

/** TCP sockets and listeners of this process. */
function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name.startsWith('TCP')).length;
}

/** `client` as a transport for TLS that sends `connect` and the first TLS record in one packet and swallows the 200. */
function pipelined(client: Socket, connect: string): Duplex {
  let prefix = Buffer.from(connect);
  let swallow = OPENED.length;
  const transport = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _, done) {
      client.write(Buffer.concat([prefix, chunk]), done);
      prefix = Buffer.alloc(0);
    },
    final: (done) => client.end(done),
    destroy: (error, done) => {
      client.destroy();
      done(error);
    },
  });
  client.on('data', (chunk: Buffer) => {
    const skipped = Math.min(swallow, chunk.length);
    swallow -= skipped;
    if (skipped < chunk.length) transport.push(chunk.subarray(skipped));
  });
  client.on('end', () => transport.push(null));
  return transport;
}
