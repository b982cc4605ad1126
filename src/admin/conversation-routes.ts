/**
 * The dashboard over HTTP: the built page, the API for scripts, the metrics for Prometheus. `guardedAt` (app.ts) makes every
 * route ask for the token.
 */
import express, { type Response, type Router } from 'express';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ConversationId } from '../../machines/units.ts';
import type { ConversationAnswer, ConversationsAnswer, ResetAnswer } from '../../web/contract.ts';
import { errorAnswer } from '../error-responses.ts';
import type { CompactionHistory } from '../store/history.ts';
import type { ConversationViews } from '../dashboard/conversation-views.ts';
import { addHistoryRoutes } from './history-routes.ts';
import type { Metrics } from './metrics.ts';
import { openApiDocument } from './openapi.ts';

export interface DashboardRoutesOptions {
  readonly views: ConversationViews;
  readonly metrics: Metrics;
  readonly history: CompactionHistory;
  readonly reset: (conversation: ConversationId) => boolean;
  /** Where the built page is. */
  readonly page?: string;
}

/** Where Vite puts the page: beside what the bundler puts into `dist`. */
const BUILT = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../../dist/web' : '../web', import.meta.url));
/** Names with a hash of their content in them, as Vite makes them: never changed, only replaced. */
const ASSETS = /[\\/]assets[\\/]/;

const NOT_BUILT =
  '<!doctype html><html lang="en"><meta charset="utf-8"><title>claude-db-proxy</title><h1>claude-db-proxy</h1>' +
  '<p>The proxy runs. Its dashboard was not built: <code>npm run build:web</code> does that.</p></html>\n';

function refuse(response: Response, status: number, type: string, message: string): void {
  response.status(status).type('json').send(errorAnswer({ status, type, message }).body);
}

function addDashboardPage(router: Router, page: string): void {
  router.use((request, response, next) => {
    // The page asks for its parts by relative paths.
    if (request.originalUrl.replace(/\?.*$/, '') === '/dashboard') response.redirect(302, '/dashboard/');
    else next();
  });
  router.use(
    express.static(page, {
      redirect: false,
      setHeaders: (response, path) => {
        if (ASSETS.test(path)) response.set('cache-control', 'private, max-age=31536000, immutable');
        else response.set('cache-control', 'no-store');
      },
    }),
  );
  router.get('/', (_request, response) => {
    if (!existsSync(join(page, 'index.html'))) response.status(503).type('html').send(NOT_BUILT);
  });
}

function addConversationRoutes(router: Router, { views, reset }: DashboardRoutesOptions): void {
  const noneSuch = (response: Response): void =>
    refuse(response, 404, 'not_found_error', 'there is no such conversation (any more)');
  router.get('/', (_request, response) => {
    response.json({ conversations: views.all() } satisfies ConversationsAnswer);
  });
  router.get('/:id', (request, response) => {
    const id = views.find(request.params.id);
    const conversation = id === null ? null : views.view(id);
    const whole = id === null ? null : views.detail(id);
    if (conversation === null || whole === null) {
      noneSuch(response);
      return;
    }
    const { checkpoint, lastSwap, marks, phases, samples } = whole;
    const detail = { id: whole.id, phases, samples, marks, checkpoint, lastSwap };
    response.json({ conversation, detail } satisfies ConversationAnswer);
  });
  router.post('/:id/reset', (request, response) => {
    const id = views.find(request.params.id);
    const done = id !== null && reset(id);
    const conversation = id === null ? null : views.view(id);
    if (!done || conversation === null) noneSuch(response);
    else response.json({ conversation } satisfies ResetAnswer);
  });
}

/** Adds everything. `guardedAt(path)` is a router for all below `path` that is reached with the token only. */
export function addDashboardRoutes(guardedAt: (path: string) => Router, options: DashboardRoutesOptions): void {
  const { metrics } = options;
  addDashboardPage(guardedAt('/dashboard'), options.page ?? BUILT);
  addConversationRoutes(guardedAt('/api/conversations'), options);
  addHistoryRoutes(guardedAt('/api/history'), options.history);
  guardedAt('/api/openapi.json').get('/', (_request, response) => {
    response.json(openApiDocument());
  });
  guardedAt('/metrics').get('/', async (_request, response) => {
    response.set('content-type', metrics.contentType).send(await metrics.text());
  });
}
