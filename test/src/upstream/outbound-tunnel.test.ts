import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { UpstreamUnreachableError } from '../../../src/errors.ts';
import { silentLog } from '../../../src/log.ts';
import { createRedirector } from '../../../src/redirector/redirector.ts';
import { startSimulatedApi, type SimulatedApi } from '../../../src/simulated-api/index.ts';
import { UpstreamConnector } from '../../../src/upstream/connector.ts';
import { parseOutboundProxy } from '../../../src/upstream/outbound-proxy.ts';
import { openHttpClient } from '../../../src/upstream/http-client.ts';
import {
  OutboundTunnels,
  type OpenOptions,
  type OutboundTunnelsOptions,
} from '../../../src/upstream/outbound-tunnel.ts';
import { drain, portOf, startTcp, until } from '../redirector/sockets.ts';
import { startConnectProxy, type ConnectProxy } from './connect-proxy.ts';
import { HOST, selfSigned, type KeyAndCert } from './self-signed.ts';

/** Stands in every password here, and must stand nowhere else. */
const CANARY = 'canary-91f0';
const CREDENTIALS = `us@er:${CANARY}`;
const USER = `us%40er:${CANARY}@`;
const BASE64 = Buffer.from(CREDENTIALS).toString('base64');

/** What an error shows to anybody: message, causes, stack, properties. */
function shown(error: Error): string {
  const text = inspect(error, { depth: 9, showHidden: true });
  expect(text).not.to.include(CANARY).and.not.to.include(BASE64);
  return error.message;
}

async function failureOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof UpstreamUnreachableError)) throw error;
    return shown(error);
  }
  throw new Error('it did not fail');
}

