/**
 * Where no tunnel leads: to our own listeners, which would be a loop, and, for who is not on this machine, to what only
 * this machine should reach. Asked for names before a connection is made and for the addresses behind them. Pure.
 */
import { isLoopback, isLocalOnlyAddress, isUnspecified, plainHost } from '../net/addresses.ts';
import type { Refusal } from './statuses.ts';

export type TunnelDenial =
  /** One of our own listeners. */
  | 'own_port'
  /** Loopback, link-local (cloud metadata above all) or unspecified, asked for from another machine. */
  | 'private';

/**
 * True when `host`:`port` is one of our listeners.
 *
 * @param onThisMachine true when a connection to it was seen to end on this machine
 */
export type OwnListener = (host: string, port: number, onThisMachine?: boolean) => boolean;

/**
 * @param bound address that the listeners are bound to, or a name for it
 * @param isOwnPort true for their ports
 */
export function ownListener(bound: string, isOwnPort: (port: number) => boolean): OwnListener {
  const own = plainHost(bound);
  // What is connected to "this host" arrives at the loopback.
  const onLoopback = isLoopback(own) || isUnspecified(own);
  return (host, port, onThisMachine = false) => {
    if (!isOwnPort(port)) return false;
    if (plainHost(host) === own || (onThisMachine && isUnspecified(own))) return true;
    return onLoopback && (isLoopback(host) || isUnspecified(host));
  };
}

export interface Tunnel {
  readonly host: string;
  readonly port: number;
  /** Address of who asks; undefined once the client has gone. */
  readonly client: string | undefined;
  /** True when a connection to it was seen to end on this machine. */
  readonly onThisMachine?: boolean;
}

/** Why a tunnel may not be; null when it may. */
export function forbidden({ host, port, client, onThisMachine }: Tunnel, isOwn: OwnListener): TunnelDenial | null {
  if (isOwn(host, port, onThisMachine)) return 'own_port';
  const isLocal = client !== undefined && isLoopback(client);
  return !isLocal && isLocalOnlyAddress(host) ? 'private' : null;
}

/** What a client is told. `host` and `port` as it wrote them. */
export function refusalOfForbidden(reason: TunnelDenial, { host, port }: Pick<Tunnel, 'host' | 'port'>): Refusal {
  switch (reason) {
    case 'own_port':
      return { status: 403, text: `${host}:${port} is claude-db-proxy itself` };
    case 'private':
      return { status: 403, text: `${host}:${port} can be reached from its own machine only` };
  }
}
