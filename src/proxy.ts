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
import { listenerMachine, type ListenerName } from '../machines/listener.ts';
import { conversationChild, supervisorMachine, type SupervisorActor } from '../machines/supervisor.ts';
import { timestamp, type ConversationId } from '../machines/units.ts';
import { openCertificates } from './certificates/certificates.ts';
import type { Config } from './config.ts';
import { CheckpointCalls } from './conversations/checkpoint-calls.ts';
import { CheckpointIndex } from './conversations/checkpoint-index.ts';
import { Compactions } from './conversations/compactions.ts';
import { Conversations, type ConversationActors } from './conversations/conversations.ts';
import { ConversationDirectory } from './conversations/directory.ts';
import { createForwarder } from './forwarder/forwarder.ts';
import { createLocalPages } from './forwarder/local-pages.ts';
import type { Log } from './log.ts';
import { createRedirector } from './redirector/redirector.ts';
import { ModelWindows } from './upstream/model-windows.ts';
import { UpstreamConnections } from './upstream/connections.ts';
import { isLoopback } from './upstream/no-proxy.ts';
import { openUpstream } from './upstream/upstream.ts';
import { WayOut } from './upstream/way-out.ts';
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
  /** Stops accepting, drains, ends every conversation. Resolves when nothing is left. */
  stop(): Promise<void>;
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
  const ports: Partial<Record<ListenerName, number>> = {};
  const isOurs = (host: string, port: number): boolean =>
    (isLoopback(host) || host === config.host) && (port === config.proxyPort || Object.values(ports).includes(port));
  const ca = options.upstreamCa;
  const wayOut = new WayOut({ proxy: config.outboundProxy, isOurs, ca });
  const upstream = openUpstream({ url: config.upstreamUrl, ca, wayOut });
  const connections = new UpstreamConnections({ url: config.upstreamUrl, ca, wayOut });
  const modelWindows = new ModelWindows({ upstream, log, enabled: !config.passthrough });
  const index = new CheckpointIndex();
  const calls = new CheckpointCalls({ upstream, index, log, now });
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
  };
  const learnedWindows = modelWindows.learned;
  const conversations = new Conversations({ config, actors, directory, index, calls, learnedWindows, log, now });
  const { compactionWait: wait, passthrough } = config;
  const compactions = new Compactions({ conversations, calls, passthrough, wait, log, now });

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
    local: createLocalPages(() => ({
      status: 'ok',
      version: VERSION,
      uptime_s: Math.round((Date.now() - began) / 1_000),
      conversations: conversations.size,
      checkpoints: index.size,
      passthrough,
      checkpoint_threshold: config.thresholds.checkpoint,
      swap_threshold: config.thresholds.swap,
      open_connections: forwarder.openConnections + redirector.counts().blind,
      checkpoint_calls: calls.size,
      pid: process.pid,
    })),
  });
  const redirector = createRedirector({
    apiHost: API_HOST,
    deliver: (socket, head) => forwarder.deliver(socket, head),
    refuse: (host, port) => isLoopback(host) && Object.values(ports).includes(port),
    connect: (host, port) => wayOut.open({ host, port, secure: true }, { allowHalfOpen: true }),
    log,
    timeouts: { drainMs: DRAIN_MS },
  });

  const listeners = { forwarder, redirector };
  const wanted = { forwarder: config.dashboardPort, redirector: config.proxyPort };
  const supervisor = createActor(
    supervisorMachine.provide({
      actors: {
        conversation: conversationMachine.provide({
          actors: { computeCheckpoint: fromPromise(({ input, signal }) => calls.compute(input, signal)) },
          // Jitter, so that many conversations that failed together do not try again together.
          delays: { retryPause: ({ context }) => retryPause(context) * (1 + Math.random() / 4) },
        }),
        listener: listenerMachine.provide({
          actors: {
            bind: fromPromise(async ({ input }) => {
              // A port that was chosen freely once is kept: clients know it.
              const address = await listeners[input.name].listen(config.host, ports[input.name] ?? wanted[input.name]);
              ports[input.name] = address.port;
              log.info('listener.listening', { listener: input.name, host: config.host, port: address.port });
              return { port: address.port };
            }),
            watch: fromCallback(({ input, sendBack }) => {
              return listeners[input.name].onFailure((error) => {
                sendBack({ type: 'listener.failed', reason: error.message });
              });
            }),
            close: fromPromise(async ({ input }) => {
              await listeners[input.name].close();
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
    void certificates.renewIfDue().then((renewed) => {
      if (renewed) forwarder.takeUpCertificates();
    });
  }, DAY_MS);
  const sweep = setInterval(() => {
    index.expire(timestamp(Date.now() - config.conversationTtl));
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
    async stop() {
      supervisor.send({ type: 'shutdown.requested' });
      await stopped;
      await release();
    },
  };
}
