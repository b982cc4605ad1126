/**
 * The way out: requests to the real API (`DBPROXY_UPSTREAM_URL`) over undici, with bytes, headers and order as given.
 * Used for checkpoint calls and look-ups of models; loaded with the first of them, which nobody waits for. Nothing here
 * times out on a model that thinks.
 */
import type { Agent, Dispatcher } from 'undici';
import type { Readable } from 'node:stream';
import { asError, ProxyError, UpstreamProtocolError, UpstreamUnreachableError } from '../errors.ts';
import type { RawHeaders } from '../wire/headers.ts';
import { UpstreamConnector, type ConnectorOptions } from './connector.ts';

export interface HttpRequest {
  readonly method: string;
  /** Path and query as the client sent them, e.g. `/v1/messages?beta=true`. */
  readonly path: string;
  /** End-to-end headers, without `host`. */
  readonly headers: RawHeaders;
  /** The body: bytes, or a stream that is read with backpressure; null for none. */
  readonly body: Buffer | Readable | null;
}

/** What happens to a call, in this order: any `onInformation`, `onHead`, any `onData`, `onEnd`; or `onError` once. */
export interface HttpCallEvents {
  /** A 1xx answer. */
  onInformation?(status: number, headers: RawHeaders): void;
  onHead(status: number, reason: string, headers: RawHeaders): void;
  /** Return false to hold the upstream back until {@link HttpCall.resume}. */
  onData(chunk: Buffer): boolean;
  onEnd(trailers: RawHeaders): void;
  /** An `UpstreamUnreachableError` or `UpstreamProtocolError`; after {@link HttpCall.abort} also the abort. */
  onError(error: ProxyError): void;
}

/** A call under way. */
export interface HttpCall {
  /** Ends the call and its connection at once. */
  abort(): void;
  /** Goes on after `onData` returned false. */
  resume(): void;
}

export interface HttpClient {
  readonly origin: string;
  send(request: HttpRequest, events: HttpCallEvents): HttpCall;
  close(): Promise<void>;
}

/** undici gives raw headers as buffers; the wire is latin1 (RFC 9110, 5.5). */
function rawList(headers: Dispatcher.DispatchController['rawHeaders']): string[] {
  if (!Array.isArray(headers)) return [];
  return headers.map((item) => (typeof item === 'string' ? item : item.toString('latin1')));
}

/** Loads what sends requests; later calls find it loaded. Done early, the first checkpoint call does not wait for it. */
export const loadClient = () => import('undici');

function toProxyError(error: Error, origin: string): ProxyError {
  if (error instanceof ProxyError) return error;
  const code = (error as { code?: unknown }).code;
  const detail = typeof code === 'string' ? code : error.name;
  if (typeof code === 'string' && (code.startsWith('HPE_') || code === 'UND_ERR_RESPONSE')) {
    return new UpstreamProtocolError(`${origin} answered with something that is not HTTP (${detail})`, {
      cause: error,
    });
  }
  return new UpstreamUnreachableError(
    `cannot reach ${origin} (${detail}); check the network and DBPROXY_UPSTREAM_URL`,
    {
      cause: error,
    },
  );
}

/** Opens the way to `options.url`, which may have a path prefix as gateways do. Connections are made when needed and kept alive. */
export function openHttpClient(options: ConnectorOptions): HttpClient {
  const origin = options.url.origin;
  const prefix = options.url.pathname.replace(/\/$/, '');
  const connector = new UpstreamConnector(options);
  let agent: Promise<Agent> | undefined;
  const openAgent = async (): Promise<Agent> => {
    // A CommonJS package: in the bundle its names are below `default` only.
    const { default: undici } = await loadClient();
    return new undici.Agent({
      allowH2: false,
      headersTimeout: 0,
      bodyTimeout: 0,
      // There is one origin, so what undici says about it is known.
      connect: (_origin, callback) => {
        connector.connect().then(
          (socket) => callback(null, socket),
          (error: unknown) => callback(asError(error), null),
        );
      },
    });
  };

  return {
    origin,
    send(request, events) {
      let controller: Dispatcher.DispatchController | undefined;
      let aborted = false;
      let ended = false;
      const fail = (error: Error): void => {
        if (ended) return;
        ended = true;
        events.onError(toProxyError(error, origin));
      };
      const handler: Dispatcher.DispatchHandler = {
        onRequestStart(started) {
          controller = started;
          if (aborted) started.abort(new Error('aborted'));
        },
        onResponseStart(started, status, _headers, reason = '') {
          const headers = rawList(started.rawHeaders);
          if (status < 200) events.onInformation?.(status, headers);
          else events.onHead(status, reason, headers);
        },
        onResponseData(started, chunk) {
          if (!events.onData(chunk)) started.pause();
        },
        onResponseEnd(started) {
          if (ended) return;
          ended = true;
          events.onEnd(rawList(started.rawTrailers));
        },
        onResponseError: (_, error) => fail(error),
      };
      const dispatch = (opened: Agent): void => {
        if (aborted) throw new Error('aborted');
        opened.dispatch(
          {
            origin,
            path: prefix + request.path,
            method: request.method,
            headers: [...request.headers],
            body: request.body,
            // Without this undici assumes 'safe to repeat' for bodies it has not sent.
            idempotent: false,
          },
          handler,
        );
      };
      agent ??= openAgent();
      agent.then(dispatch).catch((error: unknown) => fail(asError(error)));
      return {
        abort() {
          aborted = true;
          controller?.abort(new Error('aborted'));
        },
        resume: () => controller?.resume(),
      };
    },
    close: async () => {
      connector.close();
      await (await agent)?.destroy();
    },
  };
}
