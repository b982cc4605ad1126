/**
 * The proxy's own pages on `https://localhost:8443`. `/health` is answered here, without a token. All other pages are in
 * app.ts, which imports Express and socket.io: these take longer to load than the whole data path, so they are loaded a
 * moment after the start or when a page is requested.
 */
import type { RequestListener, ServerResponse } from 'node:http';
import { messageOf } from '../errors.ts';
import { refuseForeignHost, SECURITY_HEADERS } from './access/guard.ts';
import type { Access } from './access/access.ts';
import type { BreakerStatus } from '../checkpoint/gate.ts';
import type { Log } from '../log.ts';

/** The fields of `/health` that installed launchers of older versions read, in the spelling of these versions. */
export interface LegacyHealth {
  readonly uptime_s: number;
  readonly checkpoint_threshold: number;
  readonly swap_threshold: number;
  /** `activeConnections` */
  readonly open_connections: number;
  readonly checkpoint_calls: number;
}

/** The answer of `GET /health`. Fields may be added; none is removed. */
export interface Health extends LegacyHealth {
  readonly status: 'ok';
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly conversations: number;
  readonly checkpoints: number;
  readonly passthrough: boolean;
  readonly checkpointThreshold: number;
  readonly swapThreshold: number;
  /** Clients' connections to the API, blind tunnels included. A proxy is idle without them and without checkpoint calls. */
  readonly activeConnections: number;
  /** All open connections of clients on both ports, also those to the proxy's own pages. */
  readonly totalConnections: number;
  /** Running checkpoint calls. */
  readonly checkpointCalls: number;
  readonly pid: number;
  /** `open`: many checkpoint calls failed recently, and none is made for a while. */
  readonly checkpointBreaker: BreakerStatus['state'];
  /** ISO time at which checkpoint calls are made again; null unless the breaker is open. */
  readonly checkpointsResumeAt: string | null;
  /** `closed`: the state is kept in memory only, until the file can be opened again. */
  readonly store: 'open' | 'closed';
  /** Bytes of buffered requests. */
  readonly bufferedBytes: number;
}

export interface AdminPagesOptions {
  readonly health: () => Health;
  readonly access: Access;
  readonly log: Log;
  /** Loads all pages except `/health`. Called once, and again after a failure. */
  readonly load: () => Promise<RequestListener>;
}

export interface AdminPages {
  /** Answers a request; call `ready` first, because a page that is not loaded is answered with 503. */
  readonly handle: RequestListener;
  /** Null when a request for `target` can be answered now; else resolves when it can. Rejects when loading fails. */
  ready(target: string): Promise<void> | null;
}

const isHealth = (target: string): boolean => /^\/health\/?(\?|$)/.test(target);

export function createAdminPages({ health, access, log, load }: AdminPagesOptions): AdminPages {
  let pages: RequestListener | null = null;
  let loading: Promise<void> | null = null;

  const loadOnce = async (): Promise<void> => {
    try {
      pages = await load();
    } catch (error) {
      log.error('pages.failed', { message: messageOf(error) });
      throw error;
    } finally {
      loading = null;
    }
  };
  const answerHealth = (host: string | undefined, response: ServerResponse): void => {
    if (access.isOwnHost(host)) {
      const body = JSON.stringify(health());
      response.writeHead(200, {
        ...SECURITY_HEADERS,
        'content-type': 'application/json; charset=utf-8',
        // The launcher does not read chunked answers (cli/health-check.ts).
        'content-length': Buffer.byteLength(body),
      });
      response.end(body);
    } else refuseForeignHost(response);
  };

  return {
    handle(request, response) {
      const { headers, method, url = '/' } = request;
      if ((method === 'GET' || method === 'HEAD') && isHealth(url)) answerHealth(headers.host, response);
      else if (pages !== null) pages(request, response);
      else response.writeHead(503, SECURITY_HEADERS).end();
    },
    ready(target) {
      if (pages !== null || isHealth(target)) return null;
      loading ??= loadOnce();
      return loading;
    },
  };
}
