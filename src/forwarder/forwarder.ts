/**
 * The HTTPS forwarder: terminates TLS and routes by Host.
 *
 *   api.anthropic.com   ──▶ the API and nothing else: /v1/messages through messages.ts, all else through relay.ts
 *   localhost           ──▶ /v1/* to the API (for ANTHROPIC_BASE_URL), all else to our own pages
 *   anything else       ──▶ 421: nobody of that name lives here
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { answerFor, sendError } from '../answers.ts';
import type { Certificates } from '../certificates/certificates.ts';
import { listening } from '../listening.ts';
import { announcesBody } from '../wire/headers.ts';
import { handleMessages, type MessagesOptions } from './messages.ts';
import { relay, requestHeaders } from './relay.ts';

export interface ForwarderOptions extends MessagesOptions {
  readonly certificates: Certificates;
  readonly apiHost: string;
  /** Serves what is ours on localhost. */
  readonly local: RequestListener;
  /** Time for requests under way to end when the forwarder closes, in milliseconds. */
  readonly drainMs: number;
}

export interface Forwarder {
  /** Rejects with `ListenError`. Port 0 takes a free one. */
  listen(host: string, port: number): Promise<AddressInfo>;
  /** Takes a tunnel from the redirector, with what the client has sent into it already. False when not listening. */
  deliver(socket: Socket, head: Buffer): boolean;
  /** Called when the listener fails after it began to listen. Returns how to stop being called. */
  onFailure(told: (error: Error) => void): () => void;
  /** Accepts no more, lets requests under way end, then closes every connection. */
  close(): Promise<void>;
}

/** A client may take this long for its request's header … */
const HEADERS_TIMEOUT_MS = 60_000;
/** … and keeps a connection open between requests as long as the client likes, within reason. */
const KEEP_ALIVE_MS = 300_000;

const LOCAL_HOSTS: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

const hostOf = (request: IncomingMessage): string =>
  (request.headers.host ?? '').toLowerCase().replace(/:\d+$/, '').replace(/\.$/, '');

/** True for the path of a message request, whatever its query. */
const isMessages = (request: IncomingMessage): boolean =>
  request.method === 'POST' && /^\/v1\/messages\/?(\?|$)/.test(request.url ?? '');

export function createForwarder(options: ForwarderOptions): Forwarder {
  const { apiHost, certificates, local, log } = options;
  const connections = new Set<Socket>();
  let underWay = 0;
  let whenIdle: (() => void) | undefined;

  const toApi = (request: IncomingMessage, response: ServerResponse): void => {
    if (isMessages(request)) handleMessages(options, request, response);
    else {
      const body = announcesBody(request.rawHeaders) ? request : null;
      relay(options, { request, response }, body, requestHeaders(request.rawHeaders));
    }
  };

  const route = (request: IncomingMessage, response: ServerResponse): void => {
    const host = hostOf(request);
    if (host === apiHost) toApi(request, response);
    else if (!LOCAL_HOSTS.has(host)) {
      sendError(response, { status: 421, type: 'invalid_request_error', message: 'this host is not served here' });
    } else if (request.url?.startsWith('/v1/') === true) toApi(request, response);
    else local(request, response);
  };

  const server = createServer(
    { ...certificates.serverOptions(), headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: 0, noDelay: true },
    (request, response) => {
      // Errors of a connection that is gone; what it means for the upstream, `close` tells.
      request.on('error', () => undefined);
      response.on('error', () => undefined);
      underWay += 1;
      response.once('close', () => {
        underWay -= 1;
        if (underWay === 0) whenIdle?.();
      });
      try {
        route(request, response);
      } catch (error) {
        log.error('request.failed', { message: error instanceof Error ? error.message : String(error) });
        sendError(response, answerFor(error));
      }
    },
  );
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.on('connection', (socket: Socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  server.on('tlsClientError', (error, socket) => {
    log.debug('forwarder.handshake_failed', { message: error.message });
    socket.destroy();
  });
  const listener = listening(server, 'DBPROXY_DASHBOARD_PORT');
  listener.onFailure((error) => log.error('forwarder.failed', { message: error.message }));

  return {
    listen: (host, port) => listener.listen(host, port),
    deliver(socket, head) {
      if (!listener.up) return false;
      if (head.length > 0) socket.unshift(head);
      return server.emit('connection', socket);
    },
    onFailure: (told) => listener.onFailure(told),
    async close() {
      listener.stop();
      server.closeIdleConnections();
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        whenIdle = resolve;
        timer = setTimeout(resolve, options.drainMs);
        if (underWay === 0) resolve();
      });
      clearTimeout(timer);
      // Connections that came through the redirector are not the server's own: it does not wait for them.
      for (const socket of connections) socket.destroySoon();
    },
  };
}
