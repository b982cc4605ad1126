/** Makes the connections to the upstream, for forwarded requests and for undici alike: TCP, a proxy's tunnel, TLS. */
import { performance } from 'node:perf_hooks';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { ProxyError, UpstreamUnreachableError } from '../errors.ts';
import { CLIENT_TLS, tlsHint } from '../net/tls.ts';
import type { OutboundTarget } from './outbound-proxy.ts';
import { CONNECT_TIMEOUT_MS, DIRECT, errorName, serverName, type OutboundTunnels } from './outbound-tunnel.ts';

export interface ConnectorOptions {
  readonly url: URL;
  /** CA certificates to trust instead of the built-in ones and those of `NODE_EXTRA_CA_CERTS` (PEM). */
  readonly ca?: readonly string[] | undefined;
  /** Straight to the upstream where it is not given. */
  readonly tunnels?: OutboundTunnels | undefined;
  /** Default 30 s, for everything together. */
  readonly connectTimeoutMs?: number | undefined;
}

export class UpstreamConnector {
  readonly #options: ConnectorOptions;
  readonly #to: OutboundTarget;
  /** Connections in the making, and tunnels. */
  readonly #sockets = new Set<Socket>();
  #closed = false;
  /** The last session, which spares the next handshake its certificates. */
  #session: Buffer | undefined;

  constructor(options: ConnectorOptions) {
    const { hostname, port, protocol } = options.url;
    const secure = protocol === 'https:';
    this.#options = options;
    this.#to = {
      secure,
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? (secure ? 443 : 80) : Number(port),
    };
  }

  /**
   * A new connection, ready for a request. It has a listener for errors, which show as `close`.
   *
   * @throws UpstreamUnreachableError
   */
  async connect(): Promise<Socket> {
    const { connectTimeoutMs = CONNECT_TIMEOUT_MS, url, tunnels = DIRECT } = this.#options;
    const deadline = performance.now() + connectTimeoutMs;
    try {
      const below = tunnels.proxyFor(this.#to) === null ? undefined : await this.#tunnel(tunnels, connectTimeoutMs);
      const socket = this.#secure(below);
      // Node 20 crashes when the socket below TLS is destroyed before it; it goes down with the one above.
      if (below !== undefined) this.#sockets.delete(below);
      if (socket !== below) await this.#made(socket, deadline - performance.now());
      socket.setNoDelay(true);
      socket.setKeepAlive(true, 60_000);
      return socket;
    } catch (error) {
      if (error instanceof ProxyError) throw error;
      const name = error instanceof Error ? errorName(error) : 'unknown';
      const hint = tlsHint(name) ?? 'check the network and DBPROXY_UPSTREAM_URL';
      throw new UpstreamUnreachableError(`cannot reach ${url.origin} (${name}); ${hint}`, { cause: error });
    }
  }

  /** Gives up the connections in the making. */
  close(): void {
    this.#closed = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  async #tunnel(tunnels: OutboundTunnels, timeoutMs: number): Promise<Socket> {
    const { socket, ready } = tunnels.open(this.#to, { timeoutMs });
    this.#watch(socket);
    await ready;
    return socket;
  }

  /** TLS on top of a tunnel, or a connection of its own; the tunnel itself where the upstream is plain. */
  #secure(below: Socket | undefined): Socket {
    const { host, port, secure } = this.#to;
    if (!secure) return below ?? connectTcp({ host, port });
    const { ca } = this.#options;
    const socket: TLSSocket = connectTls({
      // With a tunnel, `host` is still the name that the certificate has to be for.
      host,
      port,
      ...(below === undefined ? {} : { socket: below }),
      servername: serverName(host),
      ...CLIENT_TLS,
      ALPNProtocols: ['http/1.1'],
      ...(ca === undefined ? {} : { ca: [...ca] }),
      ...(this.#session === undefined ? {} : { session: this.#session }),
    });
    return socket.on('session', (session) => {
      this.#session = session;
    });
  }

  /** Waits for a connection to be made. */
  #made(socket: Socket, timeoutMs: number): Promise<void> {
    this.#watch(socket);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        socket.destroy(Object.assign(new Error('the connection timed out'), { code: 'ETIMEDOUT' }));
      }, timeoutMs);
      const onClose = (): void => reject(Object.assign(new Error('closed'), { code: 'ECONNABORTED' }));
      const settle = (): void => {
        clearTimeout(timer);
        socket.off('close', onClose).off('error', reject);
      };
      socket.once('error', reject).once('close', onClose).once('close', settle);
      socket.once(this.#to.secure ? 'secureConnect' : 'connect', () => {
        settle();
        this.#sockets.delete(socket);
        resolve();
      });
    });
  }

  #watch(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    // An error shows as `close`; without a listener it would end the process.
    socket.on('error', () => undefined);
    if (this.#closed) socket.destroy();
  }
}
