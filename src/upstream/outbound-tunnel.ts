/**
 * A connection to anywhere outside: straight to it, or through the proxy that the user's network wants.
 *
 *   here ───────────────────────────────────▶ destination
 *   here ──TCP or TLS──▶ proxy ──CONNECT────▶ destination     RFC 9110, 9.3.6
 *
 * One implementation for forwarded requests, checkpoint calls (connector.ts) and blind tunnels (redirector/).
 */
import { STATUS_CODES } from 'node:http';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { UpstreamUnreachableError } from '../errors.ts';
import { endOfHead } from '../http1/head.ts';
import type { Log } from '../log.ts';
import type { HostAndPort } from '../net/addresses.ts';
import { allowedLookup, connected, type AllowAddress, type PendingConnection } from '../net/tunnel.ts';
import { CLIENT_TLS, tlsHint } from '../net/tls.ts';
import {
  NO_OUTBOUND_PROXY,
  proxyFor,
  type OutboundTarget,
  type OutboundProxy,
  type ProxyEndpoint,
} from './outbound-proxy.ts';

export interface OutboundTunnelsOptions {
  readonly proxy: OutboundProxy;
  /** True for our own listeners: a proxy variable that points there would be a loop, and is ignored. */
  readonly isOwn?: (host: string, port: number) => boolean;
  /** CA certificates to trust for a proxy over TLS instead of the built-in ones (PEM). */
  readonly ca?: readonly string[] | undefined;
}

export interface OpenOptions {
  readonly allowHalfOpen?: boolean;
  /** Which addresses may be connected to; asked for those of the destination only, not for a proxy's. Default: all. */
  readonly allows?: AllowAddress;
  /** Time for the connection to be made, a proxy's answer included. Default 30 s. */
  readonly timeoutMs?: number;
}

/** Time for a connection to be made, whatever is on the way. */
export const CONNECT_TIMEOUT_MS = 30_000;
/** Longest head of a proxy's answer that is read. */
const MAX_ANSWER_BYTES = 16 * 1024;
const PROTOCOL = 'HTTP/1.';

/** Name of a socket's error: its `code` where it has one. */
export const errorName = (error: Error): string =>
  'code' in error && typeof error.code === 'string' ? error.code : error.name;

/** Name for SNI: addresses have none (RFC 6066, 3). */
export const serverName = (host: string): string => (isIP(host) === 0 ? host : '');

export class OutboundTunnels {
  readonly #options: OutboundTunnelsOptions;

  constructor(options: OutboundTunnelsOptions) {
    this.#options = options;
  }

