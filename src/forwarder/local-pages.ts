/** What is ours on `https://localhost:8443`: `/health`. */
import express, { Router, type Express } from 'express';

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
  /** `closed`: state is kept in memory only until the file can be opened again. */
  readonly store: 'open' | 'closed';
}

/** @param routes adds pages: what it is given makes a router for all below a path */
export function createLocalPages(health: () => Health, routes?: (at: (path: string) => Router) => void): Express {
  const app = express();
  app.disable('x-powered-by');
  app.get('/health', (_request, response) => {
    response.set('cache-control', 'no-store').json(health());
  });
  routes?.((path) => {
    const router = Router();
    app.use(path, router);
    return router;
  });
  app.use((_request, response) => {
    response.status(404).json({
      type: 'error',
      error: { type: 'not_found_error', message: 'claude-db-proxy: there is no such page; see /health' },
    });
  });
  return app;
}
