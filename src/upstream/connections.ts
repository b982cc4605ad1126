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

/** A connection that carries no request. */
interface Idle {
  readonly socket: Socket;
  /** Listens to it meanwhile. */
  readonly close: () => void;
}

/** An unused connection is closed after this long: before the other side is likely to. */
const IDLE_MS = 90_000;

export class UpstreamConnections {
  readonly #connector: UpstreamConnector;
  /** The most recently used last. */
  #idle: Idle[] = [];
  readonly #all = new Set<Socket>();

  constructor(options: ConnectorOptions) {
    this.#connector = new UpstreamConnector(options);
  }

  /** Open connections, for tests of leaks. */
  get size(): number {
    return this.#all.size;
  }

  /**
   * A connection of one's own until it is released: an idle one at once, or a new one, which rejects with
   * `UpstreamUnreachableError`.
   *
   * @param fresh true for a new one, after an idle one turned out to be closed
   */
  lease(fresh = false): Lease | Promise<Lease> {
    for (;;) {
      const idle = fresh ? undefined : this.#idle.pop();
      if (idle === undefined) return this.#connect().then((socket) => this.#lease(socket, false));
      const { close, socket } = idle;
      socket.off('timeout', close).off('data', close).setTimeout(0);
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
        // Nobody asks any more: whatever comes now makes the connection useless.
        const close = (): void => void socket.destroy();
        socket.setTimeout(IDLE_MS).on('timeout', close).on('data', close);
        socket.resume();
        this.#idle.push({ socket, close });
      },
    };
  }

  async #connect(): Promise<Socket> {
    const socket = await this.#connector.connect();
    this.#all.add(socket);
    socket.once('close', () => {
      this.#all.delete(socket);
      this.#idle = this.#idle.filter((idle) => idle.socket !== socket);
    });
    return socket;
  }
}
