import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type OutgoingHttpHeaders, type Server } from 'node:http';
import { expect } from 'chai';
import { createAccess, dashboardUrl, type AccessRequest } from '../../../../src/admin/access/access.ts';
import { allowRequest, guardedSocket, SECURITY_HEADERS } from '../../../../src/admin/access/guard.ts';
import { ownHosts } from '../../../../src/admin/access/hosts.ts';
import { createAdminApp } from '../../../../src/admin/app.ts';
import { createAdminPages } from '../../../../src/admin/health.ts';
import { recordingLog, type LogLine } from '../../../support/rig.ts';
import { portOf } from '../../redirector/sockets.ts';

const TOKEN = 'T'.repeat(43);
const BEARER = { authorization: `Bearer ${TOKEN}` };

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

describe('our own pages', () => {
  const lines: LogLine[] = [];
  const access = createAccess(TOKEN, null, { hosts: ownHosts('127.0.0.1', []), port: () => portOf(server) });
  let server: Server;

  before(async () => {
    const log = recordingLog(lines);
    const pages = createAdminPages({
      health: () => ({
        status: 'ok',
        version: '1',
        uptimeSeconds: 0,
        conversations: 0,
        checkpoints: 0,
        passthrough: false,
        checkpointBreaker: 'closed',
        checkpointsResumeAt: null,
        store: 'open',
        totalConnections: 0,
        bufferedBytes: 0,
        checkpointThreshold: 0.7,
        swapThreshold: 0.8,
        activeConnections: 0,
        checkpointCalls: 0,
        uptime_s: 0,
        checkpoint_threshold: 0.7,
        swap_threshold: 0.8,
        open_connections: 0,
        checkpoint_calls: 0,
        pid: 1,
      }),
      access,
      log,
      load: () =>
        Promise.resolve(
          createAdminApp({
            access,
            log,
            routes(guardedAt) {
              const dashboard = guardedAt('/dashboard');
              dashboard.get('/', (_request, response) => void response.send('what was said'));
              dashboard.get('/of/:name', (_request, response) => void response.send('a part of it'));
              dashboard.get('/fails', () => {
                throw new Error('quite unforeseen');
              });
              dashboard.post('/forget', (_request, response) => void response.send('forgotten'));
            },
          }),
        ),
    });
    await pages.ready('/');
    const guard = guardedSocket(access);
    server = createServer((incoming, response) => {
      if (incoming.url?.startsWith('/socket.io') === true) guard(incoming, response, () => response.end('session'));
      else pages.handle(incoming, response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });

  async function ask(path: string, headers: OutgoingHttpHeaders = {}, method = 'GET'): Promise<Answer> {
    const host = `localhost:${portOf(server)}`;
    const asked = request({ port: portOf(server), host: '127.0.0.1', path, method, agent: false });
    for (const [name, value] of Object.entries({ host, ...headers }))
      if (value !== undefined) asked.setHeader(name, value);
    asked.end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
    return { status: response.statusCode ?? 0, headers: response.headers, text };
  }

  const error = (answer: Answer): { type: string; message: string } =>
    (JSON.parse(answer.text) as { error: { type: string; message: string } }).error;

  it('bring the security headers on every answer, errors and redirects included', async () => {
    for (const [path, headers, status] of [
      ['/health', {}, 200],
      ['/dashboard', BEARER, 200],
      ['/dashboard', {}, 401],
      ['/dashboard', { ...BEARER, origin: 'https://evil.example' }, 403],
      ['/health', { host: 'evil.example' }, 403],
      [`/dashboard?token=${TOKEN}`, {}, 303],
      ['/nothing', {}, 404],
      ['/dashboard/of/%', BEARER, 400],
      ['/dashboard/fails', BEARER, 500],
    ] as const) {
      const answer = await ask(path, headers);
      expect(answer.status, path).to.equal(status);
      expect(answer.headers, path).to.include(SECURITY_HEADERS);
      expect(answer.headers).not.to.have.any.keys('x-powered-by', 'etag', 'access-control-allow-origin');
    }
    const policy = SECURITY_HEADERS['content-security-policy'];
    expect(policy)
      .to.match(/^default-src 'none'; /)
      .and.not.to.match(/unsafe|\*|https?:/);
  });

  it('show what was said with the token only', async () => {
    expect((await ask('/dashboard', BEARER)).text).to.equal('what was said');
    const refused = await ask('/dashboard', { authorization: 'Bearer nobody' });
    expect([refused.status, refused.headers['www-authenticate']]).to.deep.equal([401, 'Bearer']);
    expect(error(refused)).to.deep.equal({
      type: 'authentication_error',
      message: 'claude-db-proxy: the token is missing or wrong; open it with `claude-db-proxy dashboard`',
    });
    for (const path of ['/dashboard/', '/Dashboard', '/dashboard/x', '/dashboard?x=1', '/dashboard/%64'])
      expect((await ask(path)).status, path).to.equal(401);
  });

  it('tell a browser what to do', async () => {
    const { status, headers, text } = await ask('/dashboard/"><script>', { accept: 'text/html,*/*;q=0.8' });
    expect([status, headers['content-type']]).to.deep.equal([401, 'text/html; charset=utf-8']);
    expect(text).to.include('<code>claude-db-proxy dashboard</code>').and.not.to.include('script');
  });

  it('change something for our own page or a script with the token only', async () => {
    const origin = `https://localhost:${portOf(server)}`;
    const cookie = String((await ask(`/dashboard?token=${TOKEN}`)).headers['set-cookie']).split(';')[0];
    expect((await ask('/dashboard/forget', BEARER, 'POST')).text).to.equal('forgotten');
    expect((await ask('/dashboard/forget', { cookie, origin }, 'POST')).text).to.equal('forgotten');
    for (const foreign of ['https://localhost:3000', 'http://localhost', 'https://evil.example', 'null', undefined]) {
      const answer = await ask('/dashboard/forget', { cookie, origin: foreign }, 'POST');
      expect(answer.status, String(foreign)).to.equal(403);
      expect(error(answer).type).to.equal('permission_error');
    }
    expect((await ask(`/dashboard/forget?token=${TOKEN}`, { origin }, 'POST')).status).to.equal(401);
  });

  it('are entered by the URL that the command opens, once, and go on with a cookie', async () => {
    const url = new URL(dashboardUrl(`https://localhost:${portOf(server)}`, TOKEN));
    const first = await ask(url.pathname + url.search);
    expect([first.status, first.headers.location]).to.deep.equal([303, '/dashboard']);
    expect(first.headers['referrer-policy']).to.equal('no-referrer');
    expect(first.text).not.to.include(TOKEN);
    const [cookie = ''] = first.headers['set-cookie'] ?? [];
    expect(cookie)
      .to.match(/; Path=\/; Secure; HttpOnly; SameSite=Strict; Max-Age=\d+$/)
      .and.not.to.include(TOKEN);
    const pair = cookie.split(';')[0];
    const second = await ask('/dashboard', { cookie: pair });
    expect([second.status, second.text]).to.deep.equal([200, 'what was said']);
    // An old bookmark.
    const stale = await ask('/dashboard?token=old', { cookie: pair });
    expect([stale.status, stale.headers.location, stale.headers['set-cookie']]).to.deep.equal([
      303,
      '/dashboard',
      undefined,
    ]);
    expect((await ask('/dashboard?token=old')).status).to.equal(401);
  });

  it('tell nothing of an error but its message in the log', async () => {
    const answer = await ask('/dashboard/fails', BEARER);
    expect(error(answer).message).to.equal('claude-db-proxy: something went wrong in the proxy; see its log');
    expect(lines.at(-1)).to.deep.include({ event: 'page.failed', fields: { message: 'quite unforeseen' } });
  });

  it('leave /health open to whoever knows our name, and nothing to others', async () => {
    expect((await ask('/health')).status).to.equal(200);
    for (const path of ['/health', '/dashboard', '/nothing']) {
      const answer = await ask(path, { host: 'evil.example', ...BEARER });
      expect([answer.status, error(answer).type]).to.deep.equal([403, 'permission_error']);
    }
  });

  it('guard every request of a socket', async () => {
    expect((await ask('/socket.io/?EIO=4', BEARER)).text).to.equal('session');
    const refused = await ask('/socket.io/?EIO=4&sid=learned');
    expect([refused.status, refused.text]).to.deep.equal([401, '']);
    expect((await ask('/socket.io/', { ...BEARER, origin: 'https://evil.example' })).status).to.equal(403);
  });

  it('let socket.io ask at the beginning of a session', () => {
    const told: unknown[] = [];
    const decide = (...answer: unknown[]): void => void told.push(answer);
    const of = (headers: AccessRequest['headers']): AccessRequest => ({ method: 'GET', url: '/socket.io/', headers });
    allowRequest(access)(of({ host: 'localhost', ...BEARER }), decide);
    allowRequest(access)(of({ host: 'localhost' }), decide);
    expect(told).to.deep.equal([
      [null, true],
      ['the token is missing or wrong; open it with `claude-db-proxy dashboard`', false],
    ]);
  });
});
