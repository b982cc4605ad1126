/**
 * A blind tunnel: forwards bytes in both directions, unchanged.
 *
 *   client ──CONNECT──▶ redirector ──▶ here ──bytes──▶ destination
 *      ▲                                  ◀──bytes──        │
 *      └──────────────────────────────────────────────────────┘
 *
 * A FIN is forwarded while the other direction continues; a reset is forwarded as a reset, so that a truncated stream is
 * not mistaken for a complete one. Backpressure applies, timeouts do not: a tunnel may be silent for hours.
 */
import { lookup } from 'node:dns';
import { connect as netConnect, type LookupFunction, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** Idle time before TCP keep-alive probes, which detect dead peers and keep NAT entries open. */
const KEEP_ALIVE_AFTER_MS = 60_000;

/** A connection that is being opened. */
export interface PendingConnection {
  /** Destroying it aborts the attempt. */
  readonly socket: Socket;
  /** Resolves when the socket leads to the destination; rejects, with the socket destroyed, on failure. */
  readonly ready: Promise<void>;
  /** True when a proxy connects to the destination, whose address is then unknown here. */
  readonly throughProxy: boolean;
}

/** Whether connecting to this address is allowed. */
export type AllowAddress = (address: string) => boolean;

/** `code` of the error when a name has no allowed address. */
export const FORBIDDEN = 'DBPROXY_FORBIDDEN_ADDRESS';

/**
 * Resolves a name and drops addresses that are not allowed. The socket connects to exactly these addresses, so a name
 * that changes its address in between (DNS rebinding) has no effect.
 */
export function allowedLookup(allows: AllowAddress): LookupFunction {
  return (hostname, options, done) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) {
        done(error, []);
        return;
      }
      const allowed = found.filter(({ address }) => allows(address));
      if (allowed.length > 0) done(null, allowed);
      else done(Object.assign(new Error('the address is not allowed'), { code: FORBIDDEN }), []);
    });
  };
}

/** Connects to `host`:`port`, trying both address families (RFC 8305). */
export function connectDirectly(host: string, port: number, allows: AllowAddress = () => true): Socket {
  return netConnect({ host, port, autoSelectFamily: true, allowHalfOpen: true, lookup: allowedLookup(allows) });
}

/**
 * Waits until `destination` is connected, for at most `timeoutMs`.
 * Rejects with the socket's error, or with one whose `code` is ETIMEDOUT; the socket is destroyed then.
 */
export function connected(destination: Socket, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    destination.on('error', () => undefined); // for the socket's lifetime: an error may come at any time
    if (!destination.connecting && !destination.destroyed) {
      resolve();
      return;
    }
    const deadline = setTimeout(() => {
      destination.destroy(Object.assign(new Error(`not connected after ${timeoutMs} ms`), { code: 'ETIMEDOUT' }));
    }, timeoutMs);
    const settle = (outcome: () => void): void => {
      clearTimeout(deadline);
      destination.off('connect', onConnect).off('error', onError).off('close', onClose);
      outcome();
    };
    const onConnect = (): void => settle(resolve);
    const onError = (error: Error): void => settle(() => reject(error));
    const onClose = (): void => settle(() => reject(Object.assign(new Error('closed'), { code: 'ECONNABORTED' })));
    destination.once('connect', onConnect).once('error', onError).once('close', onClose);
  });
}

/**
 * Joins two connected sockets until both are closed. `head` is what the client has already sent after its CONNECT.
 * Both sockets must have `allowHalfOpen`. Errors end the tunnel and are not thrown.
 */
export function join(client: Socket, destination: Socket, head: Buffer): void {
  for (const [from, to] of [
    [client, destination],
    [destination, client],
  ] as const) {
    prepare(from);
    from.on('error', () => undefined); // handled by `close`
    from.once('close', () => closeOther(from, to));
  }
  if (head.length > 0) client.unshift(head);
  client.pipe(destination);
  destination.pipe(client);
  // Either may have closed before the listeners were attached.
  if (client.destroyed) closeOther(client, destination);
  if (destination.destroyed) closeOther(destination, client);
}

/** Configures one end of a tunnel: no delay, no timeout, keep-alive probes. */
export function prepare(socket: Socket): void {
  socket.setTimeout(0);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_AFTER_MS);
}

/** Closes `other` after `closed` as `closed` was: after all data, at once, or with a reset. */
function closeOther(closed: Socket, other: Socket): void {
  if (closed.readableEnded) other.destroySoon();
  else if (closed.errored === null) other.destroy();
  else resetConnection(other);
}

/** Closes with a reset, which tells the other side that bytes are missing. */
export function resetConnection(socket: Socket): void {
  // Node throws for TLS sockets, as to a corporate proxy: only TCP has resets.
  if (socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}
