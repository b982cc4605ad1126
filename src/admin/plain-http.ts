/**
 * Our own pages but for `/health` (health.ts): whatever shows what was said or changes something, behind the token.
 */
import express, { Router, type ErrorRequestHandler, type Express } from 'express';
import { messageOf } from '../errors.ts';
import type { Access } from './access/access.ts';
import { guarded, ownHostOnly, securityHeaders } from './access/guard.ts';
import { answerFor, errorAnswer } from '../error-responses.ts';
import type { Log } from '../log.ts';

export interface LocalPagesOptions {
  readonly access: Access;
  readonly log: Log;
  /**
   * Adds pages. `guardedAt(path)` is a router for all below `path`, reached with the token only; there is no other way
   * to add any. `/v1` is the API's, and Claude Code asks for paths below `/api` here that must stay a 404.
   */
  readonly routes?: (guardedAt: (path: string) => Router) => void;
}

export function createLocalPages({ access, log, routes }: LocalPagesOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(securityHeaders, ownHostOnly(access));
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
    log.error('page.failed', { message: messageOf(error) });
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
