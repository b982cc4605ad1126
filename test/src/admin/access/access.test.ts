import type { IncomingHttpHeaders } from 'node:http';
import { expect } from 'chai';
import { createAccess, dashboardUrl, type AccessRequest, type Verdict } from '../../../../src/admin/access/access.ts';
import { ownHosts } from '../../../../src/admin/access/hosts.ts';

const TOKEN = 'A'.repeat(43);
const PORT = 8443;
const access = createAccess(TOKEN, null, { hosts: ownHosts('127.0.0.1', ['box.example']), port: () => PORT });

const BEARER = { authorization: `Bearer ${TOKEN}` };
const COOKIE = `dbproxy_token_${PORT}`;
const cookieFor = (host: string): string =>
  access.tokenRedirect({ url: `/dashboard?token=${TOKEN}`, headers: { host } })?.cookie?.split(';')[0] ?? '';
const COOKIES = { cookie: cookieFor(`localhost:${PORT}`) };
const OWN = { origin: `https://localhost:${PORT}` };

const check = (headers: IncomingHttpHeaders, rest: Omit<AccessRequest, 'headers'> = {}): Verdict =>
  access.check({ method: 'GET', url: '/dashboard', ...rest, headers: { host: `localhost:${PORT}`, ...headers } });

describe('access', () => {
  describe('is granted to the token', () => {
    const cases: readonly (readonly [
      name: string,
      headers: IncomingHttpHeaders,
      rest?: Omit<AccessRequest, 'headers'>,
    ])[] = [
      ['as bearer', BEARER],
      ['as bearer, whatever the case of the scheme', { authorization: `bearer  ${TOKEN}` }],
      ['as bearer on a POST of a script', BEARER, { method: 'POST' }],
      ['as bearer on an upgrade of a script', { ...BEARER, upgrade: 'websocket' }],
      ['in the URL of a page', {}, { url: `/dashboard?token=${TOKEN}` }],
      ['in the URL of a page beside others', {}, { url: `/dashboard?x=1&token=${TOKEN}&y` }],
      ['as the cookie made from it', COOKIES],
      ['as a cookie among others', { cookie: `a=b; ${COOKIES.cookie}; ${COOKIE}=old` }],
      ['as a cookie that is the token itself', { cookie: `${COOKIE}=${TOKEN}` }],
      ['as cookie on a POST of our own page', { ...COOKIES, ...OWN }, { method: 'POST' }],
      ['as cookie on an upgrade of our own page', { ...COOKIES, ...OWN, upgrade: 'websocket' }],
      ['from our own page by another of our names', { ...COOKIES, origin: `https://127.0.0.1:${PORT}` }],
      [
        'from our own page through a mapped port',
        { cookie: cookieFor('localhost:9'), host: 'localhost:9', origin: 'https://localhost:9' },
      ],
      ['as the cookie beside one of another proxy', { cookie: `dbproxy_token_9=other; ${COOKIES.cookie}` }],
      ['from a page of an allowed host', { ...BEARER, host: 'box.example', origin: 'https://box.example' }],
      ['from a fetch of our own page', { ...COOKIES, 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' }],
      ['from the address bar', { ...COOKIES, 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' }],
      ['from a link', { ...COOKIES, 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'navigate' }],
    ];
    for (const [name, headers, rest] of cases) it(name, () => expect(check(headers, rest)).to.equal('granted'));
  });

  describe('is refused without it', () => {
    const cases: readonly (readonly [
      name: string,
      headers: IncomingHttpHeaders,
      rest?: Omit<AccessRequest, 'headers'>,
    ])[] = [
      ['nothing', {}],
      ['another token', { authorization: `Bearer ${'B'.repeat(43)}` }],
      ['its beginning', { authorization: `Bearer ${TOKEN.slice(0, -1)}` }],
      ['more than it', { authorization: `Bearer ${TOKEN}A` }],
      ['an empty bearer', { authorization: 'Bearer ' }],
      ['basic auth with it', { authorization: `Basic ${TOKEN}` }],
      ['the cookie as bearer', { authorization: `Bearer ${COOKIES.cookie.split('=')[1] ?? ''}` }],
      ['the cookie in the URL', {}, { url: `/dashboard?token=${COOKIES.cookie.split('=')[1] ?? ''}` }],
      ['an empty cookie', { cookie: `${COOKIE}=` }],
      ['a cookie of another port', { cookie: cookieFor('localhost:9') }],
      ['a cookie of another name', { cookie: COOKIES.cookie.replace(COOKIE, `x${COOKIE}`) }],
      ['twice in the URL', {}, { url: `/dashboard?token=${TOKEN}&token=${TOKEN}` }],
      ['in the fragment', {}, { url: `/dashboard#?token=${TOKEN}` }],
      ['in the URL of a POST', {}, { method: 'POST', url: `/dashboard?token=${TOKEN}` }],
      ['in the URL of an upgrade', { upgrade: 'websocket' }, { url: `/socket.io/?token=${TOKEN}` }],
      ['in the URL of a picture', { 'sec-fetch-dest': 'image' }, { url: `/dashboard?token=${TOKEN}` }],
    ];
    for (const [name, headers, rest] of cases) it(name, () => expect(check(headers, rest)).to.equal('no_token'));
  });

  describe('is refused to a foreign host, whatever it shows', () => {
    for (const host of [
      ...['evil.example', 'localhost.evil.example', 'evil.example:8443', 'localhost@evil.example', '192.0.2.7'],
      ...['', ' ', 'localhost:', 'localhost:x', '[::2]', 'x.box.example', 'api.anthropic.com'],
    ]) {
      it(JSON.stringify(host), () => expect(check({ ...BEARER, ...COOKIES, host })).to.equal('foreign_host'));
    }
    it('none at all', () => expect(access.check({ headers: BEARER })).to.equal('foreign_host'));
  });

  for (const host of [
    'localhost',
    'LOCALHOST:1',
    'localhost.',
    '127.0.0.1:8443',
    '[::1]',
    '[0:0::1]:8443',
    'Box.example',
  ]) {
    it(`${host} is one of our names`, () => expect(access.isOwnHost(host)).to.equal(true));
  }

  describe('is refused to a foreign origin, whatever it shows', () => {
    for (const origin of [
      ...['https://evil.example', 'http://localhost:8443', 'https://localhost:3000', 'https://localhost', 'null', ''],
      ...['https://localhost:8443.evil.example', 'https://evil.example:8443', 'https://localhost:8443/'],
      ...['https://localhost:8443@evil.example', 'https://localhost:8443 https://evil.example'],
    ]) {
      it(JSON.stringify(origin), () => {
        for (const rest of [{}, { method: 'POST' }, { url: `/dashboard?token=${TOKEN}` }]) {
          expect(check({ ...BEARER, ...COOKIES, origin }, rest)).to.equal('foreign_origin');
        }
        expect(check({ ...COOKIES, origin, upgrade: 'websocket' })).to.equal('foreign_origin');
      });
    }
    it('a browser that does not name it where it matters', () => {
      expect(check({ ...COOKIES, upgrade: 'websocket' })).to.equal('foreign_origin');
      expect(check(COOKIES, { method: 'POST' })).to.equal('foreign_origin');
      expect(check(COOKIES, { method: 'DELETE' })).to.equal('foreign_origin');
    });
    it('a picture or script on a page of another port', () => {
      const other = { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors' };
      expect(check({ ...COOKIES, ...other })).to.equal('foreign_origin');
    });
  });

  describe('the way in', () => {
    it('takes the token out of the URL and gives a cookie that does not tell it', () => {
      const headers = { host: 'localhost:9' };
      const redirect = access.tokenRedirect({ url: `/dashboard/a?x=1&token=${TOKEN}&y=%20`, headers });
      expect(redirect?.location).to.equal('/dashboard/a?x=1&y=+');
      expect(redirect?.cookie).to.match(
        /^dbproxy_token_9=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Strict; Max-Age=2592000$/,
      );
      expect(redirect?.cookie).not.to.include(TOKEN);
    });
    it('never leads elsewhere', () => {
      for (const path of ['//evil.example/', '/\\evil.example/', '\\\\evil.example', '///evil.example']) {
        expect(access.tokenRedirect({ url: `${path}?token=${TOKEN}`, headers: {} })?.location).to.match(/^\/evil/);
      }
    });
    it('gives no cookie for a wrong token, and is none for a URL without', () => {
      expect(access.tokenRedirect({ url: '/dashboard?token=x', headers: {} })).to.deep.equal({
        location: '/dashboard',
        cookie: null,
      });
      expect(access.tokenRedirect({ url: '/dashboard', headers: {} })).to.equal(null);
      expect(access.tokenRedirect({ method: 'POST', url: `/?token=${TOKEN}`, headers: {} })).to.equal(null);
    });
    it('is what the dashboard command opens', () => {
      const url = new URL(dashboardUrl(`https://localhost:${PORT}`, TOKEN));
      expect(check({ host: url.host }, { url: url.pathname + url.search })).to.equal('granted');
    });
  });

  it('knows the port only once it is known', () => {
    const early = createAccess(TOKEN, null, { hosts: ownHosts('0.0.0.0', []), port: () => undefined });
    const headers = { ...BEARER, host: 'localhost' };
    expect(early.check({ headers: { ...headers, origin: 'https://localhost' } })).to.equal('granted');
    expect(early.check({ headers: { ...headers, origin: 'https://localhost:8443' } })).to.equal('foreign_origin');
  });
});

describe('our names', () => {
  it('are those of the loopback, and what is listened on unless that is everything', () => {
    const own = ['localhost', '127.0.0.1', '::1'];
    for (const all of ['0.0.0.0', '::', '0', '0:0:0:0:0:0:0:0', '::ffff:0.0.0.0', '127.0.0.1'])
      expect([...ownHosts(all, [])], all).to.deep.equal(own);
    expect([...ownHosts('192.0.2.2', [])]).to.deep.equal([...own, '192.0.2.2']);
  });
  it('are what the settings add, in any spelling', () => {
    expect([...ownHosts('::1', ['Box.Example.', '[FD00:0::2]', 'bücher.example'])]).to.deep.equal([
      ...['localhost', '127.0.0.1', '::1', 'box.example', 'fd00::2', 'xn--bcher-kva.example'],
    ]);
  });
});
