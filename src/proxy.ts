/**
 * The whole proxy, put together: the one place where machines meet sockets.
 *
 *   redirector ─▶ forwarder ─▶ messages ─▶ conversations ─▶ actors (machines/)
 *                     │            │             │
 *                     └────────────┴─ upstream ◀─┴─ checkpoint calls
 */
import { createActor, fromCallback, fromPromise, toPromise } from 'xstate';
import { join } from 'node:path';
import { conversationMachine, retryPause } from '../machines/conversation.ts';
import { serviceMachine, type ServiceName } from '../machines/service.ts';
import { conversationChild, supervisorMachine, type SupervisorActor } from '../machines/supervisor.ts';
import { timestamp, type ConversationId, type Timestamp } from '../machines/units.ts';
import { openCertificates } from './certificates/certificates.ts';
import { steadyClock } from './clock.ts';
import type { Config } from './config.ts';
import { CheckpointCalls } from './conversations/checkpoint-calls.ts';
import { CheckpointIndex } from './conversations/checkpoint-index.ts';
import { Compactions } from './conversations/compactions.ts';
import { Conversations, type ConversationActors } from './conversations/conversations.ts';
import { ConversationDirectory } from './conversations/directory.ts';
import { createForwarder, type Forwarder } from './forwarder/forwarder.ts';
import { createLocalPages } from './forwarder/local-pages.ts';
import type { Log } from './log.ts';
import { createRedirector, type Redirector } from './redirector/redirector.ts';
import { CompactionHistory } from './store/history.ts';
import { StateStore } from './store/state-store.ts';
import { ModelWindows } from './upstream/model-windows.ts';
import { UpstreamConnections } from './upstream/connections.ts';
import { isLoopback } from './upstream/no-proxy.ts';
import { openUpstream } from './upstream/upstream.ts';
import { WayOut } from './upstream/way-out.ts';
import { addStatusPages } from './status-pages.ts';
import { VERSION } from './version.ts';

/** The API's name, for which the proxy has a certificate. */
const API_HOST = 'api.anthropic.com';
/** Time for requests under way to end at a shutdown. */
const DRAIN_MS = 8_000;
const DAY_MS = 86_400_000;
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
  readonly supervisor: SupervisorActor;
  readonly conversations: Conversations;
  /** Compactions and checkpoints of the last 90 days. */
  readonly history: CompactionHistory;
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
  const { config, log } = options;
  const began = Date.now();
  const now = () => timestamp(Date.now());
  const certificates = await openCertificates({
    directory: join(config.dataDir, 'certs'),
    now: () => new Date(),
    log,
  });
  const steady = steadyClock();
  const ports: Partial<Record<ServiceName, number>> = {};
  const isOurs = (host: string, port: number): boolean =>
    (isLoopback(host) || host === config.host) && (port === config.proxyPort || Object.values(ports).includes(port));
  const ca = options.upstreamCa;
  const wayOut = new WayOut({ proxy: config.outboundProxy, isOurs, ca });
  const upstream = openUpstream({ url: config.upstreamUrl, ca, wayOut });
  const connections = new UpstreamConnections({ url: config.upstreamUrl, ca, wayOut });
  const modelWindows = new ModelWindows({ upstream, log, enabled: !config.passthrough });
  const store = new StateStore({
    file: join(config.dataDir, 'state', 'dbproxy.sqlite'),
    log,
    now,
    ttl: config.conversationTtl,
  });
  const history = new CompactionHistory(store);
  const index = new CheckpointIndex(store);
  const calls = new CheckpointCalls({ upstream, index, log, now, steady });
  const directory = new ConversationDirectory();

  const actors: ConversationActors = {
    open(input) {
      supervisor.send({ type: 'conversation.opened', input });
      return actors.get(input.id);
    },
    get(id: ConversationId) {
      const child = supervisor.getSnapshot().children[conversationChild(id)];
      return child as ReturnType<ConversationActors['get']>;
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
  });
  const compactions = new Compactions({ config, conversations, calls, log, now });

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
    drainMs: DRAIN_MS,
    local: createLocalPages(
      () => ({
        status: 'ok',
        version: VERSION,
        uptime_s: Math.round((Date.now() - began) / 1_000),
        conversations: conversations.size,
        checkpoints: index.size,
        passthrough: config.passthrough,
        store: store.isOpen ? 'open' : 'closed',
        checkpoint_threshold: config.thresholds.checkpoint,
        swap_threshold: config.thresholds.swap,
        open_connections: forwarder.openConnections + redirector.counts().blind,
        checkpoint_calls: calls.size,
        pid: process.pid,
      }),
      (at) => {
        const totals = () => history.totals();
        addStatusPages(at('/api'), { conversations, passthrough: config.passthrough, totals });
      },
    ),
  });
  const redirector = createRedirector({
    apiHost: API_HOST,
    deliver: (socket, head) => forwarder.deliver(socket, head),
    refuse: (host, port) => isLoopback(host) && Object.values(ports).includes(port),
    connect: (host, port) => wayOut.open({ host, port, secure: true }, { allowHalfOpen: true }),
    log,
    timeouts: { drainMs: DRAIN_MS },
  });

  const wanted = { forwarder: config.dashboardPort, redirector: config.proxyPort };
  const listener = (name: keyof typeof wanted, socket: Forwarder | Redirector): Service => ({
    async start() {
      // A port that was chosen freely once is kept: clients know it.
      const { port } = await socket.listen(config.host, ports[name] ?? wanted[name]);
      ports[name] = port;
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
        openStore(store, index, conversations, steady, log);
        return Promise.resolve(null);
      },
      onFailure: (told) => store.onFailure(told),
      close: () => Promise.resolve(store.close()),
    },
  };
  const supervisor = createActor(
    supervisorMachine.provide({
      actors: {
        conversation: conversationMachine.provide({
          actors: { computeCheckpoint: fromPromise(({ input, signal }) => calls.compute(input, signal)) },
          // Jitter, so that many conversations that failed together do not try again together.
          delays: { retryPause: ({ context }) => retryPause(context) * (1 + Math.random() / 4) },
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
      if (renewed) forwarder.takeUpCertificates();
    });
  }, DAY_MS);
  const sweep = setInterval(() => {
    index.expire(timestamp(steady() - config.conversationTtl));
    store.checkFile();
  }, SWEEP_MS);
  const release = async (): Promise<void> => {
    clearInterval(renewal);
    clearInterval(sweep);
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
  const { forwarder: dashboard, redirector: proxy } = ports;
  if (output !== undefined || dashboard === undefined || proxy === undefined) {
    await release();
    throw new Error(output?.startFailure ?? 'the proxy stopped before it ran');
  }
  wayOut.announce(log);
  return {
    ports: { proxy, dashboard },
    caPath: certificates.caPath,
    supervisor,
    conversations,
    history,
    async stop() {
      supervisor.send({ type: 'shutdown.requested' });
      await stopped;
      await release();
    },
  };
}

/** Opens the store, takes up what it has kept, and gives it what it has missed. */
function openStore(
  store: StateStore,
  index: CheckpointIndex,
  conversations: Conversations,
  steady: () => Timestamp,
  log: Log,
): void {
  try {
    store.open();
  } catch (error) {
    log.error('store.failed', { message: error instanceof Error ? error.message : String(error) });
    throw error;
  }
  conversations.writeAll();
  const kept = store.checkpoints();
  for (const { checkpoint } of kept) index.restore(checkpoint, steady());
  log.info('store.opened', { checkpoints: kept.length });
}
