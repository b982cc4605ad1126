/**
 * Counts the open client connections of both listeners. Beyond the limit none is refused, but tunnels to the API are blind,
 * as without this proxy (redirector/), and connections to the forwarder are not kept alive (forwarder/).
 */
import type { Socket } from 'node:net';
import type { Log } from '../log.ts';

export class OpenConnections {
  readonly #options: { readonly limit: number; readonly log: Log };
  readonly #sockets = new Set<Socket>();
  #isLogged = false;

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

  /** Counts a connection until it closes, once if both listeners track it. */
  track(socket: Socket): void {
    if (socket.destroyed || this.#sockets.has(socket)) return;
    this.#sockets.add(socket);
    socket.once('close', () => this.#forget(socket));
    const { limit, log } = this.#options;
    if (!this.overLimit || this.#isLogged) return;
    this.#isLogged = true;
    log.warn('connections.crowded', { limit, effect: 'new tunnels to the API are blind, no checkpoints in them' });
  }

  #forget(socket: Socket): void {
    this.#sockets.delete(socket);
    // Below the limit, so that a count around it is logged once.
    if (this.#sockets.size <= this.#options.limit * 0.9) this.#isLogged = false;
  }
}
