import { once } from 'node:events';
import { createServer as createHttps, type Server } from 'node:https';
import type { Socket } from 'node:net';
import { connect, type ConnectionOptions, type SecureVersion } from 'node:tls';
import { expect } from 'chai';
import { UpstreamUnreachableError } from '../../../src/errors.ts';
import { UpstreamConnections } from '../../../src/upstream/connections.ts';
import { parseOutboundProxy } from '../../../src/upstream/outbound-proxy.ts';
import { openHttpClient } from '../../../src/upstream/http-client.ts';
import { OutboundTunnels } from '../../../src/upstream/outbound-tunnel.ts';
import { tlsHint } from '../../../src/net/tls.ts';
import { quickRig } from '../forwarder/quick-rig.ts';
import { portOf } from '../redirector/sockets.ts';
import { startConnectProxy, type ConnectProxy } from '../upstream/connect-proxy.ts';
import { HOST, makeSelfSigned, selfSigned, type KeyAndCert } from '../upstream/self-signed.ts';

/** OpenSSL speaks old versions at this level only. */
const OLD = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;

async function serveTls(options: object): Promise<Server> {
  const server = createHttps(options, (_request, response) => response.end('ok'));
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** The version that was agreed on, or the error's code. */
async function handshake(options: ConnectionOptions): Promise<string> {
  const socket = connect({ host: '127.0.0.1', ...options });
  try {
    await once(socket, 'secureConnect');
    return socket.getProtocol() ?? 'none';
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  } finally {
    socket.destroy();
  }
}

describe('TLS with clients', () => {
  it('is 1.2 or 1.3, by every name, and nothing older', async () => {
    const rig = await quickRig();
    for (const servername of ['api.anthropic.com', 'localhost', '']) {
      const at = { port: rig.proxy.ports.dashboard, ca: rig.ca, ...(servername === '' ? {} : { servername }) };
      for (const version of ['TLSv1.2', 'TLSv1.3'] satisfies SecureVersion[])
        expect(await handshake({ ...at, minVersion: version, maxVersion: version })).to.equal(version);
      expect(await handshake({ ...at, ...OLD }), servername).to.match(/PROTOCOL_VERSION/);
    }
    await rig.close();
  });
});

describe('TLS on the way out', () => {
  const servers: Server[] = [];
  let corporate: ConnectProxy;
  let good: KeyAndCert;
  /** By what is wrong with it: how the server is set up, what is trusted, what the error says. */
  let upstreams: readonly (readonly [fault: string | null, tls: object, ca: string[], says: RegExp])[];

  before(async () => {
    good = await selfSigned();
    const [wrong, expired, stranger] = await Promise.all([
      makeSelfSigned({ names: ['other.example'] }),
      makeSelfSigned({ until: -1 }),
      makeSelfSigned(),
    ]);
    upstreams = [
      [null, good, [good.cert], /^$/],
      ['speaks TLS 1.1 only', { ...good, ...OLD }, [good.cert], /PROTOCOL.*; it does not speak TLS 1\.2/],
      ['is signed by itself', stranger, [good.cert], /SELF_SIGNED_CERT.*; check NODE_EXTRA_CA_CERTS/],
      ['has another name', wrong, [wrong.cert], /ALTNAME_INVALID.*; its certificate is for another name/],
      ['has expired', expired, [expired.cert], /CERT_HAS_EXPIRED.*; its certificate is not valid today/],
    ];
    corporate = await startConnectProxy();
  });
  after(() => corporate.close());
  afterEach(async () => {
    delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    for (const server of servers.splice(0)) {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    }
  });

  /** What a way out ends in: '' when it got through, else the message of our error. */
  async function outcome(attempt: Promise<unknown>): Promise<string> {
    try {
      await attempt;
      return '';
    } catch (error) {
      expect(error).to.be.instanceOf(UpstreamUnreachableError);
      return (error as Error).message;
    }
  }

  const ways: readonly (readonly [name: string, attempt: (port: number, ca: string[]) => Promise<unknown>])[] = [
    [
      'a forwarded request',
      (port, ca) => leased(port, ca, new OutboundTunnels({ proxy: parseOutboundProxy({}) }), 'localhost'),
    ],
    [
      'a forwarded request through a proxy',
      (port, ca) => {
        const proxy = parseOutboundProxy({ HTTPS_PROXY: `http://127.0.0.1:${corporate.port}` });
        return leased(port, ca, new OutboundTunnels({ proxy }), HOST);
      },
    ],
    ['a checkpoint call', called],
    [
      'a tunnel to a proxy over TLS',
      (port, ca) => {
        const proxy = parseOutboundProxy({ HTTPS_PROXY: `https://localhost:${port}` });
        const { socket, ready } = new OutboundTunnels({ proxy, ca }).open({
          host: 'x.example',
          port: 443,
          secure: true,
        });
        return ready.finally(() => socket.destroy());
      },
    ],
  ];

  async function leased(port: number, ca: string[], tunnels: OutboundTunnels, host: string): Promise<void> {
    const connections = new UpstreamConnections({ url: new URL(`https://${host}:${port}`), ca, tunnels });
    try {
      await connections.lease();
    } finally {
      connections.close();
    }
  }

  async function called(port: number, ca: string[]): Promise<void> {
    const upstream = openHttpClient({ url: new URL(`https://localhost:${port}`), ca });
    try {
      await new Promise<void>((resolve, reject) => {
        const request = { method: 'GET', path: '/', headers: [], body: null };
        upstream.send(request, {
          onHead: () => undefined,
          onData: () => true,
          onEnd: () => resolve(),
          onError: reject,
        });
      });
    } finally {
      await upstream.close();
    }
  }

  for (const [name, attempt] of ways) {
    for (const unsafe of [undefined, '0']) {
      it(`verifies the other side: ${name}${unsafe === undefined ? '' : ', NODE_TLS_REJECT_UNAUTHORIZED=0'}`, async () => {
        if (unsafe !== undefined) process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = unsafe;
        for (const [fault, tls, ca, says] of upstreams) {
          const server = await serveTls(tls);
          server.on('connect', (_request, socket: Socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n'));
          servers.push(server);
          expect(await outcome(attempt(portOf(server), ca)), fault ?? 'good').to.match(says);
        }
      });
    }
  }

  it('would meet an old server, if it would speak with it', async () => {
    const server = await serveTls({ ...good, ...OLD });
    servers.push(server);
    const at = { port: portOf(server), ca: good.cert, servername: 'localhost' };
    expect(await handshake({ ...at, ...OLD })).to.equal('TLSv1.1');
  });

  it('blames TLS for what is TLS alone', () => {
    for (const code of ['ECONNREFUSED', 'ETIMEDOUT', 'ENOTFOUND', 'EPROTO']) expect(tlsHint(code)).to.equal(undefined);
    expect(tlsHint('UNABLE_TO_GET_ISSUER_CERT_LOCALLY')).to.equal('check NODE_EXTRA_CA_CERTS');
  });
});
