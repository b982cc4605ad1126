/**
 * The whole proxy, put together: the one place where machines meet sockets.
 *
 *   redirector ─▶ forwarder ─▶ messages ─▶ conversations ─▶ actors (machines/)
 *                     │            │             │
 *                     └────────────┴─ upstream ◀─┴─ checkpoint calls
 *
 * Beside it stands the dashboard, which is told what happens and shows it.
 */
import { createActor, fromCallback, fromPromise, toPromise } from 'xstate';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { conversationMachine, retryPause } from '../machines/conversation.ts';
import { serviceMachine, type ServiceName } from '../machines/service.ts';
import { conversationChild, supervisorMachine, type SupervisorActor } from '../machines/supervisor.ts';
import { milliseconds, timestamp, type ConversationId } from '../machines/units.ts';
import { openAccess, type Access } from './admin/access/access.ts';
import { exposure } from './admin/access/exposure.ts';
import { ownHosts } from './admin/access/hosts.ts';
import { tokenFile } from './admin/access/token.ts';
import { ByteBudget } from './net/byte-budget.ts';
import { isUnspecified } from './net/addresses.ts';
import { openCertificates } from './certificates/certificates.ts';
import { CheckpointGate, isoOrNull } from './checkpoint/gate.ts';
import { monotonicClock } from './clock.ts';
import type { Config } from './config.ts';
import { CheckpointCalls } from './checkpoint/calls.ts';
import { CheckpointIndex } from './checkpoint/index.ts';
import { Compactions } from './compaction/compactions.ts';
import { Conversations } from './conversations/conversations.ts';
import type { ActorHost } from './conversations/actors.ts';
import { ConversationDirectory } from './conversations/directory.ts';
import { observedKeeper } from './facts.ts';
import { Dashboard } from './dashboard/dashboard.ts';
import { DeferredWork } from './forwarder/deferred-work.ts';
import { createForwarder, type Forwarder } from './forwarder/forwarder.ts';
import { createOwnPages, type Health } from './admin/health.ts';
import type { Log } from './log.ts';
import { OpenConnections } from './net/open-connections.ts';
import { ownListener } from './redirector/tunnel-policy.ts';
import { createRedirector, type Redirector } from './redirector/redirector.ts';
import { CompactionHistory } from './store/history.ts';
import { StateStore } from './store/state-store.ts';
import { StoreService } from './store/store-service.ts';
import { ModelWindows } from './upstream/model-windows.ts';
import { UpstreamConnections } from './upstream/connections.ts';
import { loadClient, openHttpClient } from './upstream/http-client.ts';
import { OutboundTunnels } from './upstream/outbound-tunnel.ts';
import { VERSION } from './version.ts';

/** The API's name, for which the proxy has a certificate. */
const API_HOST = 'api.anthropic.com';
/** Time for requests under way to end at a shutdown. */
const DRAIN_MS = 8_000;
const DAY_MS = 86_400_000;
/** When what only pages and checkpoint calls need is loaded: once whoever waits for the start has seen it. */
const PRELOAD_MS = 200;
/** How often unneeded checkpoints are looked for. */
const SWEEP_MS = 60_000;

export interface ProxyPorts {
  readonly proxy: number;
  readonly dashboard: number;
}

/** A running proxy. */
export interface Proxy {
  readonly ports: ProxyPorts;
  /** The CA certificate that clients have to trust, for `NODE_EXTRA_CA_CERTS`. */
  readonly caPath: string;
  /** Who may see our own pages. */
  readonly access: Access;
  /** A line for people where other machines reach the listeners; null where none does. */
  readonly exposed: string | null;
  readonly supervisor: SupervisorActor;
  readonly conversations: Conversations;
  readonly dashboard: Dashboard;
  /** Compactions and checkpoints of the last 90 days. */
  readonly history: CompactionHistory;
  /** Resolves once what nobody waited for at the start is loaded; with false where it cannot be, or is not any more. */
  readonly preloaded: Promise<boolean>;
  /** Stops accepting, drains, ends every conversation. Resolves when nothing is left. */
  stop(): Promise<void>;
}

/** What can fail by itself and be started again alone. */
interface Service {
  /** Resolves with the port it listens on; null for one that listens nowhere. */
  start(): Promise<number | null>;
  /** Called when it fails later. Returns how to stop being called. */
  onFailure(told: (error: Error) => void): () => void;
  close(): Promise<void>;
}

/** What may be replaced, in tests above all. */
export interface ProxyOptions {
  readonly config: Config;
  readonly log: Log;
  /** CA certificates to trust on the way out instead of the built-in ones and those of `NODE_EXTRA_CA_CERTS` (PEM). */
  readonly upstreamCa?: readonly string[];
}

