/**
 * The four services that the supervisor owns: the two listeners, the store and the dashboard. Each one can fail alone and
 * is started again alone (machines/supervisor.ts); this file connects their machines with the real sockets and files.
 */
import type { ServiceName } from '../machines/service.ts';
import type { Timestamp } from '../machines/units.ts';
import type { Access } from './admin/access/access.ts';
import type { Config } from './config/config.ts';
import type { Dashboard } from './dashboard/dashboard.ts';
import type { Listeners } from './listeners.ts';
import type { Log } from './log.ts';
import type { CompactionHistory } from './store/history.ts';
import type { StateStore } from './store/state-store.ts';
import { StoreService, type StoreServiceOptions } from './store/store-service.ts';

/** A part of the proxy that can fail and be started again by itself. */
export interface Service {
  /** Resolves with the port that it listens on; null when it has none. */
  start(): Promise<number | null>;
  /** Calls `onFailed` when it fails after its start. Returns a function that ends the subscription. */
  onFailure(onFailed: (error: Error) => void): () => void;
  close(): Promise<void>;
}

/** Where the listeners are bound. A port that was chosen once is kept, because clients know it. */
export class BoundAddresses {
  readonly ports: Partial<Record<ServiceName, number>> = {};
  /** The address behind `config.host`, which may be a name. */
  address: string;
  readonly #config: Config;

  constructor(config: Config) {
    this.address = config.host;
    this.#config = config;
  }

  /** True for the configured ports and the bound ones. */
  hasPort(port: number): boolean {
    return [this.#config.proxyPort, this.#config.dashboardPort, ...Object.values(this.ports)].includes(port);
  }

  /** The port to bind a listener to. */
  portFor(listener: 'forwarder' | 'redirector'): number {
    const configured = { forwarder: this.#config.dashboardPort, redirector: this.#config.proxyPort };
    return this.ports[listener] ?? configured[listener];
  }
}

export interface ServicesOptions extends Listeners {
  readonly config: Config;
  readonly log: Log;
  readonly access: Access;
  readonly bound: BoundAddresses;
  readonly store: StateStore;
  readonly onStoreOpen: StoreServiceOptions['onOpen'];
  readonly dashboard: Dashboard;
  readonly history: CompactionHistory;
  readonly monotonicNow: () => Timestamp;
}

/** The services, ready to be started by the supervisor. */
export function createServices(options: ServicesOptions): Record<ServiceName, Service> {
  const { access, bound, config, dashboard, forwarder, history, log, redirector } = options;
  const { monotonicNow, onStoreOpen: onOpen, store } = options;
  const storeService = new StoreService({ store, log, monotonicNow, onOpen });
  const listener = <Name extends keyof Listeners>(name: Name, socket: Listeners[Name]): Service => ({
    async start() {
      const { address, port } = await socket.listen(config.host, bound.portFor(name));
      bound.ports[name] = port;
      bound.address = address;
      log.info('listener.listening', { listener: name, host: config.host, port });
      return port;
    },
    onFailure: (onFailed) => socket.onFailure(onFailed),
    close: () => socket.close(),
  });
  return {
    forwarder: listener('forwarder', forwarder),
    redirector: listener('redirector', redirector),
    store: {
      start() {
        storeService.start();
        dashboard.remember(history);
        return Promise.resolve(null);
      },
      onFailure: (onFailed) => storeService.onFailure(onFailed),
      close() {
        storeService.close();
        return Promise.resolve();
      },
    },
    dashboard: {
      start() {
        dashboard.open(forwarder.pages, access);
        return Promise.resolve(null);
      },
      onFailure: (onFailed) => dashboard.onFailure(onFailed),
      close() {
        dashboard.close();
        return Promise.resolve();
      },
    },
  };
}
