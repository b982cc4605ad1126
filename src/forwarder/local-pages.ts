/** What is ours on `https://localhost:8443`: `/health`. */
import express, { type Express } from 'express';
import type { BreakerStatus } from '../checkpoint/gate.ts';

/** The answer of `GET /health`. Later fields may be added, none is ever taken away. */
export interface Health {
  readonly status: 'ok';
  readonly version: string;
  readonly uptime_s: number;
  readonly conversations: number;
  readonly checkpoints: number;
  readonly passthrough: boolean;
  /** `open`: many checkpoint calls failed just now, and none is made for a while. */
  readonly checkpoint_breaker: BreakerStatus['state'];
  /** ISO time from which they are made again; null unless the breaker is open. */
  readonly checkpoints_resume_at: string | null;
  /** `closed`: state is kept in memory only until the file can be opened again. */
  readonly store: 'open' | 'closed';
}

export function createLocalPages(health: () => Health): Express {
  const app = express();
  app.disable('x-powered-by');
  app.get('/health', (_request, response) => {
    response.set('cache-control', 'no-store').json(health());
  });
  app.use((_request, response) => {
    response.status(404).json({
      type: 'error',
      error: { type: 'not_found_error', message: 'claude-db-proxy: there is no such page; see /health' },
    });
  });
  return app;
}
