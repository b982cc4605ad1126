/**
 * The proxy that the user's network wants on the way out: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` and what they mean
 * for one destination. Lower-case names win, as with curl; an empty variable is an unset one. Pure.
 */
import { Buffer } from 'node:buffer';
import { isLoopback, plainHost, type HostAndPort } from '../net/addresses.ts';
import { ConfigError } from '../errors.ts';
import { bypasses, parseNoProxy, type NoProxy } from './no-proxy.ts';

/** One proxy. Its credentials are in no property that printing, logging or serialising it would show. */
export class ProxyEndpoint {
  /** The variable that names it, as it was spelled. */
  readonly variable: string;
  /** True for a proxy that is spoken to over TLS. */
  readonly secure: boolean;
  /** Name or address, an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  /** `http://host:port`, for messages. */
  readonly origin: string;
  readonly #authorization: string | null;

  constructor(variable: string, url: URL) {
    this.variable = variable;
    this.secure = url.protocol === 'https:';
    this.host = plainHost(url.hostname);
    this.port = url.port === '' ? (this.secure ? 443 : 80) : Number(url.port);
    this.origin = `${url.protocol}//${url.hostname}:${this.port}`;
    const { username, password } = url;
    const pair = `${decoded(username)}:${decoded(password)}`;
    this.#authorization = username + password === '' ? null : `Basic ${Buffer.from(pair).toString('base64')}`;
    Object.freeze(this);
  }

  /** Value of `Proxy-Authorization`; null where the URL has no user. */
  get authorization(): string | null {
    return this.#authorization;
  }
}

export interface OutboundProxy {
  /** For https URLs and for tunnels. */
  readonly https: ProxyEndpoint | null;
  /** For http URLs. */
  readonly http: ProxyEndpoint | null;
  readonly bypass: NoProxy;
}

export interface OutboundTarget extends HostAndPort {
  /** True for TLS, and for tunnels of which nobody knows what is inside. */
  readonly secure: boolean;
}

/** Everything is reached directly. */
export const NO_OUTBOUND_PROXY: OutboundProxy = Object.freeze({ https: null, http: null, bypass: parseNoProxy('') });

/** A percent sign that encodes nothing stands for itself. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

type Variables = Readonly<Record<string, string | undefined>>;

/** Name and value of the variable that holds, or undefined. */
function variable(env: Variables, name: string): readonly [name: string, value: string] | undefined {
  for (const spelled of [name.toLowerCase(), name]) {
    const value = env[spelled]?.trim() ?? '';
    if (value !== '') return [spelled, value];
  }
  return undefined;
}

function endpoint(env: Variables, name: string): ProxyEndpoint | null {
  const [spelled, value] = variable(env, name) ?? [];
  if (spelled === undefined || value === undefined) return null;
  const text = value.includes('://') ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === '' || url.port === '0') {
    // What cannot be read may hold a password anywhere.
    throw new ConfigError(spelled, '(hidden)', 'an http or https URL, such as http://proxy.example:3128');
  }
  return new ProxyEndpoint(spelled, url);
}

/**
 * Reads the variables.
 *
 * @throws ConfigError naming the variable, without its value
 */
export function parseOutboundProxy(env: Variables): OutboundProxy {
  return Object.freeze({
    https: endpoint(env, 'HTTPS_PROXY'),
    http: endpoint(env, 'HTTP_PROXY'),
    bypass: parseNoProxy(variable(env, 'NO_PROXY')?.[1] ?? ''),
  });
}

/** The proxy on the way to a destination; null for none. This machine's loopback is never behind a proxy. */
export function proxyFor(settings: OutboundProxy, to: OutboundTarget): ProxyEndpoint | null {
  const proxy = to.secure ? settings.https : settings.http;
  return proxy === null || isLoopback(to.host) || bypasses(settings.bypass, to) ? null : proxy;
}
