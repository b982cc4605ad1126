/**
 * The CONNECT proxy that Claude Code's `HTTPS_PROXY` names. It decides where a tunnel leads.
 *
 *   CONNECT api.anthropic.com:443 ──▶ deliver()   our own HTTPS forwarder, in this process
 *   the same, forwarder down      ──▶ tunnel.ts   the real API, as without this proxy
 *   the same, too many open       ──▶ tunnel.ts   the real API (open-connections.ts)
 *   CONNECT anything else         ──▶ tunnel.ts   blind, to the real destination
 *   CONNECT to a denied target    ──▶ a refusal   tunnel-policy.ts
 *   any other request             ──▶ a refusal   statuses.ts, connect-responses.ts
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { Socket, type AddressInfo } from 'node:net';
import { codeOf, messageOf, UpstreamUnreachableError } from '../errors.ts';
import type { HostAndPort } from '../net/addresses.ts';
import { createListener } from '../net/listener.ts';
import { type Log } from '../log.ts';
import type { OpenConnections } from '../net/open-connections.ts';
import { accept, refuse, refuseMethod } from './connect-responses.ts';
import { parseAuthority } from './authority.ts';
import { denialOf, refusalOfDenial, type TunnelDenial, type OwnListener } from './tunnel-policy.ts';
import { refusalOf, refusalOfRequest, type Refusal } from './statuses.ts';
import {
  connectDirectly,
  connected,
  resetConnection,
  FORBIDDEN,
  join,
  prepare,
  type AllowAddress,
  type PendingConnection,
} from '../net/tunnel.ts';

export interface RedirectorOptions {
  /** The API's name, whose tunnels on port 443 are delivered: `api.anthropic.com`. */
  readonly apiHost: string;
  /**
   * Delivers an accepted tunnel for the API to the forwarder, which then owns the socket and its errors. `head` is what
   * the client has already sent through the tunnel. Returns false, with the socket untouched, when the forwarder is down.
   */
  readonly deliver: (socket: Socket, head: Buffer) => boolean;
  /** True for the proxy's own listeners: a tunnel to them would be a loop. Checked for names and resolved addresses. */
  readonly isOwn?: OwnListener;
  /**
   * Opens the connection of a blind tunnel, with `allowHalfOpen` and to allowed addresses only. Default: directly. A
   * {@link PendingConnection} has its own time limit; for a plain socket `connectMs` applies.
   */
  readonly connect?: (host: string, port: number, allows: AllowAddress) => Socket | PendingConnection;
  /** Counts client connections. Above its limit tunnels for the API are blind too. */
  readonly openConnections?: OpenConnections;
  readonly log: Log;
  readonly timeouts?: Partial<RedirectorTimeouts>;
}

/** All in milliseconds. */
export interface RedirectorTimeouts {
  /** Limit for connecting to a destination. Default 30 s. */
  readonly connectMs: number;
  /** Limit for a client's request head. Default 30 s. */
  readonly headersMs: number;
  /** How long open tunnels may continue after `close`. Default 5 s. */
  readonly drainMs: number;
}

export interface Redirector {
  /** Rejects with `ListenError`. Port 0 picks a free port. */
  listen(host: string, port: number): Promise<AddressInfo>;
  /** Stops listening, lets open tunnels end within `drainMs`, then destroys them. Resolves when no socket is left. */
  close(): Promise<void>;
  /** Registers a listener for failures of the listening socket. Returns a function that removes it. */
  onFailure(onFailed: (error: Error) => void): () => void;
  /** Number of open tunnels by destination; those still connecting count as blind. */
  counts(): { readonly delivered: number; readonly blind: number };
}

const DEFAULTS: RedirectorTimeouts = { connectMs: 30_000, headersMs: 30_000, drainMs: 5000 };

/** Longest interval at which Node checks for slow request heads. */
const CHECK_EVERY_MS = 5000;