  /** The proxy on the way to `to`; null for none. */
  proxyFor(to: OutboundTarget): ProxyEndpoint | null {
    const proxy = proxyFor(this.#options.proxy, to);
    return proxy === null || this.#isOwn(proxy) ? null : proxy;
  }

  /**
   * Opens a connection. It is the caller's from the start: destroying it gives up.
   * `ready` rejects with the socket's error, with one whose `code` is ETIMEDOUT, or, where a proxy is to blame, with an
   * `UpstreamUnreachableError` that says so; the socket is destroyed then.
   *
   * @param options `allowHalfOpen`: the end of one direction does not end the other
   */
  open(to: OutboundTarget, options: OpenOptions = {}): PendingConnection {
    const { allowHalfOpen = false, allows, timeoutMs = CONNECT_TIMEOUT_MS } = options;
    const { ca } = this.#options;
    const proxy = this.proxyFor(to);
    const { host, port } = proxy ?? to;
    const address = { host, port, autoSelectFamily: true, allowHalfOpen };
    if (proxy === null) {
      const socket = connectTcp(allows === undefined ? address : { ...address, lookup: allowedLookup(allows) });
      return { socket, ready: connected(socket, timeoutMs), throughProxy: false };
    }
    const socket = proxy.secure
      ? connectTls({
          ...address,
          servername: serverName(host),
          ...CLIENT_TLS,
          ALPNProtocols: ['http/1.1'],
          ...(ca === undefined ? {} : { ca: [...ca] }),
        })
      : connectTcp(address);
    return { socket, ready: this.#tunnel(socket, proxy, to, timeoutMs), throughProxy: true };
  }

  /** Opens a connection for a blind tunnel, to allowed addresses only; one direction may end before the other. */
  openBlind(to: HostAndPort, allows: AllowAddress): PendingConnection {
    return this.open({ ...to, secure: true }, { allowHalfOpen: true, allows });
  }

  /** Says once which proxies are used, and which are not because they are this very process. */
  announce(log: Log): void {
    const { https, http } = this.#options.proxy;
    for (const proxy of [https, http]) {
      if (proxy === null) continue;
      const { variable, origin } = proxy;
      if (!this.#isOwn(proxy)) log.info('outbound.proxy_used', { variable, proxy: origin });
      else log.warn('outbound.proxy_ignored', { variable, proxy: origin, reason: 'it is claude-db-proxy itself' });
    }
  }

  #isOwn({ host, port }: ProxyEndpoint): boolean {
    return this.#options.isOwn?.(host, port) === true;
  }

  /** True when a connection has led back to this process, by whatever name. */
  #isLoop({ localAddress, remoteAddress, remotePort }: Socket): boolean {
    const { isOwn } = this.#options;
    if (isOwn === undefined || remoteAddress === undefined || remotePort === undefined) return false;
    return isOwn(remoteAddress, remotePort) || (remoteAddress === localAddress && isOwn('127.0.0.1', remotePort));
  }

  /** Asks a proxy for a tunnel on `socket`, which is connecting to it, and waits for its consent. */
  #tunnel(socket: Socket, proxy: ProxyEndpoint, to: OutboundTarget, timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let answer: Buffer = Buffer.alloc(0);
      const settle = (): void => {
        clearTimeout(timer);
        socket.off(connects, onConnect).off('data', onData).off('error', onError).off('end', onEnd).off('close', onEnd);
      };
      const fail = (message: string, cause?: Error): void => {
        settle();
        socket.destroy();
        const blamed = cause === undefined ? undefined : tlsHint(errorName(cause));
        const hint = `${blamed === undefined ? '' : `${blamed}, or `}check ${proxy.variable}`;
        reject(new UpstreamUnreachableError(`${message}; ${hint}`, cause === undefined ? {} : { cause }));
      };
      const name = `the proxy ${proxy.origin}`;
      const timer = setTimeout(() => fail(`${name} did not answer in time`), timeoutMs);
      const onConnect = (): void => {
        if (this.#isLoop(socket)) fail(`${name} is claude-db-proxy itself`);
        else socket.write(connectRequest(proxy, to));
      };
      const onData = (chunk: Buffer): void => {
        answer = Buffer.concat([answer, chunk]);
        const read = readAnswer(answer);
        if (read === 'more') return;
        if (read === 'garbage') fail(`${name} answered with something that is not HTTP`);
        else if (read.status > 299) fail(`${name} refused the tunnel (${statusText(read.status)})`);
        else {
          settle();
          socket.pause();
          if (read.rest.length > 0) socket.unshift(read.rest);
          resolve();
        }
      };
      const onError = (error: Error): void => fail(`cannot reach ${name} (${errorName(error)})`, error);
      const onEnd = (): void => fail(`${name} closed the connection before it opened the tunnel`);
      const connects = proxy.secure ? 'secureConnect' : 'connect';
      socket.on('error', () => undefined); // for as long as it lives: an error may come at any time
      socket.once(connects, onConnect).once('error', onError).once('end', onEnd).once('close', onEnd);
      socket.on('data', onData);
    });
  }
}

/** Straight to everything. */
export const DIRECT = new OutboundTunnels({ proxy: NO_OUTBOUND_PROXY });

function connectRequest({ authorization }: ProxyEndpoint, { host, port }: OutboundTarget): Buffer {
  const authority = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
  const credentials = authorization === null ? '' : `Proxy-Authorization: ${authorization}\r\n`;
  return Buffer.from(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${credentials}\r\n`, 'latin1');
}

/** The number and its usual name: a proxy's own words might repeat what it was sent. */
const statusText = (status: number): string => `${status} ${STATUS_CODES[status] ?? ''}`.trimEnd();

type Answer = 'more' | 'garbage' | { readonly status: number; readonly rest: Buffer };

/** A proxy's answer to CONNECT. Only its status counts; a 2xx has no body, whatever its header says. */
function readAnswer(bytes: Buffer): Answer {
  const start = bytes.toString('latin1', 0, PROTOCOL.length);
  if (start !== PROTOCOL.slice(0, start.length)) return 'garbage';
  const end = endOfHead(bytes);
  if (end < 0) return bytes.length > MAX_ANSWER_BYTES ? 'garbage' : 'more';
  const [, digits] = /^HTTP\/1\.[01] ([1-9]\d\d)[ \r]/.exec(bytes.toString('latin1', 0, end)) ?? [];
  if (digits === undefined) return 'garbage';
  const rest = bytes.subarray(end);
  const status = Number(digits);
  if (status >= 200) return { status, rest };
  return rest.length === 0 ? 'more' : readAnswer(rest);
}
