/**
 * What is ours on `https://localhost:8443`: `/health` for everybody who knows our name, and behind the token whatever
 * shows what was said or changes something.
 */
import express, { Router, type ErrorRequestHandler, type Express } from 'express';
import type { Access } from '../access/access.ts';
import { guarded, ownHostOnly, securityHeaders } from '../access/guard.ts';
import { answerFor, errorAnswer } from '../answers.ts';
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

export interface LocalPagesOptions {
  readonly health: () => Health;
  readonly access: Access;
  readonly log: Log;
  /**
   * Adds pages. `guardedAt(path)` is a router for all below `path`, reached with the token only; there is no other way
   * to add any. `/v1` is the API's, and Claude Code asks for paths below `/api` here that must stay a 404.
   */
  readonly routes?: (guardedAt: (path: string) => Router) => void;
}

export function createLocalPages({ health, access, log, routes }: LocalPagesOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(securityHeaders, ownHostOnly(access));
  app.get('/health', (_request, response) => {
    response.json(health());
  });
  // The way in leads here, whatever there is to see.
  app.use('/dashboard', guarded(access));
  routes?.((path) => {
    const router = Router();
    app.use(path, guarded(access), router);
    return router;
  });
  app.use((_request, response) => {
    response.status(404).json({
      type: 'error',
      error: { type: 'not_found_error', message: 'claude-db-proxy: there is no such page; see /health' },
    });
  });
  // Express itself would show the stack, and write it to stderr. It knows an error handler by its four parameters.
  const failed: ErrorRequestHandler = (error: unknown, _request, response, next) => {
    log.error('page.failed', { message: error instanceof Error ? error.message : String(error) });
    if (response.headersSent) {
      next(error);
      return;
    }
    const status = statusOf(error);
    const answer = status === 500 ? answerFor(error) : { type: 'invalid_request_error', message: 'the request is bad' };
    response
      .status(status)
      .type('json')
      .send(errorAnswer({ ...answer, status }).body);
  };
  app.use(failed);
  return app;
}

/** Express marks what is the request's fault, such as a path that cannot be decoded, with a 4xx. */
function statusOf(error: unknown): number {
  const status = error instanceof Error && 'status' in error ? error.status : undefined;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : 500;
}
