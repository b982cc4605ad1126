/** Kept-alive connections to the upstream for forwarded requests: TLS or plain, one request at a time on each. */
import type { Socket } from 'node:net';
import { Deadline } from '../net/deadline.ts';
import { BatchWriter } from '../http1/batch-writer.ts';
import { UpstreamConnector, type ConnectorOptions } from './connector.ts';

/** Receives the events of a connection while it carries a request. */
export interface ConnectionListener {
  onData(chunk: Buffer): void;
  /** The socket can be written to again. */
  onDrain(): void;
  /** @param broken true when the connection ended with an error, such as a reset */
  onClose(broken: boolean): void;
}

/** Exclusive use of a connection for one request. */
export interface Lease {
  readonly socket: Socket;
  /** Writes to the socket. */
  readonly out: BatchWriter;
  /** True when the connection was idle before: the upstream may have closed it meanwhile. */
  readonly reused: boolean;
  /** True as long as nothing has been sent since the last release. */
  readonly nothingSent: boolean;
  /** Starts reading; events go to `listener` (null: data closes the connection). */
  setListener(listener: ConnectionListener | null): void;
  /** Returns the connection to the pool. */
  release(): void;
  /** Hands the socket to the caller, without our data listeners, for a protocol other than HTTP. */
  detach(): Socket;
}

/** An idle connection is closed after this time, before the other side is likely to close it. */
const IDLE_MS = 90_000;

export class UpstreamConnections {
  private readonly connector: UpstreamConnector;
  /** The most recently used is last. */
  private idle: UpstreamConnection[] = [];
  private readonly all = new Set<UpstreamConnection>();

  constructor(options: ConnectorOptions) {
    this.connector = new UpstreamConnector(options);
  }

  /** Number of open connections, for leak tests. */
  get size(): number {
    return this.all.size;
  }

  /**
   * Leases an idle connection, or a new one; that rejects with `UpstreamUnreachableError`.
   *
   * @param forceNew true after an idle connection turned out to be closed
   */
  lease(forceNew = false): Lease | Promise<Lease> {
    for (;;) {
      const idle = forceNew ? undefined : this.idle.pop();
      if (idle === undefined) return this.connect();
      if (idle.acquire()) return idle;
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
      onReleased: () => this.idle.push(connection),
      onClosed: () => {
        this.all.delete(connection);
        this.idle = this.idle.filter((idle) => idle !== connection);
      },
    });
    this.all.add(connection);
    return connection;
  }
}

/** Socket listeners are attached once; the {@link ConnectionListener} is swapped per lease. */
class UpstreamConnection implements Lease {
  readonly socket: Socket;
  readonly out: BatchWriter;
  reused = false;
  /** The socket's `bytesWritten` at the last release; reading it there keeps it off the path of a request. */
  private bytesAtRelease = 0;
  private readonly onReleased: () => void;
  private readonly onClosed: () => void;
  private readonly idleDeadline = new Deadline(() => this.socket.destroy());
  private listener: ConnectionListener | null = null;
  private isReading = false;

  constructor(socket: Socket, pool: { readonly onReleased: () => void; readonly onClosed: () => void }) {
    this.socket = socket;
    this.out = new BatchWriter(socket);
    this.onReleased = pool.onReleased;
    this.onClosed = pool.onClosed;
    socket.on('close', this.onClose).on('drain', this.onDrain);
  }

  /** Marks the connection as used. Returns false, and closes it, when it is no longer usable. */
  acquire(): boolean {
    this.idleDeadline.clear();
    const { destroyed, readableEnded, writable } = this.socket;
    this.reused = true;
    if (!destroyed && writable && !readableEnded) return true;
    this.socket.destroy();
    return false;
  }

  get nothingSent(): boolean {
    return this.socket.bytesWritten === this.bytesAtRelease;
  }

  setListener(listener: ConnectionListener | null): void {
    this.listener = listener;
    if (!this.isReading) this.socket.on('data', this.onData);
    this.isReading = true;
    if (this.socket.isPaused()) this.socket.resume();
  }

  release(): void {
    if (this.socket.destroyed || !this.socket.writable || this.socket.writableLength > 0) {
      this.socket.destroy();
      return;
    }
    this.setListener(null);
    this.bytesAtRelease = this.socket.bytesWritten;
    this.idleDeadline.set(IDLE_MS);
    this.onReleased();
  }

  detach(): Socket {
    this.socket.off('data', this.onData).off('drain', this.onDrain);
    this.listener = null;
    return this.socket;
  }

  private readonly onData = (chunk: Buffer): void => {
    // Data without a request makes the connection unusable.
    if (this.listener === null) this.socket.destroy();
    else this.listener.onData(chunk);
  };

  private readonly onDrain = (): void => this.listener?.onDrain();

  private readonly onClose = (broken: boolean): void => {
    this.idleDeadline.end();
    this.onClosed();
    this.listener?.onClose(broken);
  };
}
