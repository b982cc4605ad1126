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
import { toPromise } from 'xstate';
import type { SupervisorActor } from '../machines/supervisor.ts';
import { timestamp } from '../machines/units.ts';
import { openAccess, type Access } from './admin/access/access.ts';
import { exposure } from './admin/access/exposure.ts';
import { ownHosts } from './admin/access/hosts.ts';
import { tokenFile } from './admin/access/token.ts';
import { healthReport } from './admin/health-report.ts';
import { createAdminPages } from './admin/health.ts';
import { openCertificates } from './certificates/certificates.ts';
import { CheckpointCalls } from './checkpoint/calls.ts';
import { CheckpointGate } from './checkpoint/gate.ts';
import { CheckpointIndex } from './checkpoint/index.ts';
import { monotonicClock } from './clock.ts';
import { Compactions } from './compaction/compactions.ts';
import { recordCompactions } from './compaction/records.ts';
import type { Config } from './config/config.ts';
import { Conversations } from './conversations/conversations.ts';
import { ConversationDirectory } from './conversations/directory.ts';
import { RequestWindows } from './conversations/request-windows.ts';
import { Turns } from './conversations/turns.ts';
import { Dashboard } from './dashboard/dashboard.ts';
import { EventLog } from './dashboard/event-log.ts';
import { createFacts, publishingRepository } from './facts.ts';
import { logFacts } from './fact-log.ts';
import { messageOf } from './errors.ts';
import { DeferredWork } from './forwarder/deferred-work.ts';
import { createForwarder } from './forwarder/forwarder.ts';
import { startHousekeeping } from './housekeeping.ts';
import type { Log } from './log.ts';
import { isUnspecified } from './net/addresses.ts';
import { ByteBudget } from './net/byte-budget.ts';
import { OpenConnections } from './net/open-connections.ts';
import { createRedirector } from './redirector/redirector.ts';
import { ownListener } from './redirector/tunnel-policy.ts';
import {
  breakerOf,
  createServices,
  createSupervisor,
  supervisedActors,
  whenRunning,
  type BoundAddresses,
} from './services.ts';
import { CompactionHistory } from './store/history.ts';
import { StateStore } from './store/state-store.ts';
import { StoreService } from './store/store-service.ts';
import { UpstreamConnections } from './upstream/connections.ts';
import { loadClient, openHttpClient } from './upstream/http-client.ts';
import { ModelWindows } from './upstream/model-windows.ts';
import { OutboundTunnels } from './upstream/outbound-tunnel.ts';

