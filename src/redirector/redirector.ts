/**
 * The CONNECT proxy: what Claude Code's `HTTPS_PROXY` points at. It decides which way a tunnel takes and nothing else.
 *
 *   CONNECT api.anthropic.com:443 ──▶ deliver()   our own HTTPS forwarder, in this process
 *   the same, forwarder down      ──▶ tunnel.ts   the real API: nobody may be worse off than without this proxy
 *   the same, too many open       ──▶ tunnel.ts   for the same reason (open-connections.ts)
 *   CONNECT anything else         ──▶ tunnel.ts   blind, to the real destination
 *   CONNECT to where none may     ──▶ a refusal   tunnel-policy.ts
 *   all else                      ──▶ a refusal   statuses.ts, answer.ts
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
import { forbidden, refusalOfForbidden, type TunnelDenial, type OwnListener } from './tunnel-policy.ts';
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
   * Hands a tunnel for the API over, its CONNECT answered. `head` is what the client has already sent into it: whoever
   * takes the socket puts it back (`socket.unshift(head)`) and owns the socket from then on, errors included.
   * False: nobody there to take it, the socket is untouched.
   */
  readonly deliver: (socket: Socket, head: Buffer) => boolean;
  /** Whether a destination is one of our own listeners, which would be a loop. Asked for names and for the addresses behind them. */
  readonly isOwn?: OwnListener;
  /**
   * Opens the connection of a blind tunnel; directly where it is not given. With `allowHalfOpen`, and to allowed
   * addresses only. A socket alone is there once it is connected; an {@link PendingConnection} says so itself, and keeps its own
   * time.
   */
  readonly connect?: (host: string, port: number, allows: AllowAddress) => Socket | PendingConnection;
  /** Counts the clients' connections. Where there are too many, tunnels for the API are blind as well. */
  readonly openConnections?: OpenConnections;
  readonly log: Log;
  readonly timeouts?: Partial<RedirectorTimeouts>;
}

/** All in milliseconds. */
export interface RedirectorTimeouts {
  /** For a connection to a destination. Default 30 s. */
  readonly connectMs: number;
  /** For a client to send its request header. Default 30 s. */
  readonly headersMs: number;
  /** For open tunnels to end by themselves when the redirector closes. Default 5 s. */
  readonly drainMs: number;
}

export interface Redirector {
  /** Rejects with `ListenError`. Port 0 takes a free one. */
  listen(host: string, port: number): Promise<AddressInfo>;
  /** Accepts no more, lets open tunnels end within `drainMs`, then destroys them. Resolves when no socket is left. */
  close(): Promise<void>;
  /** Called when the listener fails after it began to listen. Returns how to stop being called. */
  onFailure(told: (error: Error) => void): () => void;
  /** Open tunnels by the way they take; those still connecting are blind ones. */
  counts(): { readonly delivered: number; readonly blind: number };
}

const DEFAULTS: RedirectorTimeouts = { connectMs: 30_000, headersMs: 30_000, drainMs: 5000 };

/** Node looks for slow headers this often at most. */
const CHECK_EVERY_MS = 5000;

/** A redirector that listens nowhere yet. */
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
      requireHostHeader: false, // a client without it gets our 405 and its explanation, not Node's bare 400
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
    // Node has taken its own listeners off: from here on an error without one of ours would end the process.
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
    const reason = forbidden({ ...authority, client: client.remoteAddress }, isOwn);
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
      reason = forbidden({ host: address, port, client: from }, isOwn);
      return reason === null;
    });
    const destination = opening instanceof Socket ? opening : opening.socket;
    track(destinations, destination);
    const abandon = (): void => void destination.destroy();
    // An accepted client waits for TLS, not for HTTP: a reset is all that it can understand.
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
      } else if (codeOf(error) === FORBIDDEN) fail(told(reason ?? 'private', authority), FORBIDDEN);
      else fail(refusalOf(error), codeOf(error));
      return;
    } finally {
      client.off('close', abandon);
    }
    // Not one byte of the client goes to where it may not, however it came to be connected there.
    const reached = opening instanceof Socket || !opening.throughProxy ? destination : undefined;
    if (reached?.remoteAddress !== undefined) {
      const onThisMachine = reached.remoteAddress === reached.localAddress;
      reason = forbidden({ host: reached.remoteAddress, port, client: from, onThisMachine }, isOwn);
      if (reason !== null) {
        fail(told(reason, authority), FORBIDDEN);
        return;
      }
    }
    if (!isAccepted) accept(client);
    log.debug('tunnel.opened', { host, port });
    client.once('close', () => log.debug('tunnel.closed', { host, port }));
    join(client, destination, head);
  }

  function forbid(client: Socket, reason: TunnelDenial, to: HostAndPort): void {
    reject(client, told(reason, to), to, FORBIDDEN);
  }

  /** For the client and, as it may be an attack, for the log. */
  function told(reason: TunnelDenial, to: HostAndPort): Refusal {
    log.warn('tunnel.forbidden', { host: to.host, port: to.port, reason });
    return refusalOfForbidden(reason, to);
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
    onFailure: (told) => listener.onFailure(told),
    counts: () => ({ delivered: delivered.size, blind: blind.size }),
  };
}

/** `socket` is in `set` until it closes. */
function track(set: Set<Socket>, socket: Socket): void {
  if (socket.destroyed) return;
  set.add(socket);
  socket.once('close', () => set.delete(socket));
}

function untilClosed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}
