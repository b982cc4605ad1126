/**
 * Connections to the upstream for forwarded requests: TLS or plain, kept alive, one request at a time on each.
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { UpstreamUnreachableError } from '../errors.ts';

export interface ConnectionsOptions {
  readonly url: URL;
  /** CA certificates to trust beside the built-in ones (PEM), or undefined for the built-in ones only. */
  readonly ca?: readonly string[] | undefined;
  readonly connectTimeoutMs?: number;
}

/** A connection that carries one request. */
export interface Lease {
  readonly socket: Socket;
  /** True when it has carried another request before: it may turn out to be closed. */
  readonly reused: boolean;
  /** Gives it back, to carry the next request. Whoever leased it has taken its own listeners off. */
  release(): void;
}

/** An unused connection is closed after this long: before the other side is likely to. */
const IDLE_MS = 90_000;
const CONNECT_TIMEOUT_MS = 30_000;

const codeOf = (error: Error): string => ('code' in error && typeof error.code === 'string' ? error.code : error.name);

export class UpstreamConnections {
  readonly #options: ConnectionsOptions;
  /** The most recently used last. */
  #idle: Socket[] = [];
  readonly #all = new Set<Socket>();
  #session: Buffer | undefined;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  /** Open connections, for tests of leaks. */
  get size(): number {
    return this.#all.size;
  }

  /**
   * A connection of one's own until it is released.
   *
   * @param fresh true for a new one, after an idle one turned out to be closed
   * @throws UpstreamUnreachableError
   */
  async lease(fresh = false): Promise<Lease> {
    for (;;) {
      const socket = fresh ? undefined : this.#idle.pop();
      if (socket === undefined) return this.#lease(await this.#connect(), false);
      socket.removeAllListeners('timeout').setTimeout(0);
      if (!socket.destroyed && socket.writable && !socket.readableEnded) return this.#lease(socket, true);
      socket.destroy();
    }
  }

  /** Closes every connection. */
  close(): void {
    for (const socket of this.#all) socket.destroy();
  }

  #lease(socket: Socket, reused: boolean): Lease {
    return {
      socket,
      reused,
      release: () => {
        if (socket.destroyed || !socket.writable || socket.writableLength > 0) {
          socket.destroy();
          return;
        }
        socket.setTimeout(IDLE_MS, () => socket.destroy());
        // Nobody asked: whatever comes now, or the end, makes the connection useless.
        socket.resume();
        this.#idle.push(socket);
      },
    };
  }

  #connect(): Promise<Socket> {
    const { ca, connectTimeoutMs = CONNECT_TIMEOUT_MS, url } = this.#options;
    const secure = url.protocol === 'https:';
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
    return new Promise((resolve, reject) => {
      const socket = secure
        ? connectTls({
            host,
            port,
            servername: /^[\d.:]+$/.test(host) ? '' : host,
            minVersion: 'TLSv1.2',
            ALPNProtocols: ['http/1.1'],
            ...(ca === undefined ? {} : { ca: [...ca] }),
            ...(this.#session === undefined ? {} : { session: this.#session }),
          }).on('session', (session) => {
            this.#session = session;
          })
        : connectTcp({ host, port });
      this.#all.add(socket);
      const timer = setTimeout(() => socket.destroy(new Error('the connection timed out')), connectTimeoutMs);
      const fail = (error: Error): void => {
        clearTimeout(timer);
        const hint = 'check the network and DBPROXY_UPSTREAM_URL';
        reject(
          new UpstreamUnreachableError(`cannot reach ${url.origin} (${codeOf(error)}); ${hint}`, { cause: error }),
        );
      };
      socket.once('error', fail);
      socket.once('close', () => {
        clearTimeout(timer);
        this.#all.delete(socket);
        this.#idle = this.#idle.filter((idle) => idle !== socket);
      });
      socket.once(secure ? 'secureConnect' : 'connect', () => {
        clearTimeout(timer);
        socket.off('error', fail);
        // From now on an error shows as `close`; without a listener it would end the process.
        socket.on('error', () => undefined);
        socket.setNoDelay(true);
        socket.setKeepAlive(true, 60_000);
        resolve(socket);
      });
    });
  }
}
