/**
 * Who may see and change things: whoever shows the token, from a page of ours or from no page at all.
 *
 *   a script    Authorization: Bearer <token>
 *   a browser   GET /dashboard?token=<token> ──▶ 303, a cookie made from the token; from then on the cookie
 *
 * A request is judged by its `Host` (DNS rebinding), its `Origin` (other pages, whose requests carry our cookie where
 * they are on another port of the same host) and the token, in this order. Asked by guard.ts.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Config } from '../../config/config.ts';
import type { Log } from '../../log.ts';
import { ownHosts, readHost, type OwnHosts } from './hosts.ts';
import { openToken, tokenFile } from './token.ts';

export type Verdict = 'granted' | 'foreign_host' | 'foreign_origin' | 'no_token';

/** What is looked at of a request. `url` is path and query as they came, before any router shortened it. */
export interface AccessRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** Redirects a browser that has the token in its URL to the same URL without it, and sets a cookie instead. */
export interface TokenRedirect {
  /** The same path without the token. */
  readonly location: string;
  /** Value of `Set-Cookie`; null for a token that is wrong, from a browser that is known by its cookie. */
  readonly cookie: string | null;
}

export interface Access {
  readonly token: string;
  /** Where the token is kept; null when it could not be written. */
  readonly file: string | null;
  /** True for a `Host` header that names us. */
  isOwnHost(host: string | undefined): boolean;
  check(request: AccessRequest): Verdict;
  /** The redirect for a granted request with a token in its URL; null for any other request. */
  tokenRedirect(request: AccessRequest): TokenRedirect | null;
}

export interface AccessOptions {
  readonly hosts: OwnHosts;
  /** The port of our pages, once it is known. */
  readonly port: () => number | undefined;
}

/** Browsers keep cookies by host and not by port: the name keeps those of several proxies on one machine apart. */
const COOKIE = 'dbproxy_token';
/** 30 days. */
const COOKIE_SECONDS = 30 * 86_400;
const PARAMETER = 'token';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** True when they are the same, in a time that tells nothing about where they differ. */
const same = (given: string, digested: Buffer): boolean => timingSafeEqual(digest(given), digested);

/** What a browser keeps instead of the token: it proves the token and does not tell it. */
const cookieOf = (token: string): string =>
  createHmac('sha256', token).update('claude-db-proxy cookie').digest('base64url');

/** By the port that the browser asks, which may be mapped to ours. */
const cookieName = (host: string | undefined): string => `${COOKIE}_${readHost(host)?.port ?? 443}`;

function cookiesNamed(header: string | undefined, name: string): readonly string[] {
  return (header ?? '').split(';').flatMap((pair) => {
    const [key, ...value] = pair.split('=');
    return key?.trim() === name ? [value.join('=').trim()] : [];
  });
}

/** The token in a URL, where there is exactly one. */
function parameterOf(url: string): string | null {
  const [, query = ''] = /^[^?#]*\?([^#]*)/.exec(url) ?? [];
  const [token, ...more] = new URLSearchParams(query).getAll(PARAMETER);
  return token === undefined || more.length > 0 ? null : token;
}

/** `url` without its token, as a path of this host: never `//elsewhere`. */
function withoutParameter(url: string): string {
  const [path = '', query = ''] = url.split('?', 2);
  const parameters = new URLSearchParams(query);
  parameters.delete(PARAMETER);
  const rest = parameters.toString();
  return `/${path.replace(/^[/\\]+/, '')}${rest === '' ? '' : `?${rest}`}`;
}

const isSafe = ({ method = 'GET' }: AccessRequest): boolean => method === 'GET' || method === 'HEAD';
const isUpgrade = ({ headers }: AccessRequest): boolean => headers.upgrade !== undefined;

/** A request that opens a page, as far as can be told: browsers say so themselves (`Sec-Fetch-Dest`). */
function isForPage(request: AccessRequest): boolean {
  const destination = request.headers['sec-fetch-dest'];
  return isSafe(request) && !isUpgrade(request) && (destination === undefined || destination === 'document');
}

/** Access by `token`. Pure. */
export function createAccess(token: string, file: string | null, { hosts, port }: AccessOptions): Access {
  const cookie = cookieOf(token);
  const accepted = { token: digest(token), cookie: digest(cookie) };

  const isOwnHost = (host: string | undefined): boolean => {
    const named = readHost(host);
    return named !== null && hosts.has(named.host);
  };

  /** Ours is a page over TLS, of one of our names, on the port that was asked or the one we listen on. */
  const isOwnOrigin = (origin: string, host: string | undefined): boolean => {
    const [, authority] = /^https:\/\/([^/]+)$/.exec(origin) ?? [];
    const page = readHost(authority);
    if (page === null || !hosts.has(page.host)) return false;
    const at = page.port ?? 443;
    return at === (readHost(host)?.port ?? 443) || at === port();
  };

  const hasBearer = ({ headers }: AccessRequest): boolean => {
    const [, given] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? [];
    return given !== undefined && same(given, accepted.token);
  };
  const hasCookie = ({ headers }: AccessRequest): boolean =>
    cookiesNamed(headers.cookie, cookieName(headers.host)).some(
      (given) => same(given, accepted.cookie) || same(given, accepted.token),
    );
  const hasParameter = (request: AccessRequest): boolean => {
    const given = isForPage(request) ? parameterOf(request.url ?? '') : null;
    return given !== null && same(given, accepted.token);
  };

  /** True for a request that a page of somebody else has made. */
  const isFromElsewhere = ({ headers }: AccessRequest): boolean => {
    const { origin } = headers;
    if (origin !== undefined) return !isOwnOrigin(origin, headers.host);
    const site = headers['sec-fetch-site'];
    const navigates = headers['sec-fetch-mode'] === 'navigate';
    return site !== undefined && site !== 'same-origin' && site !== 'none' && !navigates;
  };

  return {
    token,
    file,
    isOwnHost,
    check(request) {
      if (!isOwnHost(request.headers.host)) return 'foreign_host';
      if (isFromElsewhere(request)) return 'foreign_origin';
      if (hasBearer(request) || hasParameter(request)) return 'granted';
      if (!hasCookie(request)) return 'no_token';
      // Browsers send the cookie for whoever asks. Where it would matter they also say who that is.
      const mustTell = isUpgrade(request) || !isSafe(request);
      return mustTell && request.headers.origin === undefined ? 'foreign_origin' : 'granted';
    },
    tokenRedirect(request) {
      const url = request.url ?? '';
      if (!isForPage(request) || parameterOf(url) === null) return null;
      const attributes = `Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=${COOKIE_SECONDS}`;
      return {
        location: withoutParameter(url),
        cookie: hasParameter(request) ? `${cookieName(request.headers.host)}=${cookie}; ${attributes}` : null,
      };
    },
  };
}

export interface OpenAccessOptions extends Pick<AccessOptions, 'port'> {
  readonly config: Pick<Config, 'dataDir' | 'host' | 'allowedHosts'>;
  readonly log: Log;
}

/** Access by the token in the data directory, which is created if there is none. Never rejects. */
export async function openAccess({ config, log, port }: OpenAccessOptions): Promise<Access> {
  const token = await openToken(tokenFile(config.dataDir), log);
  return createAccess(token.value, token.file, { hosts: ownHosts(config.host, config.allowedHosts), port });
}

/** The URL that `claude-db-proxy dashboard` opens; it signs the browser in. */
export const dashboardUrl = (origin: string, token: string): string =>
  `${origin}/dashboard?${PARAMETER}=${encodeURIComponent(token)}`;
