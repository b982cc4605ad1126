/**
 * The proxy, put together: the one place where machines meet sockets. Everything here is wiring.
 *
 *   redirector ─▶ forwarder ─▶ messages ─▶ conversations ─▶ actors (machines/)
 *                     │            │             │
 *                     └────────────┴─ upstream ◀─┴─ checkpoint calls
 *
 * The log and the facts come first; the dashboard only subscribes to them.
 */
import { join } from 'node:path';
import type { SupervisorActor } from '../machines/supervisor.ts';
import { timestamp } from '../machines/units.ts';
import { openAccess, type Access } from './admin/access/access.ts';
import { exposure } from './admin/access/exposure.ts';
import { openCertificates } from './certificates/certificates.ts';
import { monotonicClock } from './clock.ts';
import type { Config } from './config/config.ts';
import type { Conversations } from './conversations/conversations.ts';
import type { Turns } from './conversations/turns.ts';
import type { Dashboard } from './dashboard/dashboard.ts';
import { EventLog } from './dashboard/event-log.ts';
import { createDoubleBuffer } from './double-buffer.ts';
import { createLoggedFacts } from './fact-log.ts';
import { startHousekeeping } from './housekeeping.ts';
import { createListeners, type Listeners } from './listeners.ts';
import type { Log } from './log.ts';
import { ByteBudget } from './net/byte-budget.ts';
import { OpenConnections } from './net/open-connections.ts';
import { createPages } from './pages.ts';
import { ownListener } from './redirector/tunnel-policy.ts';
import { BoundAddresses, createServices } from './services.ts';
import type { CompactionHistory } from './store/history.ts';
import { createStore } from './store/store.ts';
import { breakerOf, createSupervisor, runSupervisor, supervisedActors } from './supervisor.ts';
import { loadClient } from './upstream/http-client.ts';
import { openUpstream } from './upstream/upstream.ts';

export interface ProxyPorts {
  readonly proxy: number;
  readonly dashboard: number;
}

/** A running proxy. */
export interface Proxy {
  readonly ports: ProxyPorts;
  /** The CA certificate that clients have to trust, for `NODE_EXTRA_CA_CERTS`. */
  readonly caPath: string;
  /** Who may see the proxy's own pages. */
  readonly access: Access;
  /** A warning for people when other machines reach the listeners; null when none does. */
  readonly exposed: string | null;
  readonly supervisor: SupervisorActor;
  readonly conversations: Conversations;
  readonly turns: Turns;
  readonly dashboard: Dashboard;
  /** The log, as the log page shows it too. */
  readonly log: Log;
  /** Compactions and checkpoints of the last 90 days. */
  readonly history: CompactionHistory;
  /** Resolves once the modules that the data path does not need are loaded; with false when that failed or was stopped. */
  readonly preloaded: Promise<boolean>;
  /** Stops accepting, drains, ends every conversation. Resolves when nothing is left. */
  stop(): Promise<void>;
}

export interface ProxyOptions {
  readonly config: Config;
  readonly log: Log;
  /** CA certificates (PEM) that replace the built-in ones and `NODE_EXTRA_CA_CERTS` towards the API; for tests. */
  readonly upstreamCa?: readonly string[];
}

/**
 * Starts the proxy. Resolves when both listeners listen.
 *
 * @throws CertificateError, FileError; Error with the reason when a listener cannot be bound; nothing is left running
 */
export async function startProxy({ config, log: logger, upstreamCa: ca }: ProxyOptions): Promise<Proxy> {
  const now = () => timestamp(Date.now());
  const began = now();
  const monotonicNow = monotonicClock();
  const events = new EventLog(now);
  const log = events.tap(logger);
  const facts = createLoggedFacts(log);

  const certificates = await openCertificates({ directory: join(config.dataDir, 'certs'), now: () => new Date(), log });
  const bound = new BoundAddresses(config);
  const access = await openAccess({ config, port: () => bound.ports.forwarder, log });
  const { history, store } = createStore({ config, facts, log, now });
  const openConnections = new OpenConnections({ limit: config.maxConnections, log });
  const budget = new ByteBudget({ limit: config.maxBufferedBytes, log });
  const isOwn = ownListener(config.host, (port) => bound.hasPort(port));
  const upstream = openUpstream({ config, isOwn, ca, log });
  const actors = supervisedActors(() => supervisor);
  const breaker = () => breakerOf(supervisor);
  const common = { config, store, budget, now, monotonicNow, facts, publish: facts.publish, upstream };
  const buffer = createDoubleBuffer({ ...common, actors, breaker });
  const { conversations, turns } = buffer;

  const shared = { ...buffer, ...common, access, bound, certificates, history, log, openConnections };
  const { adminPages, dashboard } = createPages({
    ...shared,
    began,
    events,
    supervisor: () => supervisor,
    listeners: () => listeners,
  });
  const listeners: Listeners = createListeners({ ...shared, adminPages, isOwn });
  const services = createServices({ ...shared, ...listeners, dashboard, onStoreOpen: () => buffer.synchronise() });
  const supervisor: SupervisorActor = createSupervisor({ ...shared, services });
  const housekeeping = startHousekeeping({
    ...shared,
    forwarder: listeners.forwarder,
    ttl: config.conversationTtl,
    preload: () => Promise.all([adminPages.ready('/'), loadClient()]),
  });
  const release = async (): Promise<void> => {
    housekeeping.stop();
    await upstream.close();
  };

  const running = runSupervisor(supervisor);
  try {
    await running.started;
  } catch (error) {
    await release();
    throw error;
  }
  const ports = { proxy: bound.portFor('redirector'), dashboard: bound.portFor('forwarder') };
  upstream.tunnels.announce(log);
  const exposed = exposure(bound.address, [ports.proxy, ports.dashboard]);
  if (exposed !== null) log.warn('listener.exposed', { address: bound.address, message: exposed });
  return {
    ports,
    caPath: certificates.caPath,
    access,
    exposed,
    supervisor,
    conversations,
    turns,
    dashboard,
    log,
    history,
    preloaded: housekeeping.preload(),
    async stop() {
      await running.stop();
      await release();
    },
  };
}
