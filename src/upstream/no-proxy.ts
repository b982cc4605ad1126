/**
 * `NO_PROXY`: which hosts are reached without the proxy. There is no standard; this is what curl, Go and the browsers
 * have in common. Entries are separated by commas or white space:
 *
 *   *                        every host
 *   example.com              that host and all below it; `.example.com` and `*.example.com` mean the same
 *   example.com:8443         only on that port
 *   10.1.2.3, [::1]:443      an address
 *   10.0.0.0/8, fd00::/8     a network
 *
 * Pure.
 */
import { BlockList, isIP } from 'node:net';
import { familyOf, plainHost, type HostAndPort } from '../net/addresses.ts';

type Rule = { readonly port: number | null } & (
  | { readonly kind: 'all' }
  | { readonly kind: 'domain'; readonly name: string }
  | { readonly kind: 'network'; readonly addresses: BlockList }
);

export type NoProxy = readonly Rule[];

/** `[address]:port`, `name:port`, either without a port; an IPv6 address without brackets has none. */
const ENTRY = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/;

/** The addresses in `10.0.0.0/8`, or the one address; undefined where it is a name or nothing. */
function networkOf(text: string): BlockList | undefined {
  const [address = '', bits, ...more] = text.split('/');
  const version = isIP(address);
  if (version === 0 || more.length > 0) return undefined;
  const addresses = new BlockList();
  if (bits === undefined) addresses.addAddress(address, familyOf(address));
  else if (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128)) {
    addresses.addSubnet(address, Number(bits), familyOf(address));
  } else return undefined;
  return addresses;
}

/** An entry's rule; none where it cannot be read, as everywhere else. */
function ruleOf(entry: string): readonly Rule[] {
  const bare = networkOf(entry);
  if (bare !== undefined) return [Object.freeze({ kind: 'network', addresses: bare, port: null })];
  const [, bracketed, unbracketed = '', digits] = ENTRY.exec(entry) ?? [];
  const port = digits === undefined ? null : Number(digits);
  const host = bracketed ?? unbracketed;
  if (host === '*') return [Object.freeze({ kind: 'all', port })];
  const addresses = networkOf(host);
  if (addresses !== undefined) return [Object.freeze({ kind: 'network', addresses, port })];
  const name = plainHost(host.replace(/^\*?\./, ''));
  return name === '' || /[*/?#@\\]/.test(host.slice(1)) ? [] : [Object.freeze({ kind: 'domain', name, port })];
}

/** Reads the variable's value. Entries that cannot be read are left out. */
export function parseNoProxy(value: string): NoProxy {
  const entries = value.split(/[\s,]+/).filter((entry) => entry !== '');
  return Object.freeze(entries.flatMap(ruleOf));
}

/** True when `to` is to be reached without the proxy. */
export function bypasses(rules: NoProxy, to: HostAndPort): boolean {
  const host = plainHost(to.host);
  return rules.some((rule) => {
    if (rule.port !== null && rule.port !== to.port) return false;
    switch (rule.kind) {
      case 'all':
        return true;
      case 'domain':
        return host === rule.name || (isIP(host) === 0 && host.endsWith(`.${rule.name}`));
      case 'network':
        return isIP(host) !== 0 && rule.addresses.check(host, familyOf(host));
    }
  });
}
