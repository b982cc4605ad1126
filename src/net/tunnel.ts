/**
 * A blind tunnel: bytes both ways, unread and unchanged.
 *
 *   client ──CONNECT──▶ redirector ──▶ here ──bytes──▶ destination
 *      ▲                                  ◀──bytes──        │
 *      └──────────────────────────────────────────────────────┘
 *
 * A FIN travels on and the other direction goes on; a reset travels on as a reset, so that a cut-off stream cannot pass
 * for a complete one. A slow reader slows its sender down. No timeout applies: a tunnel may be silent for hours.
 */
import { lookup } from 'node:dns';
import { connect as netConnect, type LookupFunction, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** Idle time after which TCP asks whether the other side is still there. It finds dead peers and keeps NATs open. */
const KEEP_ALIVE_AFTER_MS = 60_000;

/** A connection in the making. */
export interface PendingConnection {
  /** Destroying it gives up. */
  readonly socket: Socket;
  /** Resolves when the socket is a way to the destination; rejects, the socket destroyed, when it will never be one. */
  readonly ready: Promise<void>;
  /** True when the socket is connected to a proxy, and only that knows the destination's address. */
  readonly throughProxy: boolean;
}

/** Whether a connection to this address may be made. */
export type AllowAddress = (address: string) => boolean;

/** `code` of the error when a name leads to no address that may be connected to. */
export const FORBIDDEN = 'DBPROXY_FORBIDDEN_ADDRESS';

/**
 * Looks a name up as usual and leaves out what may not be connected to. The socket connects to what was looked at here
 * and looks nothing up again, so a name that changes its address in between (DNS rebinding) gains nothing.
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

/** A socket on its way to `host`:`port`, trying both address families (RFC 8305). */
export function connectDirectly(host: string, port: number, allows: AllowAddress = () => true): Socket {
  return netConnect({ host, port, autoSelectFamily: true, allowHalfOpen: true, lookup: allowedLookup(allows) });
}

/**
 * Waits until `destination` is connected, for at most `timeoutMs`.
 * Rejects with the socket's error, or with one whose `code` is ETIMEDOUT; the socket is destroyed then.
 */
export function connected(destination: Socket, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    destination.on('error', () => undefined); // for as long as it lives: an error may come at any time
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
 * Joins two connected sockets until both are closed. `head` is what the client sent behind its CONNECT.
 * Both must let a half-closed connection live (`allowHalfOpen`). Errors end the tunnel and are thrown nowhere.
 */
export function join(client: Socket, destination: Socket, head: Buffer): void {
  for (const [from, to] of [
    [client, destination],
    [destination, client],
  ] as const) {
    prepare(from);
    from.on('error', () => undefined); // 'close' follows and does what is to be done
    from.once('close', () => closeOther(from, to));
  }
  if (head.length > 0) client.unshift(head);
  client.pipe(destination);
  destination.pipe(client);
  // One of them may have closed before anybody listened.
  if (client.destroyed) closeOther(client, destination);
  if (destination.destroyed) closeOther(destination, client);
}

/** What holds for both ends of an open tunnel: no delay, no timeout, but a question now and then whether anyone is there. */
export function prepare(socket: Socket): void {
  socket.setTimeout(0);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_AFTER_MS);
}

/** `gone` is closed. Had it sent all it had, the other still gets that; else the other is cut off the same way. */
function closeOther(gone: Socket, other: Socket): void {
  if (gone.readableEnded) other.destroySoon();
  else if (gone.errored === null) other.destroy();
  else resetConnection(other);
}

/** Closes with a reset, so that the other side knows that bytes are missing. */
export function resetConnection(socket: Socket): void {
  // Only TCP knows resets; on TLS, as to a corporate proxy, Node throws.
  if (socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}
