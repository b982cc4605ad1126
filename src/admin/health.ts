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

/** The answer of `GET /health`. Later fields may be added, none is ever taken away. */
export interface Health {
  readonly status: 'ok';
  readonly version: string;
  readonly uptime_s: number;
  readonly conversations: number;
  readonly checkpoints: number;
  readonly passthrough: boolean;
  readonly checkpoint_threshold: number;
  readonly swap_threshold: number;
  /** Of clients, blind tunnels included. With no checkpoint call under way either, the proxy can be replaced. */
  readonly open_connections: number;
  readonly checkpoint_calls: number;
  readonly pid: number;
  /** `open`: many checkpoint calls failed just now, and none is made for a while. */
  readonly checkpoint_breaker: BreakerStatus['state'];
  /** ISO time from which they are made again; null unless the breaker is open. */
  readonly checkpoints_resume_at: string | null;
  /** `closed`: state is kept in memory only until the file can be opened again. */
  readonly store: 'open' | 'closed';
  /** Open connections of clients, on both ports. */
  readonly connections: number;
  /** Bytes of requests that are kept to be read, and for checkpoint calls. */
  readonly buffered_bytes: number;
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
        // The launcher reads no chunks (cli/health-check.ts).
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
