/**
 * The names that are ours: a request whose `Host` is none of them is not for us, whatever address it came to. That is
 * what stops a web page whose name was pointed at this machine (DNS rebinding). Pure.
 */
import { isUnspecified, plainHost } from '../../net/addresses.ts';

export interface HostHeader {
  /** As `plainHost` spells it. */
  readonly host: string;
  /** Null where it is the scheme's own. */
  readonly port: number | null;
}

const HOST = /^(\[[0-9a-f:.]+\]|[^:[\]/@\s]+)(?::(\d{1,5}))?$/i;

/** Reads a `Host` header; null where it is none. */
export function readHost(header: string | undefined): HostHeader | null {
  const [, host, port] = HOST.exec(header?.trim() ?? '') ?? [];
  return host === undefined ? null : { host: plainHost(host), port: port === undefined ? null : Number(port) };
}

const ALWAYS = ['localhost', '127.0.0.1', '::1'];

export type OwnHosts = ReadonlySet<string>;

/**
 * @param listening what the listeners are bound to (`DBPROXY_HOST`): one of our names, unless it stands for all addresses
 * @param more `DBPROXY_ALLOWED_HOSTS`
 */
export function ownHosts(listening: string, more: readonly string[]): OwnHosts {
  const bound = isUnspecified(listening) ? [] : [listening];
  return new Set([...ALWAYS, ...bound, ...more].map(plainHost));
}
