/** The two listeners that clients connect to: the redirector (CONNECT) and the forwarder (HTTPS). */
import type { AdminPages } from './admin/health.ts';
import type { Access } from './admin/access/access.ts';
import type { Certificates } from './certificates/certificates.ts';
import { API_NAME } from './certificates/names.ts';
import type { Config } from './config/config.ts';
import type { DoubleBuffer } from './double-buffer.ts';
import type { PublishFact } from './facts.ts';
import { createForwarder, type Forwarder } from './forwarder/forwarder.ts';
import type { Log } from './log.ts';
import type { ByteBudget } from './net/byte-budget.ts';
import type { OpenConnections } from './net/open-connections.ts';
import { createRedirector, type Redirector } from './redirector/redirector.ts';
import type { OwnListener } from './redirector/tunnel-policy.ts';
import type { Upstream } from './upstream/upstream.ts';

/** Time that requests in progress have to end at a shutdown. */
const DRAIN_MS = 8_000;

export interface ListenersOptions extends Pick<DoubleBuffer, 'conversations' | 'turns' | 'compactions'> {
  readonly config: Config;
  readonly log: Log;
  readonly access: Access;
  readonly adminPages: AdminPages;
  readonly certificates: Certificates;
  readonly upstream: Upstream;
  readonly budget: ByteBudget;
  readonly openConnections: OpenConnections;
  readonly isOwn: OwnListener;
  readonly publish: PublishFact;
}

export interface Listeners {
  readonly forwarder: Forwarder;
  readonly redirector: Redirector;
}

export function createListeners(options: ListenersOptions): Listeners {
  const { access, config, isOwn, log, openConnections, upstream } = options;
  const forwarder = createForwarder({
    ...options,
    apiHost: API_NAME,
    connections: upstream.connections,
    modelWindows: upstream.modelWindows,
    upstreamUrl: config.upstreamUrl,
    isOwnHost: (host) => access.isOwnHost(host),
    drainMs: DRAIN_MS,
  });
  const redirector = createRedirector({
    apiHost: API_NAME,
    deliver: (socket, head) => forwarder.deliver(socket, head),
    isOwn,
    openConnections,
    connect: (host, port, allows) => upstream.tunnels.openBlind({ host, port }, allows),
    log,
    timeouts: { drainMs: DRAIN_MS },
  });
  return { forwarder, redirector };
}
