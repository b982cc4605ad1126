/** Parses the target of a CONNECT request: `host ":" port`, both required (RFC 9110, 9.3.6). Pure. */
import { isIPv6 } from 'node:net';
import type { HostAndPort } from '../net/addresses.ts';

/** Letters, digits, hyphens and (used in practice) underscores between dots; covers IPv4 too. */
const NAME = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/;
const HOST_AND_PORT = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+)):([0-9]{1,5})$/;

/**
 * The host (lower case, without a trailing dot) and port (1 to 65535) in `target`; undefined for user info, a scheme, a
 * path, no port, a port out of range.
 */
export function parseAuthority(target: string): HostAndPort | undefined {
  const [, address, dotted, digits] = HOST_AND_PORT.exec(target.toLowerCase()) ?? [];
  const port = Number(digits);
  if (!(port >= 1 && port <= 65535)) return undefined;
  if (address !== undefined) return isIPv6(address) ? { host: address, port } : undefined;
  const host = dotted?.replace(/\.$/, '');
  return host !== undefined && NAME.test(host) ? { host, port } : undefined;
}
