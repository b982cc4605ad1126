import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { expect } from 'chai';
import { VERSION } from '../../../src/version.ts';
import { API_HEADERS, ask, messageRequest, RawClient, requestBytes, type Answer } from './raw-client.ts';
import { startingWith } from './http-bytes.ts';
import { rawRig, type RawRig } from './quick-rig.ts';
import { answering, OK } from './raw-upstream.ts';

describe('routing by Host', () => {
  let rig: RawRig;
  before(async () => {
    rig = await rawRig();
  });
  beforeEach(() => {
    rig.upstream.serve = answering(OK);
  });
  after(() => rig.close());

  const seen = (): number => rig.upstream.requests.length;

  for (const host of ['api.anthropic.com', 'API.Anthropic.COM', 'api.anthropic.com:443', 'api.anthropic.com.']) {
    it(`${host} is the API and nothing else`, async () => {
      for (const path of ['/health', '/', '/v1/models', '/dashboard', '/socket.io/']) {
        const coming = rig.upstream.next();
        const answer = await ask(rig, { path, host });
        expect([answer.status, answer.text]).to.deep.equal([200, 'ok']);
        expect((await coming).path).to.equal(path);
      }
    });
  }

  for (const host of ['localhost', 'localhost:8443', 'LocalHost', '127.0.0.1:8443', '[::1]:8443']) {
    it(`${host} is ours, but for /v1/`, async () => {
      const before = seen();
      const health = await ask(rig, { path: '/health', host }, { servername: 'localhost' });
      expect(health.status).to.equal(200);
      expect(health.header('content-type')).to.match(/^application\/json/);
      const json = JSON.parse(health.text) as Record<string, unknown>;
      expect(json).to.include({ status: 'ok', version: VERSION, passthrough: false });
      expect(json['conversations']).to.be.a('number');
      const missing = await ask(rig, { path: '/api/claude_code/settings', host }, { servername: 'localhost' });
      expect(missing.status).to.equal(404);
      expectOwnError(missing, 404);
      expect(seen()).to.equal(before);
      const coming = rig.upstream.next();
      expect((await ask(rig, { path: '/v1/models', host }, { servername: 'localhost' })).text).to.equal('ok');
      expect((await coming).path).to.equal('/v1/models');
    });
  }

  for (const host of [
    'example.com',
    'api.anthropic.com.example.com',
    'xapi.anthropic.com',
    'localhost.example.com',
    '',
  ]) {
    it(`a foreign host is refused: '${host}'`, async () => {
      const before = seen();
      for (const path of ['/health', '/v1/messages', '/']) {
        const answer = await ask(rig, { method: 'POST', path, host, body: '{}' });
        expectOwnError(answer, 421);
      }
      expect(seen()).to.equal(before);
    });
  }

  it('a message request to localhost goes to the API, with and without class headers, and is labelled', async () => {
    for (const requestClass of ['main', null]) {
      const coming = rig.upstream.next();
      const sent = { ...messageRequest('base-url', undefined, { requestClass }), host: 'localhost:8443' };
      const answer = await ask(rig, sent, { servername: 'localhost' });
      expect(answer.text).to.equal('ok');
      expect(answer.header('x-double-buffer-phase')).to.equal('IDLE');
      const received = await coming;
      expect(received.path).to.equal(sent.path);
      expect((await received.whole()).bytes.toString()).to.equal(sent.body);
    }
  });

  it('takes the hosts that the settings add for ours, and our own pages know them too', async () => {
    const own = await rawRig(answering(OK), { DBPROXY_ALLOWED_HOSTS: 'box.example,192.0.2.9' });
    for (const host of ['box.example', 'BOX.example.:9443', '192.0.2.9:8443']) {
      expect((await ask(own, { path: '/health', host })).status, host).to.equal(200);
      expect((await ask(own, { path: '/v1/models', host })).text).to.equal('ok');
    }
    expectOwnError(await ask(own, { path: '/health', host: 'x.box.example' }), 421);
    expect((await ask(rig, { path: '/health', host: 'box.example' })).status).to.equal(421);
    await own.close();
  });

  it('does so request by request on a connection that a browser keeps', async () => {
    const client = await RawClient.open(rig, { servername: 'localhost' });
    client.write(requestBytes({ path: '/dashboard', host: 'localhost' }));
    expect((await client.answer()).status).to.equal(401);
    client.write(requestBytes({ path: '/dashboard', host: 'evil.example' }));
    expect((await client.answer()).status).to.equal(403);
    await client.close();
  });

  it('lets into the dashboard with the token that is in its file', async () => {
    const token = readFileSync(join(rig.dataDir, 'token'), 'utf8').trim();
    const host = `localhost:${rig.proxy.ports.dashboard}`;
    const redirect = await ask(rig, { path: `/dashboard?token=${token}`, host }, { servername: 'localhost' });
    expect([redirect.status, redirect.header('location')]).to.deep.equal([303, '/dashboard']);
    const cookie = redirect.header('set-cookie')?.split(';')[0] ?? '';
    const status = async (headers: readonly string[]) => (await ask(rig, { path: '/dashboard', host, headers })).status;
    expect(await status(['cookie', cookie])).not.to.equal(401);
    expect(await status(['authorization', `Bearer ${token}`])).not.to.equal(401);
    expect(await status([])).to.equal(401);
  });

  it('is by Host and not by the name in TLS', async () => {
    const answer = await ask(rig, { path: '/health', host: 'api.anthropic.com' }, { servername: 'localhost' });
    expect(answer.text).to.equal('ok');
  });

  it('goes on from request to request of one connection', async () => {
    const client = await RawClient.open(rig);
    for (const [host, status] of [
      ['api.anthropic.com', 200],
      ['example.com', 421],
      ['localhost', 200],
    ] as const) {
      client.write(requestBytes({ path: '/health', host }));
      expect((await client.answer()).status).to.equal(status);
    }
    await client.close();
  });

  it('/health is found by its address too, with a certificate for it', async () => {
    const asked = request({
      host: '127.0.0.1',
      port: rig.proxy.ports.dashboard,
      path: '/health',
      ca: rig.ca,
      agent: false,
    });
    asked.end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    expect(response.statusCode).to.equal(200);
    response.resume();
    await once(response, 'close');
  });

  it('/health counts the conversations', async () => {
    const count = async (): Promise<unknown> => {
      const { text } = await ask(rig, { path: '/health', host: 'localhost' });
      return (JSON.parse(text) as Record<string, unknown>)['conversations'];
    };
    const before = await count();
    await ask(rig, messageRequest('counted'));
    expect(await count()).to.equal(Number(before) + 1);
  });

  it('a request in absolute form is passed on, as any other', async () => {
    const coming = rig.upstream.next();
    const answer = await ask(rig, { path: 'https://api.anthropic.com/v1/models?limit=5', headers: API_HEADERS });
    expect(answer.status).to.equal(200);
    expect((await coming).path).to.match(/^(https:..api.anthropic.com)?\/v1\/models\?limit=5$/);
  });

  it('OPTIONS * is passed on', async () => {
    const coming = rig.upstream.next();
    expect((await ask(rig, { method: 'OPTIONS', path: '*' })).status).to.equal(200);
    expect((await coming).path).to.equal('*');
  });
});

function expectOwnError(answer: Answer, status: number): void {
  expect(answer.status).to.equal(status);
  expect(answer.header('content-type')).to.match(/^application\/json/);
  const json = JSON.parse(answer.text) as { type: unknown; error: { type: unknown; message: string } };
  expect(json.type).to.equal('error');
  expect(json.error.type).to.be.a('string');
  expect(json.error.message).to.match(/^claude-db-proxy: /);
  expect(startingWith(answer.headers, 'x-powered-by')).to.deep.equal([]);
}