/** The API's name, for which the proxy has a certificate. */
const API_HOST = 'api.anthropic.com';
/** Time that requests in progress have to end at a shutdown. */
const DRAIN_MS = 8_000;

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
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { config, upstreamCa: ca } = options;
  const began = Date.now();
  const now = () => timestamp(Date.now());
  const monotonicNow = monotonicClock();
  const events = new EventLog(now);
  const log = events.tap(options.log);
  const facts = createFacts((error) => log.error('observer.failed', { message: messageOf(error) }));
  facts.subscribe(logFacts(log));
  const { publish } = facts;
  const bound: BoundAddresses = { ports: {}, address: config.host };

  const directory = join(config.dataDir, 'certs');
  const certificates = await openCertificates({ directory, now: () => new Date(), log });
  const hosts = ownHosts(config.host, config.allowedHosts);
  const file = tokenFile(config.dataDir);
  const access = await openAccess({ file, hosts, port: () => bound.ports.forwarder, log });
  const stateFile = join(config.dataDir, 'state', 'dbproxy.sqlite');
  const store = new StateStore({ file: stateFile, log, now, ttl: config.conversationTtl });
  const history = new CompactionHistory(store);
  facts.subscribe(recordCompactions(store, now));

  const isOurs = ownListener(config.host, (port) =>
    [config.proxyPort, config.dashboardPort, ...Object.values(bound.ports)].includes(port),
  );
  const wayOut = new OutboundTunnels({ proxy: config.outboundProxy, isOurs, ca });
  const upstream = openHttpClient({ url: config.upstreamUrl, ca, wayOut });
  const connections = new UpstreamConnections({ url: config.upstreamUrl, ca, wayOut });
  const modelWindows = new ModelWindows({ upstream, log, enabled: !config.passthrough });
  const open = new OpenConnections({ limit: config.maxConnections, log });
  const budget = new ByteBudget({ limit: config.maxBufferedBytes, log });

  const index = new CheckpointIndex(publishingRepository(store, publish));
  const gate = new CheckpointGate({
    limit: config.maxCheckpoints,
    now: monotonicNow,
    breaker: () => breakerOf(supervisor),
  });
  const calls = new CheckpointCalls({ upstream, gate, index, budget, now, monotonicNow, publish });
  const conversations = new Conversations({
    config,
    actors: supervisedActors(() => supervisor),
    directory: new ConversationDirectory(),
    index,
    calls,
    repository: store,
    now,
    facts,
  });
  const windows = new RequestWindows({ config, learned: modelWindows.learned });
  const shared = { config, conversations, index, calls, windows, now, monotonicNow, publish };
  const turns = new Turns(shared);
  const compactions = new Compactions({ ...shared, turns });

  const dashboard: Dashboard = new Dashboard({
    log,
    facts,
    events,
    thresholds: config.thresholds,
    passthrough: config.passthrough,
    inspectUrl: config.inspectUrl?.href ?? null,
    now,
    sources: {
      root: () => supervisor,
      checkpoint: (id) => index.get(id),
      checkpointsHeld: () => index.size,
      callsRunning: () => calls.size,
      breaker: () => gate.breaker,
      history: () => history,
      reset: (id) => conversations.reset(id),
      setup: () => ({ proxyUrl: proxyUrl(config, bound.ports.redirector), caPath: certificates.caPath }),
    },
  });
  const adminPages = createAdminPages({
    health: () =>
      healthReport({ config, began, conversations, index, calls, gate, store, open, budget, forwarder, redirector }),
    access,
    log,
    async load() {
      const { openAdminApp } = await import('./admin/app.ts');
      const { passthrough } = config;
      return openAdminApp({ access, log, dashboard, conversations, passthrough, totals: () => history.totals() });
    },
  });

  const forwarder = createForwarder({
    apiHost: API_HOST,
    certificates,
    connections,
    upstreamHost: config.upstreamUrl.host,
    upstreamPrefix: config.upstreamUrl.pathname.replace(/\/$/, ''),
    log,
    conversations,
    turns,
    compactions,
    modelWindows,
    budget,
    deferredWork: new DeferredWork(log),
    open,
    observe: publish,
    drainMs: DRAIN_MS,
    isOwnHost: (host) => access.isOwnHost(host),
    adminPages,
  });
  const redirector = createRedirector({
    apiHost: API_HOST,
    deliver: (socket, head) => forwarder.deliver(socket, head),
    isOwn: isOurs,
    open,
    connect: (host, port, allows) => wayOut.open({ host, port, secure: true }, { allowHalfOpen: true, allows }),
    log,
    timeouts: { drainMs: DRAIN_MS },
  });
  const storeService = new StoreService({
    store,
    log,
    monotonicNow,
    onOpen() {
      conversations.persistence.saveAll(conversations.actors.ids);
      const kept = store.checkpoints();
      for (const { checkpoint } of kept) index.restore(checkpoint, monotonicNow());
      return { checkpoints: kept.length };
    },
  });
  const services = createServices({
    config,
    log,
    access,
    bound,
    forwarder,
    redirector,
    store: storeService,
    dashboard,
    history,
  });
  const supervisor = createSupervisor({ services, calls, publish, log });
  const housekeeping = startHousekeeping({
    certificates,
    forwarder,
    index,
    store,
    ttl: config.conversationTtl,
    monotonicNow,
    preload: () => Promise.all([adminPages.ready('/'), loadClient()]),
  });
  const release = async (): Promise<void> => {
    housekeeping.stop();
    connections.close();
    await upstream.close();
  };

  const stopped = toPromise(supervisor);
  stopped.catch(() => undefined); // logged by the supervisor's observer; stop() rejects with it
  supervisor.start();
  const ended = await Promise.race([whenRunning(supervisor), stopped]);
  const { forwarder: dashboardPort, redirector: proxyPort } = bound.ports;
  if (ended !== undefined || dashboardPort === undefined || proxyPort === undefined) {
    await release();
    throw new Error(ended?.startFailure ?? 'the proxy stopped before it ran');
  }
  wayOut.announce(log);
  const exposed = exposure(bound.address, [proxyPort, dashboardPort]);
  if (exposed !== null) log.warn('listener.exposed', { address: bound.address, message: exposed });
  return {
    ports: { proxy: proxyPort, dashboard: dashboardPort },
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
      supervisor.send({ type: 'shutdown.requested' });
      await stopped;
      await release();
    },
  };
}

/** Where clients reach the proxy from this machine. */
function proxyUrl({ host, proxyPort }: Config, port = proxyPort): string {
  const reachable = isUnspecified(host) ? '127.0.0.1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}
