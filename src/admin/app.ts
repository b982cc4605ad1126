/**
 * Everything that only our own pages need, Express and socket.io with it. Imported when the first of them is asked for, or a
 * moment after the start (forwarder/health.ts).
 */
import type { RequestListener } from 'node:http';
import { Server } from 'socket.io';
import type { Access } from './access/access.ts';
import type { Dashboard } from '../dashboard/dashboard.ts';
import { addRoutes } from './conversation-routes.ts';
import { createLocalPages } from './plain-http.ts';
import type { Log } from '../log.ts';
import { addStatusPages, type StatusPagesOptions } from './status-routes.ts';

export interface PagesOptions extends StatusPagesOptions {
  readonly access: Access;
  readonly log: Log;
  readonly dashboard: Dashboard;
}

/** Makes them, and lets browsers into the dashboard. */
export function openPages(options: PagesOptions): RequestListener {
  const { access, dashboard, log } = options;
  dashboard.use(Server);
  return createLocalPages({
    access,
    log,
    routes(guardedAt) {
      addRoutes(guardedAt, dashboard.shown);
      addStatusPages(guardedAt, options);
    },
  });
}
