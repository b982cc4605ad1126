/** What stands before our own pages: security headers for all of them, the token for most. */
import type { Request, RequestHandler } from 'express';
import type { ServerResponse } from 'node:http';
import { errorAnswer } from '../../error-responses.ts';
import type { Access, AccessRequest, Verdict } from './access.ts';

/** Nothing may be loaded, embedded, sent or run but what is our own. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "font-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** On every answer of ours. A route may loosen `cache-control` for what never changes. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()',
  'cache-control': 'no-store',
};

export const securityHeaders: RequestHandler = (_request, response, next) => {
  response.set(SECURITY_HEADERS);
  next();
};

type Refused = Exclude<Verdict, 'granted'>;

const REFUSALS: Readonly<Record<Refused, { status: number; type: string; message: string }>> = {
  foreign_host: {
    status: 403,
    type: 'permission_error',
    message: 'this host is not served here; DBPROXY_ALLOWED_HOSTS names the hosts that are',
  },
  foreign_origin: { status: 403, type: 'permission_error', message: 'this is not for pages of other origins' },
  no_token: {
    status: 401,
    type: 'authentication_error',
    message: 'the token is missing or wrong; open it with `claude-db-proxy dashboard`',
  },
};

/** Nothing of the request is in it. */
const page = (message: string): string =>
  `<!doctype html><html lang="en"><meta charset="utf-8"><title>claude-db-proxy</title>` +
  `<h1>claude-db-proxy</h1><p>${message.replace(/`([^`]*)`/g, '<code>$1</code>')}</p></html>\n`;

/** What a refused request is answered: a page for who asks for one, else an error in the API's shape. */
function refusal(verdict: Refused, wantsPage: boolean): { status: number; type: string; body: Buffer } {
  const { status, type, message } = REFUSALS[verdict];
  if (!wantsPage) return { status, type: 'application/json', body: errorAnswer({ status, type, message }).body };
  const sentence = `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
  return { status, type: 'text/html; charset=utf-8', body: Buffer.from(page(sentence)) };
}

/** As it came: routers shorten `url`. */
const asked = ({ method, originalUrl, headers }: Request): AccessRequest => ({ method, url: originalUrl, headers });

/** For a name that is not ours, without Express. */
export function refuseForeignHost(response: ServerResponse): void {
  const { status, type, body } = refusal('foreign_host', false);
  response.writeHead(status, { ...SECURITY_HEADERS, 'content-type': type }).end(body);
}

/** Before everything of ours. */
export function ownHostOnly(access: Access): RequestHandler {
  return (request, response, next) => {
    if (access.isOwnHost(request.headers.host)) next();
    else refuseForeignHost(response);
  };
}

/** Before everything that shows what was said or changes something. Also redirects a request that has the token in its URL. */
export function guarded(access: Access): RequestHandler {
  return (request, response, next) => {
    const verdict = access.check(asked(request));
    if (verdict !== 'granted') {
      const { status, type, body } = refusal(verdict, request.accepts(['json', 'html']) === 'html');
      if (status === 401) response.set('www-authenticate', 'Bearer');
      response.status(status).type(type).send(body);
      return;
    }
    const tokenRedirect = access.tokenRedirect(asked(request));
    if (tokenRedirect === null) {
      next();
      return;
    }
    if (tokenRedirect.cookie !== null) response.set('set-cookie', tokenRedirect.cookie);
    response.redirect(303, tokenRedirect.location);
  };
}

/** socket.io's `allowRequest`: asked once per session, when it begins. */
export function allowRequest(access: Access) {
  return (request: AccessRequest, decide: (error: string | null, allowed: boolean) => void): void => {
    const verdict = access.check(request);
    if (verdict === 'granted') decide(null, true);
    else decide(REFUSALS[verdict].message, false);
  };
}

/**
 * For `io.engine.use`: asked for every request of every session, upgrades included. `allowRequest` alone would let
 * whoever learns a session's id go on with it.
 */
export function guardedSocket(access: Access) {
  return (request: AccessRequest, response: ServerResponse, next: () => void): void => {
    const verdict = access.check(request);
    if (verdict === 'granted') {
      next();
      return;
    }
    // Of an upgrade engine.io's answer knows no more than these two.
    response.writeHead(REFUSALS[verdict].status, SECURITY_HEADERS);
    response.end();
  };
}
