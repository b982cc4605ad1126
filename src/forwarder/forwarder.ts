/**
 * The HTTPS forwarder: terminates TLS and routes by Host.
 *
 *   api.anthropic.com   ──▶ the API only: /v1/messages through messages.ts, other paths through relay.ts
 *   localhost, …        ──▶ /v1/* to the API (for ANTHROPIC_BASE_URL), other paths to the proxy's own pages
 *   any other host      ──▶ 421
 */
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createServer } from 'node:tls';
import { readHost } from '../admin/access/hosts.ts';
import { answerFor } from '../error-responses.ts';
import type { Certificates } from '../certificates/certificates.ts';
import { messageOf } from '../errors.ts';
import type { RequestHead } from '../http1/head.ts';
import { createListener } from '../net/listener.ts';
import type { OpenConnections } from '../net/open-connections.ts';
import { headerValue } from '../wire/headers.ts';
import { ClientConnection } from './client-connection.ts';
import { DeferredWork } from './deferred-work.ts';
import type { Exchange } from './exchange.ts';
import { handleMessages } from './messages.ts';
import type { MessagesOptions } from './request-classifier.ts';
import type { AdminPages } from '../admin/health.ts';
import { relay } from './relay.ts';
import { requestHeaders, upstreamNameOf, type UpstreamName } from './request-head.ts';

export interface ForwarderOptions extends Omit<MessagesOptions, 'deferredWork' | keyof UpstreamName> {
  readonly upstreamUrl: URL;
  readonly certificates: Certificates;
  readonly apiHost: string;
  /** True for a `Host` of the proxy itself: localhost and configured names (admin/access/hosts.ts). */
  readonly isOwnHost: (host: string | undefined) => boolean;
  readonly adminPages: AdminPages;
  /** Counts client connections. Above its limit a new connection closes after its first answer. */
  readonly openConnections: OpenConnections;
  /** Time for pending requests to end on `close`, in milliseconds. */
  readonly drainMs: number;
}

export interface Forwarder {
  /** The server of the proxy's own pages, for socket.io. It does not listen itself. */
  readonly pages: HttpServer;
  /** Rejects with `ListenError`. Port 0 picks a free port. */
  listen(host: string, port: number): Promise<AddressInfo>;
  /** Accepts a tunnel from the redirector and the bytes already received on it. False when not listening. */
  deliver(socket: Socket, head: Buffer): boolean;
  /** Registers a listener for failures of the listening socket. Returns a function that removes it. */
  onFailure(listener: (error: Error) => void): () => void;
  /** Reloads the certificate for clients without SNI; clients with SNI always get the current one. */
  reloadCertificates(): void;
  /** Number of open client connections, without those to our own pages. */
  readonly openConnections: number;
  /** Stops listening, lets pending requests end, then closes every connection. */
  close(): Promise<void>;
}

/** Time limit of a TLS handshake. */
const HANDSHAKE_MS = 30_000;
/** Time limit of a request's head. */
const HEAD_MS = 60_000;
/** Time limit between two requests of a connection. */
const IDLE_MS = 300_000;

type HostKind = 'api' | 'own' | 'foreign';

/** True for a message request, with any query. */
const isMessages = (head: RequestHead): boolean =>
  head.method === 'POST' && /^\/v1\/messages\/?(\?|$)/.test(head.target);

const isForApi = (head: RequestHead): boolean => head.target.startsWith('/v1/');

export function createForwarder(options: ForwarderOptions): Forwarder {
  const { adminPages, apiHost, certificates, log, openConnections } = options;
  const deferredWork = new DeferredWork(log);
  const messages: MessagesOptions = { ...options, ...upstreamNameOf(options.upstreamUrl), deferredWork };
  const sockets = new Set<Socket>();
  const connections = new Set<ClientConnection>();
  let onIdle: (() => void) | undefined;

  // Node's server serves our own pages. Connections to the dashboard are kept alive; any other closes after the answer,
  // because its next request may be for the API.
  const pages = createHttpServer((request, response) => {
    if (!/^\/(dashboard|socket\.io)\b/.test(request.url ?? '')) response.shouldKeepAlive = false;
    adminPages.handle(request, response);
  });

  const hostKindOf = (head: RequestHead): HostKind => {
    const host = headerValue(head.headers, 'host');
    if (host === apiHost || readHost(host)?.host === apiHost) return 'api';
    return options.isOwnHost(host) ? 'own' : 'foreign';
  };

  const onExchange = (exchange: Exchange): void => {
    try {
      if (hostKindOf(exchange.head) === 'foreign') {
        const message = 'this host is not served here';
        exchange.refuse({ status: 421, reason: 'Misdirected Request', type: 'invalid_request_error', message });
      } else if (isMessages(exchange.head)) handleMessages(messages, exchange);
      else relay(messages, exchange, { headers: requestHeaders(exchange.head.headers) });
    } catch (error) {
      log.error('request.failed', { message: messageOf(error) });
      if (exchange.answered) exchange.truncate();
      else exchange.refuse(answerFor(error));
    }
  };

  const handOff = (head: RequestHead, socket: Socket, bytes: Buffer): boolean => {
    if (hostKindOf(head) !== 'own' || isForApi(head)) return false;
    socket.unshift(bytes);
    const ready = adminPages.ready(head.target);
    if (ready === null) pages.emit('connection', socket);
    else {
      socket.pause();
      ready.then(
        () => {
          pages.emit('connection', socket);
          socket.resume();
        },
        () => socket.destroy(),
      );
    }
    return true;
  };

  const server = createServer({ ...certificates.serverOptions(), handshakeTimeout: HANDSHAKE_MS }, (socket) => {
    socket.setNoDelay(true);
    const connection = new ClientConnection(socket, { onExchange, handOff, headMs: HEAD_MS, idleMs: IDLE_MS });
    connections.add(connection);
    if (openConnections.overLimit) connection.isLastRequest = true;
    sockets.add(socket);
    socket.once('close', () => {
      connections.delete(connection);
      sockets.delete(socket);
      if (connections.size === 0) onIdle?.();
    });
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    openConnections.track(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', (error, socket) => {
    log.debug('forwarder.handshake_failed', { message: error.message });
    socket.destroy();
  });
  const listener = createListener(server, 'DBPROXY_DASHBOARD_PORT');
  listener.onFailure((error) => log.error('forwarder.failed', { message: error.message }));

  return {
    pages,
    listen: (host, port) => listener.listen(host, port),
    deliver(socket, head) {
      if (!listener.up) return false;
      if (head.length > 0) socket.unshift(head);
      return server.emit('connection', socket);
    },
    onFailure: (onError) => listener.onFailure(onError),
    get openConnections() {
      let open = 0;
      for (const { isHandedOff } of connections) if (!isHandedOff) open += 1;
      return open;
    },
    reloadCertificates: () => server.setSecureContext(certificates.serverOptions()),
    async close() {
      listener.stop();
      pages.closeIdleConnections();
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        onIdle = resolve;
        timer = setTimeout(resolve, options.drainMs);
        for (const connection of connections) connection.endWhenIdle();
        if (connections.size === 0) resolve();
      });
      clearTimeout(timer);
      // Deferred facts are published before the store closes.
      deferredWork.runAll();
      // The server does not track connections that came through the redirector.
      pages.closeAllConnections();
      for (const socket of sockets) socket.destroy();
    },
  };
}
