/** The proxy's own pages: the dashboard, and everything over HTTP. Both read the running parts of the proxy. */
import type { SupervisorActor } from '../machines/supervisor.ts';
import type { Access } from './admin/access/access.ts';
import { healthReport, type HealthReportOptions } from './admin/health-report.ts';
import { createAdminPages, type AdminPages } from './admin/health.ts';
import type { Certificates } from './certificates/certificates.ts';
import { Dashboard, type DashboardOptions } from './dashboard/dashboard.ts';
import type { Listeners } from './listeners.ts';
import { localUrl } from './net/addresses.ts';
import type { BoundAddresses } from './services.ts';
import type { CompactionHistory } from './store/history.ts';

export interface PagesOptions
  extends Omit<HealthReportOptions, keyof Listeners>, Pick<DashboardOptions, 'log' | 'facts' | 'events' | 'now'> {
  readonly access: Access;
  readonly bound: BoundAddresses;
  readonly certificates: Certificates;
  readonly history: CompactionHistory;
  /** Created after the pages. */
  readonly supervisor: () => SupervisorActor;
  /** Created after the pages. */
  readonly listeners: () => Listeners;
}

export interface Pages {
  readonly dashboard: Dashboard;
  readonly adminPages: AdminPages;
}

export function createPages(options: PagesOptions): Pages {
  const { access, bound, calls, certificates, config, conversations, events, facts } = options;
  const { gate, history, index, listeners, log, now, supervisor } = options;
  const { passthrough } = config;
  const dashboard = new Dashboard({
    log,
    facts,
    events,
    thresholds: config.thresholds,
    passthrough,
    inspectUrl: config.inspectUrl?.href ?? null,
    now,
    sources: {
      root: supervisor,
      checkpoint: (id) => index.get(id),
      checkpointsHeld: () => index.size,
      callsRunning: () => calls.size,
      breaker: () => gate.breaker,
      history: () => history,
      reset: (id) => conversations.reset(id),
      setup: () => ({
        proxyUrl: localUrl(config.host, bound.portFor('redirector')),
        caPath: certificates.caPath,
      }),
    },
  });
  const adminPages = createAdminPages({
    health: () => healthReport({ ...options, ...listeners() }),
    access,
    log,
    async load() {
      const { openAdminApp } = await import('./admin/app.ts');
      return openAdminApp({ access, log, dashboard, conversations, passthrough, totals: () => history.totals() });
    },
  });
  return { dashboard, adminPages };
}