export function createRedirector(options: RedirectorOptions): Redirector {
  const timeouts = { ...DEFAULTS, ...options.timeouts };
  const { log, deliver, connect = connectDirectly, isOwn = () => false, openConnections } = options;
  const sockets = new Set<Socket>();
  const delivered = new Set<Socket>();
  const blind = new Set<Socket>();
  const destinations = new Set<Socket>();

  const server = createServer(
    {
      headersTimeout: timeouts.headersMs,
      requestTimeout: timeouts.headersMs,
      connectionsCheckingInterval: Math.min(CHECK_EVERY_MS, timeouts.headersMs),
      requireHostHeader: false, // such a client gets the explained 405 instead of Node's 400
      noDelay: true,
    },
    refuseMethod,
  );
  server.on('connection', (socket) => {
    track(sockets, socket);
    openConnections?.track(socket);
  });
  server.on('connect', (request, socket: unknown, head) => {
    if (!(socket instanceof Socket)) return;
    // Node has removed its own listeners: an error without a listener would end the process.
    socket.on('error', (error) => log.debug('tunnel.client_failed', { code: codeOf(error) }));
    route(request, socket, head).catch((error: unknown) => {
      log.warn('tunnel.failed', {
        code: codeOf(error),
        reason: messageOf(error),
      });
      socket.destroy();
    });
  });
  const listener = createListener(server, 'DBPROXY_PROXY_PORT');
  listener.onFailure((error) => log.error('redirector.failed', { code: codeOf(error), reason: error.message }));
  server.on('clientError', (error, socket) => {
    const { status, text } = refusalOfRequest(error);
    log.debug('tunnel.request_refused', { status, code: codeOf(error) });
    if (socket instanceof Socket && codeOf(error) !== 'ECONNRESET') refuse(socket, { status, text });
    else socket.destroy();
  });

  async function route(request: IncomingMessage, client: Socket, head: Buffer): Promise<void> {
    const authority = parseAuthority(request.url ?? '');
    if (authority === undefined) {
      reject(client, { status: 400, text: 'CONNECT needs host:port' });
      return;
    }
    const reason = denialOf({ ...authority, client: client.remoteAddress }, isOwn);
    if (reason !== null) {
      forbid(client, reason, authority);
      return;
    }
    const isApi = authority.host === options.apiHost.toLowerCase() && authority.port === 443;
    if (isApi) {
      prepare(client);
      accept(client);
      if (openConnections?.overLimit === true)
        log.debug('tunnel.bypassed', { host: authority.host, reason: 'too many connections' });
      else if (deliver(client, head)) {
        track(delivered, client);
        return;
      } else log.warn('tunnel.bypassed', { host: authority.host, reason: 'the forwarder is not up' });
    }
    track(blind, client);
    await tunnel(authority, client, head, isApi);
  }

  async function tunnel(authority: HostAndPort, client: Socket, head: Buffer, isAccepted: boolean): Promise<void> {
    const { host, port } = authority;
    const from = client.remoteAddress;
    let reason = null as TunnelDenial | null;
    const opening = connect(host, port, (address) => {
      reason = denialOf({ host: address, port, client: from }, isOwn);
      return reason === null;
    });
    const destination = opening instanceof Socket ? opening : opening.socket;
    track(destinations, destination);
    const abandon = (): void => void destination.destroy();
    // An accepted client expects TLS, so an HTTP error would mean nothing to it.
    const fail = (refusal: Refusal, code?: string): void => {
      destination.destroy();
      if (isAccepted) resetConnection(client);
      else reject(client, refusal, authority, code);
    };
    client.once('close', abandon);
    try {
      await (opening instanceof Socket ? connected(opening, timeouts.connectMs) : opening.ready);
    } catch (error) {
      if (error instanceof UpstreamUnreachableError) {
        log.warn('tunnel.failed', { host, port, code: error.code, reason: error.message });
        fail({ status: 502, text: `claude-db-proxy: ${error.message}` }, error.code);
      } else if (codeOf(error) === FORBIDDEN) fail(logDenial(reason ?? 'private', authority), FORBIDDEN);
      else fail(refusalOf(error), codeOf(error));
      return;
    } finally {
      client.off('close', abandon);
    }
    // The policy also applies to the address actually reached, before any byte of the client is sent.
    const reached = opening instanceof Socket || !opening.throughProxy ? destination : undefined;
    if (reached?.remoteAddress !== undefined) {
      const onThisMachine = reached.remoteAddress === reached.localAddress;
      reason = denialOf({ host: reached.remoteAddress, port, client: from, onThisMachine }, isOwn);
      if (reason !== null) {
        fail(logDenial(reason, authority), FORBIDDEN);
        return;
      }
    }
    if (!isAccepted) accept(client);
    log.debug('tunnel.opened', { host, port });
    client.once('close', () => log.debug('tunnel.closed', { host, port }));
    join(client, destination, head);
  }

  function forbid(client: Socket, reason: TunnelDenial, to: HostAndPort): void {
    reject(client, logDenial(reason, to), to, FORBIDDEN);
  }

  /** Logs a denial, which may be an attack, and returns the refusal. */
  function logDenial(reason: TunnelDenial, to: HostAndPort): Refusal {
    log.warn('tunnel.forbidden', { host: to.host, port: to.port, reason });
    return refusalOfDenial(reason, to);
  }

  function reject(client: Socket, refusal: Refusal, to?: HostAndPort, code?: string): void {
    log.debug('tunnel.refused', { status: refusal.status, host: to?.host, port: to?.port, code });
    refuse(client, refusal);
  }

  return {
    listen: (host, port) => listener.listen(host, port),
    async close() {
      const closed = server.listening ? once(server, 'close') : undefined;
      listener.stop();
      for (const socket of sockets) if (!delivered.has(socket) && !blind.has(socket)) socket.destroySoon();
      const deadline = setTimeout(() => {
        log.info('redirector.drained', { destroyed: sockets.size });
        for (const socket of [...sockets, ...destinations]) socket.destroy();
      }, timeouts.drainMs);
      await closed;
      await Promise.all([...sockets, ...destinations].map(untilClosed));
      clearTimeout(deadline);
    },
    onFailure: (onFailed) => listener.onFailure(onFailed),
    counts: () => ({ delivered: delivered.size, blind: blind.size }),
  };
}

/** Keeps `socket` in `set` until it closes. */
function track(set: Set<Socket>, socket: Socket): void {
  if (socket.destroyed) return;
  set.add(socket);
  socket.once('close', () => set.delete(socket));
}

function untilClosed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}
