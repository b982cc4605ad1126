/**
 * The clients' open connections, on both listeners together. Nobody is turned away: beyond the limit new connections
 * get what costs least. A tunnel to the API leads there blindly, as it would without this proxy (redirector/); one that
 * ends here is not kept alive (forwarder/).
 */
import type { Socket } from 'node:net';
import type { Log } from '../log.ts';

export class OpenConnections {
  readonly #options: { readonly limit: number; readonly log: Log };
  readonly #sockets = new Set<Socket>();
  #told = false;

  /** @param options `limit`: `DBPROXY_MAX_CONNECTIONS` */
  constructor(options: { readonly limit: number; readonly log: Log }) {
    this.#options = options;
  }

  get size(): number {
    return this.#sockets.size;
  }

  /** True while there are more than the limit. */
  get overLimit(): boolean {
    return this.#sockets.size > this.#options.limit;
  }

  /** Counts a connection until it closes. One that both listeners see is one. */
  track(socket: Socket): void {
    if (socket.destroyed || this.#sockets.has(socket)) return;
    this.#sockets.add(socket);
    socket.once('close', () => this.#forget(socket));
    const { limit, log } = this.#options;
    if (!this.overLimit || this.#told) return;
    this.#told = true;
    log.warn('connections.crowded', { limit, effect: 'new tunnels to the API are blind, no checkpoints in them' });
  }

  #forget(socket: Socket): void {
    this.#sockets.delete(socket);
    // Some way below, so that it is said once per crowd.
    if (this.#sockets.size <= this.#options.limit * 0.9) this.#told = false;
  }
}
