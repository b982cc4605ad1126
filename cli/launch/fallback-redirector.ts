/**
 * Replaces the proxy on its port while none runs, because a running `claude` keeps that address. Every connection, to the
 * API too, becomes a blind tunnel to its destination, as without a proxy. Releases the port when a proxy is started.
 */
import type { Config } from '../../src/config/config.ts';
import { silentLog } from '../../src/log.ts';
import { createRedirector, type Redirector } from '../../src/redirector/redirector.ts';
import { ownListener } from '../../src/redirector/tunnel-policy.ts';
import { OutboundTunnels } from '../../src/upstream/outbound-tunnel.ts';
import { API_NAME } from '../../src/certificates/names.ts';

/** Open tunnels outlive the listener: the longest delay of a timer. */
const NEVER_MS = 2 ** 31 - 1;

export class FallbackRedirector {
  readonly #config: Config;
  readonly #host: string;
  readonly #port: number;
  #redirector: Redirector | null = null;

  constructor(config: Config, host: string, port: number) {
    this.#config = config;
    this.#host = host;
    this.#port = port;
  }

  get isListening(): boolean {
    return this.#redirector !== null;
  }

  /** Listens on the port; false where another process does. */
  async start(): Promise<boolean> {
    if (this.#redirector !== null) return true;
    const isOwn = ownListener(this.#host, (port) => port === this.#port);
    const tunnels = new OutboundTunnels({ proxy: this.#config.outboundProxy, isOwn });
    const redirector = createRedirector({
      apiHost: API_NAME,
      deliver: () => false,
      isOwn,
      connect: (host, port, allows) => tunnels.openBlind({ host, port }, allows),
      log: silentLog,
      timeouts: { drainMs: NEVER_MS },
    });
    try {
      await redirector.listen(this.#host, this.#port);
      this.#redirector = redirector;
      return true;
    } catch {
      return false;
    }
  }

  /** Stops listening; open tunnels stay open. */
  stop(): void {
    void this.#redirector?.close();
    this.#redirector = null;
  }
}
