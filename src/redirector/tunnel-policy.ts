/**
 * Denies tunnels to the proxy's own listeners, which would be a loop, and tunnels of other machines to local-only
 * addresses. Checked for the name before connecting, and for resolved addresses. Pure.
 */
import { isLoopback, isLocalOnlyAddress, isUnspecified, plainHost } from '../net/addresses.ts';
import type { Refusal } from './statuses.ts';

export type TunnelDenial =
  /** One of the proxy's own listeners. */
  | 'own_port'
  /** Loopback, link-local (such as cloud metadata) or unspecified, requested by another machine. */
  | 'private';

/**
 * True when `host`:`port` is one of the proxy's listeners.
 *
 * @param onThisMachine true when a connection to it has ended on this machine
 */
export type OwnListener = (host: string, port: number, onThisMachine?: boolean) => boolean;

/**
 * @param bound address that the listeners are bound to, or a name for it
 * @param isOwnPort true for the listeners' ports
 */
export function ownListener(bound: string, isOwnPort: (port: number) => boolean): OwnListener {
  const own = plainHost(bound);
  // A connection to an unspecified address arrives at the loopback.
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
  /** The client's address; undefined once it has disconnected. */
  readonly client: string | undefined;
  /** True when a connection to it has ended on this machine. */
  readonly onThisMachine?: boolean;
}

/** Why a tunnel is denied; null when it is allowed. */
export function denialOf({ host, port, client, onThisMachine }: Tunnel, isOwn: OwnListener): TunnelDenial | null {
  if (isOwn(host, port, onThisMachine)) return 'own_port';
  const isLocal = client !== undefined && isLoopback(client);
  return !isLocal && isLocalOnlyAddress(host) ? 'private' : null;
}

/** The response to a denied tunnel; `host` and `port` as requested. */
export function refusalOfDenial(reason: TunnelDenial, { host, port }: Pick<Tunnel, 'host' | 'port'>): Refusal {
  switch (reason) {
    case 'own_port':
      return { status: 403, text: `${host}:${port} is claude-db-proxy itself` };
    case 'private':
      return { status: 403, text: `${host}:${port} can be reached from its own machine only` };
  }
}