/**
 * Starts the proxy. Resolves when both listeners listen.
 *
 * @throws CertificateError; Error with the reason when a listener cannot be bound, nothing left running
 */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { config } = options;
  const began = Date.now();
  const now = () => timestamp(Date.now());
  const dashboard: Dashboard = new Dashboard({
    log: options.log,
    thresholds: config.thresholds,
    passthrough: config.passthrough,
    inspectUrl: config.inspectUrl?.href ?? null,
    now,
    sources: {
      roots: () => [supervisor, gate.actor],
      checkpoint: (id) => index.get(id),
      checkpointsHeld: () => index.size,
      callsRunning: () => calls.size,
      breaker: () => gate.breaker,
      history: () => history,
      reset: (id) => conversations.reset(id),
      setup: () => ({ proxyUrl: proxyUrl(config, ports.redirector), caPath: certificates.caPath }),
    },
  });
  const { log, observe } = dashboard;
  const certificates = await openCertificates({
    directory: join(config.dataDir, 'certs'),
    now: () => new Date(),
    log,
  });
  const steady = monotonicClock();
  const ports: Partial<Record<ServiceName, number>> = {};
  /** The address behind `config.host`, which may be a name. */
  let bound = config.host;
  const access = await openAccess({
    file: tokenFile(config.dataDir),
    hosts: ownHosts(config.host, config.allowedHosts),
    port: () => ports.forwarder,
    log,
  });
  const isOurs = ownListener(
    config.host,
    (port) => port === config.proxyPort || port === config.dashboardPort || Object.values(ports).includes(port),
  );
  const ca = options.upstreamCa;
  const wayOut = new OutboundTunnels({ proxy: config.outboundProxy, isOurs, ca });
  const upstream = openHttpClient({ url: config.upstreamUrl, ca, wayOut });
  const connections = new UpstreamConnections({ url: config.upstreamUrl, ca, wayOut });
  const modelWindows = new ModelWindows({ upstream, log, enabled: !config.passthrough });
  const open = new OpenConnections({ limit: config.maxConnections, log });
  const budget = new ByteBudget({ limit: config.maxBufferedBytes, log });
  const store = new StateStore({
    file: join(config.dataDir, 'state', 'dbproxy.sqlite'),
    log,
    now,
    ttl: config.conversationTtl,
  });
  const history = new CompactionHistory(store);
  const index = new CheckpointIndex(observedKeeper(store, observe));
  const gate = new CheckpointGate({ limit: config.maxCheckpoints, log, now: steady });
  const calls = new CheckpointCalls({ upstream, gate, index, budget, log, now, steady, observe });
  const directory = new ConversationDirectory();

  const actors: ActorHost = {
    open(input) {
      supervisor.send({ type: 'conversation.opened', input });
      return actors.get(input.id);
    },
    get(id: ConversationId) {
      const child = supervisor.getSnapshot().children[conversationChild(id)];
      return child as ReturnType<ActorHost['get']>;
    },
    close: (id) => supervisor.send({ type: 'conversation.closed', id }),
  };
  const learnedWindows = modelWindows.learned;
  const conversations = new Conversations({
    config,
    actors,
    directory,
    index,
    calls,
    learnedWindows,
    durable: store,
    log,
    now,
    steady,
    observe,
  });
  const compactions = new Compactions({ config, conversations, calls, log, now, observe });

  const health = (): Health => ({
    status: 'ok',
    version: VERSION,
    uptime_s: Math.round((Date.now() - began) / 1_000),
    conversations: conversations.size,
    checkpoints: index.size,
    passthrough: config.passthrough,
    checkpoint_breaker: gate.breaker.state,
    checkpoints_resume_at: isoOrNull(gate.breaker.resumesAt),
    store: store.isOpen ? 'open' : 'closed',
    connections: open.size,
    buffered_bytes: budget.used,
    checkpoint_threshold: config.thresholds.checkpoint,
    swap_threshold: config.thresholds.swap,
    open_connections: forwarder.openConnections + redirector.counts().blind,
    checkpoint_calls: calls.size,
    pid: process.pid,
  });
  const ownPages = createOwnPages({
    health,
    access,
    log,
    async load() {
      const { openPages } = await import('./admin/app.ts');
      const { passthrough } = config;
      return openPages({ access, log, dashboard, conversations, passthrough, totals: () => history.totals() });
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
    compactions,
    modelWindows,
    budget,
    afterwards: new DeferredWork(log),
    open,
    observe,
    drainMs: DRAIN_MS,
    isOwnHost: (host) => access.isOwnHost(host),
    ownPages,
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

  const keeping = new StoreService({
    store,
    log,
    steady,
    onOpen() {
      conversations.writeAll();
      const kept = store.checkpoints();
      for (const { checkpoint } of kept) index.restore(checkpoint, steady());
      return { checkpoints: kept.length };
    },
  });
  const wanted = { forwarder: config.dashboardPort, redirector: config.proxyPort };
  const listener = (name: keyof typeof wanted, socket: Forwarder | Redirector): Service => ({
    async start() {
      // A port that was chosen freely once is kept: clients know it.
      const { address, port } = await socket.listen(config.host, ports[name] ?? wanted[name]);
      ports[name] = port;
      bound = address;
      log.info('listener.listening', { listener: name, host: config.host, port });
      return port;
    },
    onFailure: (told) => socket.onFailure(told),
    close: () => socket.close(),
  });
  const services: Record<ServiceName, Service> = {
    forwarder: listener('forwarder', forwarder),
    redirector: listener('redirector', redirector),
    store: {
      start() {
        keeping.start();
        dashboard.remember(history);
        return Promise.resolve(null);
      },
      onFailure: (told) => keeping.onFailure(told),
      close() {
        keeping.close();
        return Promise.resolve();
      },
    },
    dashboard: {
      start() {
        dashboard.open(forwarder.pages, access);
        return Promise.resolve(null);
      },
      onFailure: (told) => dashboard.onFailure(told),
      close() {
        dashboard.close();
        return Promise.resolve();
      },
    },
  };
  const supervisor = createActor(
    supervisorMachine.provide({
      actors: {
        conversation: conversationMachine.provide({
          actors: { computeCheckpoint: fromPromise(({ input, signal }) => calls.compute(input, signal)) },
          delays: {
            retryPause({ context }) {
              const pause = milliseconds(retryPause(context, Math.random()));
              observe({ type: 'checkpoint.postponed', conversation: context.id, pause });
              return pause;
            },
          },
        }),
        service: serviceMachine.provide({
          actors: {
            start: fromPromise(async ({ input }) => ({ port: await services[input.name].start() })),
            watch: fromCallback(({ input, sendBack }) =>
              services[input.name].onFailure((error) => {
                sendBack({ type: 'service.failed', reason: error.message });
              }),
            ),
            close: fromPromise(async ({ input }) => {
              await services[input.name].close();
              return undefined;
            }),
          },
        }),
      },
    }),
  );
  supervisor.subscribe({
    error: (error: unknown) =>
      log.error('supervisor.failed', { message: error instanceof Error ? error.message : String(error) }),
  });

  const renewal = setInterval(() => {
    store.forgetOldHistory();
    void certificates.renewIfDue().then((renewed) => {
      if (renewed) forwarder.reloadCertificates();
    });
  }, DAY_MS);
  const sweep = setInterval(() => {
    index.expire(timestamp(steady() - config.conversationTtl));
    store.checkFile();
  }, SWEEP_MS);
  const release = async (): Promise<void> => {
    clearInterval(renewal);
    clearInterval(sweep);
    gate.close();
    connections.close();
    await upstream.close();
  };

  const stopped = toPromise(supervisor);
  stopped.catch(() => undefined); // told to the log above, and to whoever calls stop()
  supervisor.start();
  const running = new Promise<void>((resolve) => {
    const subscription = supervisor.subscribe((snapshot) => {
      if (!snapshot.matches('running')) return;
      subscription.unsubscribe();
      resolve();
    });
  });
  const output = await Promise.race([running, stopped]);
  const { forwarder: dashboardPort, redirector: proxyPort } = ports;
  if (output !== undefined || dashboardPort === undefined || proxyPort === undefined) {
    await release();
    throw new Error(output?.startFailure ?? 'the proxy stopped before it ran');
  }
  wayOut.announce(log);
  const preloading = new AbortController();
  const preloaded = delay(PRELOAD_MS, undefined, { ref: false, signal: preloading.signal })
    .then(() => Promise.all([ownPages.ready('/'), loadClient()]))
    .then(
      () => true,
      () => false,
    );
  const exposed = exposure(bound, [proxyPort, dashboardPort]);
  if (exposed !== null) log.warn('listener.exposed', { address: bound, message: exposed });
  return {
    ports: { proxy: proxyPort, dashboard: dashboardPort },
    caPath: certificates.caPath,
    access,
    exposed,
    supervisor,
    conversations,
    dashboard,
    history,
    preloaded,
    async stop() {
      supervisor.send({ type: 'shutdown.requested' });
      await stopped;
      preloading.abort();
      await release();
    },
  };
}

/** Where clients reach the proxy from this machine. */
function proxyUrl({ host, proxyPort }: Config, port = proxyPort): string {
  const reachable = isUnspecified(host) ? '127.0.0.1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}