describe('the way out', () => {
  let identity: KeyAndCert;
  let proxy: ConnectProxy;
  let secureProxy: ConnectProxy;
  let api: SimulatedApi;
  let plainApi: SimulatedApi;
  const opened = new Set<Socket>();
  const connectors = new Set<UpstreamConnector>();

  before(async () => {
    identity = await selfSigned();
    proxy = await startConnectProxy({ credentials: CREDENTIALS });
    secureProxy = await startConnectProxy({ credentials: CREDENTIALS, tls: identity });
    api = await startSimulatedApi({ tls: identity });
    plainApi = await startSimulatedApi();
  });
  afterEach(() => {
    proxy.answer = undefined;
    for (const connector of connectors) connector.close();
    for (const socket of opened) socket.destroy();
    connectors.clear();
    opened.clear();
  });
  after(() => Promise.all([proxy, secureProxy, api, plainApi].map((server) => server.close())));

  const proxied = (env: Record<string, string> = {}, more: Partial<OutboundTunnelsOptions> = {}): OutboundTunnels =>
    new OutboundTunnels({
      proxy: parseOutboundProxy({ HTTPS_PROXY: `http://${USER}127.0.0.1:${proxy.port}`, ...env }),
      ca: [identity.cert],
      ...more,
    });

  function connect(
    tunnels: OutboundTunnels,
    port: number,
    options: { timeoutMs?: number; host?: string } = {},
  ): Promise<Socket> {
    const url = new URL(`https://${options.host ?? HOST}:${port}`);
    const connectTimeoutMs = options.timeoutMs;
    const connector = new UpstreamConnector({ url, ca: [identity.cert], tunnels, connectTimeoutMs });
    connectors.add(connector);
    return connector.connect().then((socket) => {
      opened.add(socket);
      return socket;
    });
  }

  async function open(tunnels: OutboundTunnels, port: number, options?: OpenOptions, host = HOST): Promise<Socket> {
    const { socket, ready } = tunnels.open({ host, port, secure: true }, options);
    opened.add(socket);
    await ready;
    return socket;
  }

  /** Status of a model look-up on this connection. */
  async function lookUp(socket: Socket): Promise<string> {
    socket.write(
      'GET /v1/models HTTP/1.1\r\nHost: x\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\nConnection: close\r\n\r\n',
    );
    return (await drain(socket)).toString('latin1').slice(0, 12);
  }

  it('leads through a proxy that asks for a password', async () => {
    const socket = await connect(proxied(), api.port);
    expect(proxy.targets.at(-1)).to.equal(`${HOST}:${api.port}`);
    expect(await lookUp(socket)).to.equal('HTTP/1.1 200');
  });

  it('leads through a proxy that is spoken to over TLS', async () => {
    const tunnels = proxied({ HTTPS_PROXY: `https://${USER}localhost:${secureProxy.port}` });
    const socket = await connect(tunnels, api.port);
    expect(secureProxy.targets.at(-1)).to.equal(`${HOST}:${api.port}`);
    expect(await lookUp(socket)).to.equal('HTTP/1.1 200');
  });

  it('to an http upstream leads through the proxy for http', async () => {
    const tunnels = proxied({ HTTPS_PROXY: '', HTTP_PROXY: `http://${USER}127.0.0.1:${proxy.port}` });
    const connector = new UpstreamConnector({ url: new URL(`http://${HOST}:${plainApi.port}`), tunnels });
    connectors.add(connector);
    expect(await lookUp(await connector.connect())).to.equal('HTTP/1.1 200');
    expect(proxy.targets.at(-1)).to.equal(`${HOST}:${plainApi.port}`);
  });

  it('resumes TLS sessions behind a proxy too', async () => {
    const connector = new UpstreamConnector({
      url: new URL(`https://${HOST}:${api.port}`),
      ca: [identity.cert],
      tunnels: proxied(),
    });
    connectors.add(connector);
    const reused: unknown[] = [];
    for (let round = 0; round < 2; round += 1) {
      const socket = await connector.connect();
      await lookUp(socket);
      reused.push(socket instanceof TLSSocket && socket.isSessionReused());
    }
    expect(reused).to.deep.equal([false, true]);
  });

  it('of undici is the same', async () => {
    const upstream = openHttpClient({
      url: new URL(`https://${HOST}:${api.port}`),
      ca: [identity.cert],
      tunnels: proxied(),
    });
    const before = proxy.targets.length;
    const headers = ['x-api-key', 'k', 'anthropic-version', '2023-06-01'];
    const ask = (): Promise<number> =>
      new Promise((resolve, reject) => {
        let answered = 0;
        upstream.send(
          { method: 'GET', path: '/v1/models', headers, body: null },
          {
            onHead: (status) => (answered = status),
            onData: () => true,
            onEnd: () => resolve(answered),
            onError: reject,
          },
        );
      });
    expect(await ask()).to.equal(200);
    await new Promise(setImmediate); // undici takes the connection back after it has told of the end
    expect(await ask()).to.equal(200);
    expect(proxy.targets.length).to.equal(before + 1);
    await upstream.close();
    const refusing = openHttpClient({
      url: new URL(`https://${HOST}:${api.port}`),
      tunnels: proxied({ HTTPS_PROXY: `http://wrong:${CANARY}@127.0.0.1:${proxy.port}` }),
    });
    const message = await failureOf(
      new Promise((resolve, reject) => {
        refusing.send(
          { method: 'GET', path: '/v1/models', headers, body: null },
          { onHead: () => undefined, onData: () => true, onEnd: resolve, onError: reject },
        );
      }),
    );
    expect(message).to.match(/refused the tunnel \(407 /);
    await refusing.close();
  });

  it('goes around the proxy where NO_PROXY says so, and to loopback', async () => {
    const before = proxy.targets.length;
    const tunnels = proxied({ NO_PROXY: `.example.test` });
    expect(tunnels.proxyFor({ host: HOST, port: 443, secure: true })).to.equal(null);
    for (const way of [proxied(), tunnels]) {
      expect(await lookUp(await connect(way, api.port, { host: 'localhost' }))).to.equal('HTTP/1.1 200');
    }
    expect(proxy.targets.length).to.equal(before);
  });

  it('to an address asks the proxy for that address, in brackets where it has colons', async () => {
    for (const [host, target] of [
      ['192.0.2.1', `192.0.2.1:${plainApi.port}`],
      ['2001:db8::1', `[2001:db8::1]:${plainApi.port}`],
    ] as const) {
      await open(proxied(), plainApi.port, {}, host);
      expect(proxy.targets.at(-1)).to.equal(target);
    }
  });

  it('checks the certificate against the upstream and not against the proxy', async () => {
    const message = await failureOf(connect(proxied(), api.port, { host: 'other.example.test' }));
    expect(message).to.match(/^cannot reach https:\/\/other\.example\.test:\d+ \(ERR_TLS_CERT_ALTNAME_INVALID\)/);
  });

  it('says what to do about a certificate that nobody knows', async () => {
    const connector = new UpstreamConnector({ url: new URL(`https://localhost:${api.port}`) });
    expect(await failureOf(connector.connect())).to.match(
      /\(DEPTH_ZERO_SELF_SIGNED_CERT\); check NODE_EXTRA_CA_CERTS$/,
    );
  });

  describe('with a proxy that is no help', () => {
    const name = (): string => `the proxy http://127.0.0.1:${proxy.port}`;

    it('that refuses the password', async () => {
      const wrong = proxied({ HTTPS_PROXY: '', https_proxy: `http://us%40er:x${CANARY}@127.0.0.1:${proxy.port}` });
      const reason = '407 Proxy Authentication Required';
      expect(await failureOf(connect(wrong, api.port))).to.equal(
        `${name()} refused the tunnel (${reason}); check https_proxy`,
      );
    });

    for (const [answer, expected] of [
      ['HTTP/1.1 403 No\r\n\r\n', 'refused the tunnel (403 Forbidden)'],
      ['HTTP/1.0 502\r\n\r\n', 'refused the tunnel (502 Bad Gateway)'],
      ['HTTP/1.1 599 Odd\r\n\r\n', 'refused the tunnel (599)'],
      ['HTTP/1.1 302 Found\r\nLocation: http://login.test/\r\n\r\n', 'refused the tunnel (302 Found)'],
      ['SSH-2.0-OpenSSH_9.6\r\n', 'answered with something that is not HTTP'],
      ['HTTP/1.1 abc\r\n\r\n', 'answered with something that is not HTTP'],
      ['HTTP/2 200\r\n\r\n', 'answered with something that is not HTTP'],
      ['\0\0\0', 'answered with something that is not HTTP'],
      [`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(20_000)}`, 'answered with something that is not HTTP'],
    ] as const) {
      it(`that answers ${JSON.stringify(answer.slice(0, 30))}`, async () => {
        proxy.answer = (socket) => void socket.write(answer, 'latin1');
        expect(await failureOf(connect(proxied(), api.port))).to.equal(`${name()} ${expected}; check HTTPS_PROXY`);
        await until(() => proxy.connections === 0);
      });
    }

    it('that closes without an answer, or in the middle of one', async () => {
      for (const bytes of ['', 'HTTP/1.1 20']) {
        proxy.answer = (socket) => void socket.end(bytes);
        const message = await failureOf(connect(proxied(), api.port));
        expect(message).to.equal(`${name()} closed the connection before it opened the tunnel; check HTTPS_PROXY`);
      }
    });

    it('that resets', async () => {
      proxy.answer = (socket) => void socket.resetAndDestroy();
      expect(await failureOf(connect(proxied(), api.port))).to.equal(
        `cannot reach ${name()} (ECONNRESET); check HTTPS_PROXY`,
      );
    });

    it('that hangs', async () => {
      proxy.answer = () => undefined;
      const message = await failureOf(connect(proxied(), api.port, { timeoutMs: 60 }));
      expect(message).to.equal(`${name()} did not answer in time; check HTTPS_PROXY`);
      await until(() => proxy.connections === 0);
    });

    it('that hangs behind its consent', async () => {
      proxy.answer = (socket) => void socket.write('HTTP/1.1 200 OK\r\n\r\n');
      const message = await failureOf(connect(proxied(), api.port, { timeoutMs: 60 }));
      expect(message).to.match(/^cannot reach https:\/\/api\.example\.test:\d+ \(ETIMEDOUT\)/);
      await until(() => proxy.connections === 0);
    });

    it('that is not there', async () => {
      const gone = createServer().listen(0, '127.0.0.1');
      await once(gone, 'listening');
      const port = portOf(gone);
      gone.close();
      await once(gone, 'close');
      const tunnels = proxied({ HTTPS_PROXY: `http://${USER}127.0.0.1:${port}` });
      expect(await failureOf(connect(tunnels, api.port))).to.equal(
        `cannot reach the proxy http://127.0.0.1:${port} (ECONNREFUSED); check HTTPS_PROXY`,
      );
    });

    it('whose certificate nobody knows', async () => {
      const env = { HTTPS_PROXY: `https://${USER}127.0.0.1:${secureProxy.port}` };
      const message = await failureOf(connect(proxied(env, { ca: undefined }), api.port));
      expect(message).to.match(
        /^cannot reach the proxy https:.* \(DEPTH_ZERO_SELF_SIGNED_CERT\); check NODE_EXTRA_CA_CERTS, or check HTTPS_PROXY$/,
      );
    });

    it('that is this very process: ignored by its address, noticed under another name', async () => {
      const lines: string[] = [];
      const ours = (host: string, port: number): boolean => host === '127.0.0.1' && port === proxy.port;
      const direct = proxied({}, { isOwn: ours });
      expect(direct.proxyFor({ host: HOST, port: 443, secure: true })).to.equal(null);
      direct.announce({ ...silentLog, warn: (event, fields) => lines.push(event, JSON.stringify(fields)) });
      const at = JSON.stringify({
        variable: 'HTTPS_PROXY',
        proxy: `http://127.0.0.1:${proxy.port}`,
        reason: 'it is claude-db-proxy itself',
      });
      expect(lines).to.deep.equal(['outbound.proxy_ignored', at]);
      const aliased = proxied({ HTTPS_PROXY: `http://${USER}localhost:${proxy.port}` }, { isOwn: ours });
      expect(await failureOf(open(aliased, api.port))).to.match(/ is claude-db-proxy itself; check HTTPS_PROXY$/);
    });
  });

  it('takes what came right behind the consent, and skips interim answers', async () => {
    proxy.answer = (socket) => void socket.end('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nfirst words');
    const socket = await open(proxied(), 1);
    expect((await drain(socket)).toString()).to.equal('first words');
  });

  it('reads a consent that comes byte by byte', async () => {
    proxy.answer = (socket) => {
      socket.setNoDelay(true);
      void (async () => {
        for (const byte of 'HTTP/1.1 200 OK\r\nVia: x\r\n\r\nhi') {
          socket.write(byte);
          await new Promise(setImmediate);
        }
        socket.end();
      })();
    };
    expect((await drain(await open(proxied(), 1))).toString()).to.equal('hi');
  });

  it('is given up by whoever opened it', async () => {
    proxy.answer = () => undefined;
    const { socket, ready } = proxied().open({ host: HOST, port: 1, secure: true });
    const failed = failureOf(ready);
    await until(() => proxy.connections === 1);
    socket.destroy();
    expect(await failed).to.match(/closed the connection/);
    const connector = new UpstreamConnector({ url: new URL(`https://${HOST}`), tunnels: proxied() });
    const closed = failureOf(connector.connect());
    await until(() => proxy.connections === 1);
    connector.close();
    expect(await closed).to.be.a('string');
    expect(await failureOf(connector.connect())).to.be.a('string');
    await until(() => proxy.connections === 0);
  });

  for (const kind of ['http', 'https'] as const) {
    it(`keeps a half-closed tunnel through an ${kind} proxy alive`, async () => {
      const destination = await startTcp((socket) => {
        // Answers only once it has been told everything.
        void drain(socket).then((all) => socket.end(`heard ${all.length}`));
      });
      const at = kind === 'http' ? proxy : secureProxy;
      const tunnels = proxied({ HTTPS_PROXY: `${kind}://${USER}localhost:${at.port}` });
      const socket = await open(tunnels, portOf(destination.server), { allowHalfOpen: true });
      socket.end('everything');
      expect((await drain(socket)).toString()).to.equal('heard 10');
      destination.server.close();
    });
  }

  it('of a blind tunnel tells the client why there is none', async () => {
    const lines: string[] = [];
    const wrong = proxied({ HTTPS_PROXY: `http://wrong:${CANARY}@127.0.0.1:${proxy.port}` });
    const redirector = createRedirector({
      apiHost: 'api.anthropic.com',
      deliver: () => false,
      log: { ...silentLog, warn: (event, fields) => lines.push(event, JSON.stringify(fields)) },
      connect: (host, port) => wrong.open({ host, port, secure: true }, { allowHalfOpen: true }),
    });
    const { port } = await redirector.listen('127.0.0.1', 0);
    const socket = await open(new OutboundTunnels({ proxy: parseOutboundProxy({}) }), port, {}, '127.0.0.1');
    socket.write('CONNECT files.example.test:443 HTTP/1.1\r\n\r\n');
    const answer = (await drain(socket)).toString();
    const text = `the proxy http://127.0.0.1:${proxy.port} refused the tunnel (407 Proxy Authentication Required); check HTTPS_PROXY`;
    expect(answer).to.match(/^HTTP\/1\.1 502 /);
    expect(answer.endsWith(`claude-db-proxy: ${text}\n`)).to.equal(true);
    expect(lines.join(' ')).to.include(text).and.not.to.include(CANARY);
    await redirector.close();
  });
});
