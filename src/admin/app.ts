/**
 * The Express app for everything but `/health` (health.ts): it shows conversations and changes them, so it asks for the token.
 * Express and socket.io load with this file, a moment after the start or when a page is requested.
 */
import express, { Router, type ErrorRequestHandler, type Express } from 'express';
import type { RequestListener } from 'node:http';
import { Server } from 'socket.io';
import type { Dashboard } from '../dashboard/dashboard.ts';
import { answerFor, errorAnswer } from '../error-responses.ts';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Access } from './access/access.ts';
import { guarded, ownHostOnly, securityHeaders } from './access/guard.ts';
import { addDashboardRoutes } from './conversation-routes.ts';
import { addStatusRoutes, type StatusRoutesOptions } from './status-routes.ts';

export interface AdminAppOptions {
  readonly access: Access;
  readonly log: Log;
  /**
   * Adds routes. `guardedAt(path)` returns a router for all paths below `path` that asks for the token; routes cannot be
   * added in another way. `/v1` is the API's, and Claude Code requests paths below `/api` that must stay a 404.
   */
  readonly routes?: (guardedAt: (path: string) => Router) => void;
}

export function createAdminApp({ access, log, routes }: AdminAppOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(securityHeaders, ownHostOnly(access));
  // A browser signs in at this path, whatever routes there are.
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
  // Express's own handler would show the stack and write it to stderr. Express recognises a handler by its four parameters.
  const onError: ErrorRequestHandler = (error: unknown, _request, response, next) => {
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
  app.use(onError);
  return app;
}

/** Express puts a 4xx on errors that are the request's fault, such as a path that cannot be decoded. */
function statusOf(error: unknown): number {
  const status = error instanceof Error && 'status' in error ? error.status : undefined;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : 500;
}

export interface OpenAdminAppOptions extends StatusRoutesOptions {
  readonly access: Access;
  readonly log: Log;
  readonly dashboard: Dashboard;
}

/** Creates the app with all its routes, and gives the dashboard socket.io, so that browsers can connect. */
export function openAdminApp(options: OpenAdminAppOptions): RequestListener {
  const { access, dashboard, log } = options;
  dashboard.use(Server);
  return createAdminApp({
    access,
    log,
    routes(guardedAt) {
      addDashboardRoutes(guardedAt, dashboard.routesOptions);
      addStatusRoutes(guardedAt, options);
    },
  });
}
