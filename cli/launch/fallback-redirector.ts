/**
 * Stands in for the proxy on its port when there is none: `claude` was told that port for as long as it runs. Everything
 * goes through a blind tunnel to its real destination, the API too, as if there were no proxy. Gives the port back as
 * soon as somebody starts a proxy.
 */
import type { Config } from '../../src/config/config.ts';
import { silentLog } from '../../src/log.ts';
import { createRedirector, type Redirector } from '../../src/redirector/redirector.ts';
import { ownListener } from '../../src/redirector/tunnel-policy.ts';
import { OutboundTunnels } from '../../src/upstream/outbound-tunnel.ts';
import { API_NAME } from '../../src/certificates/names.ts';

/** Open tunnels stay open when the port is given back: as long as timers can count. */
const NEVER_MS = 2 ** 31 - 1;

export class FallbackRedirector {
  readonly #config: Config;
  readonly #host: string;
  readonly #port: number;
  #listening: Redirector | null = null;

  constructor(config: Config, host: string, port: number) {
    this.#config = config;
    this.#host = host;
    this.#port = port;
  }

  get up(): boolean {
    return this.#listening !== null;
  }

  /** Takes the port; false where somebody else has it. */
  async takeOver(): Promise<boolean> {
    if (this.#listening !== null) return true;
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
      this.#listening = redirector;
      return true;
    } catch {
      return false;
    }
  }

  /** Accepts no more; tunnels that are open go on. */
  giveBack(): void {
    void this.#listening?.close();
    this.#listening = null;
  }
}
