/**
 * Connections to the upstream for forwarded requests: TLS or plain, kept alive, one request at a time on each.
 */
import type { Socket } from 'node:net';
import { Deadline } from '../net/deadline.ts';
import { BatchWriter } from '../http1/batch-writer.ts';
import { UpstreamConnector, type ConnectorOptions } from './connector.ts';

/** Hears of a connection for as long as it carries a request. */
export interface ConnectionListener {
  onData(chunk: Buffer): void;
  /** More can be written. */
  onDrain(): void;
  /** @param broken true when it did not end in good order, by a reset say */
  onClose(broken: boolean): void;
}

/** A connection that carries one request. */
export interface Lease {
  readonly socket: Socket;
  /** Writes to it. */
  readonly out: BatchWriter;
  /** True when it has waited for its next request: it may turn out to be closed. */
  readonly reused: boolean;
  /** True as long as nothing has been sent on it since it was released last. */
  readonly nothingSent: boolean;
  /** The connection is read from now on, and `listener` told; nobody with null. */
  setListener(listener: ConnectionListener | null): void;
  /** Gives it back, to carry the next request. */
  release(): void;
  /** Leaves the socket to the caller, with none of our listeners to what it says, for a protocol that is not HTTP. */
  detach(): Socket;
}

/** An unused connection is closed after this long: before the other side is likely to. */
const IDLE_MS = 90_000;

export class UpstreamConnections {
  private readonly connector: UpstreamConnector;
  /** The most recently used last. */
  private idle: UpstreamConnection[] = [];
  private readonly all = new Set<UpstreamConnection>();

  constructor(options: ConnectorOptions) {
    this.connector = new UpstreamConnector(options);
  }

  /** Open connections, for tests of leaks. */
  get size(): number {
    return this.all.size;
  }

  /**
   * A connection of one's own until it is released: an idle one at once, or a new one, which rejects with
   * `UpstreamUnreachableError`.
   *
   * @param fresh true for a new one, after an idle one turned out to be closed
   */
  lease(fresh = false): Lease | Promise<Lease> {
    for (;;) {
      const idle = fresh ? undefined : this.idle.pop();
      if (idle === undefined) return this.connect();
      if (idle.take()) return idle;
    }
  }

  /** Closes every connection. */
  close(): void {
    this.connector.close();
    for (const { socket } of this.all) socket.destroy();
  }

  private async connect(): Promise<Lease> {
    const socket = await this.connector.connect();
    const connection: UpstreamConnection = new UpstreamConnection(socket, {
      released: () => this.idle.push(connection),
      closed: () => {
        this.all.delete(connection);
        this.idle = this.idle.filter((idle) => idle !== connection);
      },
    });
    this.all.add(connection);
    return connection;
  }
}

/** Its listeners stay; whom they tell changes. */
class UpstreamConnection implements Lease {
  readonly socket: Socket;
  readonly out: BatchWriter;
  reused = false;
  /** Asked for here and not with each request: that is on the way of the bytes. */
  private sentAtRelease = 0;
  private readonly released: () => void;
  private readonly closed: () => void;
  private readonly rest = new Deadline(() => this.socket.destroy());
  private listener: ConnectionListener | null = null;
  private reads = false;

  constructor(socket: Socket, pool: { readonly released: () => void; readonly closed: () => void }) {
    this.socket = socket;
    this.out = new BatchWriter(socket);
    this.released = pool.released;
    this.closed = pool.closed;
    socket.on('close', this.onClose).on('drain', this.onDrain);
  }

  /** Takes it out of its rest. False when it cannot be used: it is closed then. */
  take(): boolean {
    this.rest.lift();
    const { destroyed, readableEnded, writable } = this.socket;
    this.reused = true;
    if (!destroyed && writable && !readableEnded) return true;
    this.socket.destroy();
    return false;
  }

  get nothingSent(): boolean {
    return this.socket.bytesWritten === this.sentAtRelease;
  }

  setListener(listener: ConnectionListener | null): void {
    this.listener = listener;
    if (!this.reads) this.socket.on('data', this.onData);
    this.reads = true;
    if (this.socket.isPaused()) this.socket.resume();
  }

  release(): void {
    if (this.socket.destroyed || !this.socket.writable || this.socket.writableLength > 0) {
      this.socket.destroy();
      return;
    }
    this.setListener(null);
    this.sentAtRelease = this.socket.bytesWritten;
    this.rest.set(IDLE_MS);
    this.released();
  }

  detach(): Socket {
    this.socket.off('data', this.onData).off('drain', this.onDrain);
    this.listener = null;
    return this.socket;
  }

  private readonly onData = (chunk: Buffer): void => {
    // Nobody has asked: whatever comes now makes the connection useless.
    if (this.listener === null) this.socket.destroy();
    else this.listener.onData(chunk);
  };

  private readonly onDrain = (): void => this.listener?.onDrain();

  private readonly onClose = (broken: boolean): void => {
    this.rest.end();
    this.closed();
    this.listener?.onClose(broken);
  };
}
