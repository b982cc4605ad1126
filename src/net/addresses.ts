/**
 * Normalises names and addresses for comparison, and tells which belong to this machine only. Pure.
 */
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';

/** The destination of a connection. */
export interface HostAndPort {
  /** A name or an address, an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** An IPv4 address inside IPv6, as URLs spell it: `::ffff:7f00:1`. */
const MAPPED = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/;

/** An IPv6 address in its one short spelling; an IPv4 address that is mapped into it as such. */
function plainIPv6(address: string): string {
  const [, zoneless = address] = /^([^%]*)%/.exec(address) ?? [];
  if (!URL.canParse(`http://[${zoneless}]`)) return address;
  const short = new URL(`http://[${zoneless}]`).hostname.slice(1, -1);
  const [, high, low] = MAPPED.exec(short) ?? [];
  if (high === undefined || low === undefined) return short;
  const bytes = [high, low].flatMap((word) => [parseInt(word, 16) >> 8, parseInt(word, 16) & 0xff]);
  return bytes.join('.');
}

/**
 * Lower case, ASCII, no brackets, no trailing dot, no zone; IPv4 in four decimal numbers, however it was spelled
 * (`127.1`, `0x7f000001`, `::ffff:127.0.0.1`); IPv6 in its short form.
 */
export function plainHost(host: string): string {
  const bare = host.toLowerCase().replace(/^\[|\]$|\.$/g, '');
  if (bare.includes(':')) return plainIPv6(bare);
  return isIPv4(bare) ? bare : domainToASCII(bare) || bare;
}

/** Checks for IPv6 only if there is a colon: the first check costs Node 20 a sixth of a launch. */
const isAddress = (plain: string): boolean => (plain.includes(':') ? isIPv6(plain) : isIPv4(plain));

/** Family of a plain address, as `BlockList` wants it. */
export const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIPv4(address) ? 'ipv4' : 'ipv6');

function network(...subnets: readonly (readonly [address: string, bits: number])[]): BlockList {
  const list = new BlockList();
  for (const [address, bits] of subnets) list.addSubnet(address, bits, familyOf(address));
  return list;
}

const LOOPBACK = network(['127.0.0.0', 8], ['::1', 128]);
const LINK_LOCAL = network(['169.254.0.0', 16], ['fe80::', 10]);
/** A connection to such an address ends on this machine. */
const UNSPECIFIED = network(['0.0.0.0', 8], ['::', 128]);

function isIn(list: BlockList, host: string): boolean {
  const plain = plainHost(host);
  return isAddress(plain) && list.check(plain, familyOf(plain));
}

/** True for names and addresses of this machine's loopback. */
export function isLoopback(host: string): boolean {
  const plain = plainHost(host);
  return plain === 'localhost' || plain.endsWith('.localhost') || isIn(LOOPBACK, plain);
}

/** True for 0.0.0.0, `::` and the like: all addresses to a listener, this machine to a client. */
export const isUnspecified = (host: string): boolean => isIn(UNSPECIFIED, host);

/** True for loopback, link-local and unspecified addresses, which other machines must not reach through the proxy. */
export const isLocalOnlyAddress = (host: string): boolean =>
  isLoopback(host) || isUnspecified(host) || isIn(LINK_LOCAL, host);

/** The `http:` URL of a listener on `host`, for clients on this machine. */
export function localUrl(host: string, port: number): string {
  const reachable = isUnspecified(host) ? '127.0.0.1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}
