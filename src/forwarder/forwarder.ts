/**
 * The HTTPS forwarder: terminates TLS and routes by Host.
 *
 *   api.anthropic.com   ──▶ the API and nothing else: /v1/messages through messages.ts, all else through relay.ts
 *   localhost, …        ──▶ /v1/* to the API (for ANTHROPIC_BASE_URL), all else to our own pages
 *   anything else       ──▶ 421: nobody of that name lives here
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
import type { Exchange } from './exchange.ts';
import { handleMessages } from './messages.ts';
import type { MessagesOptions } from './request-classifier.ts';
import type { AdminPages } from '../admin/health.ts';
import { relay } from './relay.ts';
import { requestHeaders } from './request-head.ts';

export interface ForwarderOptions extends MessagesOptions {
  readonly certificates: Certificates;
  readonly apiHost: string;
  /** True for a `Host` that names us: localhost and what the settings add (access/hosts.ts). */
  readonly isOwnHost: (host: string | undefined) => boolean;
  readonly adminPages: AdminPages;
  /** Counts the clients' connections. Where there are too many, a new one ends with its first answer. */
  readonly open: OpenConnections;
  /** Time for requests under way to end when the forwarder closes, in milliseconds. */
  readonly drainMs: number;
}

export interface Forwarder {
  /** The server of our own pages, for protocols that need one, such as socket.io. It never listens by itself. */
  readonly pages: HttpServer;
  /** Rejects with `ListenError`. Port 0 takes a free one. */
  listen(host: string, port: number): Promise<AddressInfo>;
  /** Takes a tunnel from the redirector, with what the client has sent into it already. False when not listening. */
  deliver(socket: Socket, head: Buffer): boolean;
  /** Called when the listener fails after it began to listen. Returns how to stop being called. */
  onFailure(told: (error: Error) => void): () => void;
  /** Takes up renewed certificates for clients that name no server; those that do get them anyway. */
  reloadCertificates(): void;
  /** Connections of clients that are open, but for those of our own pages. */
  readonly openConnections: number;
  /** Accepts no more, lets requests under way end, then closes every connection. */
  close(): Promise<void>;
}

/** Time for a TLS handshake … */
const HANDSHAKE_MS = 30_000;
/** … for a request's header to come in … */
const HEAD_MS = 60_000;
/** … and between two requests of a connection. */
const IDLE_MS = 300_000;

/** Whether a request is for the API by name, for us, or for nobody here. */
type Destination = 'api' | 'own' | 'foreign';

/** True for the path of a message request, whatever its query. */
const isMessages = (head: RequestHead): boolean =>
  head.method === 'POST' && /^\/v1\/messages\/?(\?|$)/.test(head.target);

const isForApi = (head: RequestHead): boolean => head.target.startsWith('/v1/');

export function createForwarder(options: ForwarderOptions): Forwarder {
  const { apiHost, certificates, log, adminPages } = options;
  const sockets = new Set<Socket>();
  const connections = new Set<ClientConnection>();
  let whenIdle: (() => void) | undefined;

  // Our own pages speak through Node's server. A browser keeps its connections for them; anybody else's ends with the
  // answer, because the next request on it may be for the API.
  const pages = createHttpServer((request, response) => {
    if (!/^\/(dashboard|socket\.io)\b/.test(request.url ?? '')) response.shouldKeepAlive = false;
    adminPages.handle(request, response);
  });

  const destinationOf = (head: RequestHead): Destination => {
    const host = headerValue(head.headers, 'host');
    if (host === apiHost || readHost(host)?.host === apiHost) return 'api';
    return options.isOwnHost(host) ? 'own' : 'foreign';
  };

  const onExchange = (exchange: Exchange): void => {
    try {
      if (destinationOf(exchange.head) === 'foreign') {
        const message = 'this host is not served here';
        exchange.refuse({ status: 421, reason: 'Misdirected Request', type: 'invalid_request_error', message });
      } else if (isMessages(exchange.head)) handleMessages(options, exchange);
      else relay(options, exchange, { headers: requestHeaders(exchange.head.headers) });
    } catch (error) {
      log.error('request.failed', { message: messageOf(error) });
      if (exchange.answered) exchange.cut();
      else exchange.refuse(answerFor(error));
    }
  };

  const handOff = (head: RequestHead, socket: Socket, bytes: Buffer): boolean => {
    if (destinationOf(head) !== 'own' || isForApi(head)) return false;
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
    if (options.open.overLimit) connection.lastRequest = true;
    sockets.add(socket);
    socket.once('close', () => {
      connections.delete(connection);
      sockets.delete(socket);
      if (connections.size === 0) whenIdle?.();
    });
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    options.open.track(socket);
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
    onFailure: (told) => listener.onFailure(told),
    get openConnections() {
      let open = 0;
      for (const { takenOver } of connections) if (!takenOver) open += 1;
      return open;
    },
    reloadCertificates: () => server.setSecureContext(certificates.serverOptions()),
    async close() {
      listener.stop();
      pages.closeIdleConnections();
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        whenIdle = resolve;
        timer = setTimeout(resolve, options.drainMs);
        for (const connection of connections) connection.endWhenIdle();
        if (connections.size === 0) resolve();
      });
      clearTimeout(timer);
      // Nothing comes any more that could hold it up, and whoever stops us wants to write down what it tells.
      options.afterwards.finishAll();
      // Connections that came through the redirector are not the server's own: it does not wait for them.
      pages.closeAllConnections();
      for (const socket of sockets) socket.destroy();
    },
  };
}
