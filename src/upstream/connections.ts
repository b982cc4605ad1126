/**
 * Connections to the upstream for forwarded requests: TLS or plain, kept alive, one request at a time on each.
 */
import type { Socket } from 'node:net';
import { UpstreamConnector, type ConnectorOptions } from './connector.ts';

/** A connection that carries one request. */
export interface Lease {
  readonly socket: Socket;
  /** True when it has carried another request before: it may turn out to be closed. */
  readonly reused: boolean;
  /** Gives it back, to carry the next request. Whoever leased it has taken its own listeners off. */
  release(): void;
}

/** An unused connection is closed after this long: before the other side is likely to. */
const IDLE_MS = 90_000;

export class UpstreamConnections {
  readonly #connector: UpstreamConnector;
  /** The most recently used last. */
  #idle: Socket[] = [];
  readonly #all = new Set<Socket>();

  constructor(options: ConnectorOptions) {
    this.#connector = new UpstreamConnector(options);
  }

  /** Open connections, for tests of leaks. */
  get size(): number {
    return this.#all.size;
  }

  /**
   * A connection of one's own until it is released.
   *
   * @param fresh true for a new one, after an idle one turned out to be closed
   * @throws UpstreamUnreachableError
   */
  async lease(fresh = false): Promise<Lease> {
    for (;;) {
      const socket = fresh ? undefined : this.#idle.pop();
      if (socket === undefined) return this.#lease(await this.#connect(), false);
      socket.removeAllListeners('timeout').removeAllListeners('data').setTimeout(0);
      if (!socket.destroyed && socket.writable && !socket.readableEnded) return this.#lease(socket, true);
      socket.destroy();
    }
  }

  /** Closes every connection. */
  close(): void {
    this.#connector.close();
    for (const socket of this.#all) socket.destroy();
  }

  #lease(socket: Socket, reused: boolean): Lease {
    return {
      socket,
      reused,
      release: () => {
        if (socket.destroyed || !socket.writable || socket.writableLength > 0) {
          socket.destroy();
          return;
        }
        socket.setTimeout(IDLE_MS, () => socket.destroy());
        // Nobody asked: whatever comes now, or the end, makes the connection useless.
        socket.once('data', () => socket.destroy());
        socket.resume();
        this.#idle.push(socket);
      },
    };
  }

  async #connect(): Promise<Socket> {
    const socket = await this.#connector.connect();
    this.#all.add(socket);
    socket.once('close', () => {
      this.#all.delete(socket);
      this.#idle = this.#idle.filter((idle) => idle !== socket);
    });
    return socket;
  }
}
