import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect } from 'chai';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express, { Router } from 'express';
import { openApiDocument } from '../../../src/admin/openapi.ts';
import type { HistoryAnswer } from '../../../src/admin/history-routes.ts';
import { addDashboardRoutes } from '../../../src/admin/conversation-routes.ts';
import { openStage, type Stage } from '../../e2e/flows.ts';
import { ask, type Answer } from '../forwarder/raw-client.ts';

interface Described {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { responses: Record<string, Response> }>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}
interface Response {
  readonly content: { readonly 'application/json'?: { readonly schema: { readonly $ref: string } } };
}

/** Fails for an answer that is not as the served OpenAPI document says. */
function assertDescribed(document: Described, path: string, method: string, answer: Answer): void {
  const described = document.paths[path]?.[method]?.responses[String(answer.status)];
  const reference = described?.content['application/json']?.schema.$ref;
  expect(reference, `${method} ${path} ${answer.status} is not described`).to.be.a('string');
  const ajv = new Ajv2020({ strict: true, allErrors: true, formats: { 'date-time': true } });
  const name = reference?.split('/').at(-1) ?? '';
  const schema = document.components.schemas[name];
  expect(ajv.validate(schema ?? false, JSON.parse(answer.text)), JSON.stringify(ajv.errors)).to.equal(true);
}

describe('the HTTP API', () => {
  let stage: Stage;
  let document: Described;
  before(async () => {
    stage = await openStage();
    document = JSON.parse((await get('/api/openapi.json')).text) as Described;
  });
  after(() => stage.close());

  const bearer = (token = stage.proxy.access.token): string[] => ['authorization', `Bearer ${token}`];
  const port = (): number => stage.proxy.ports.dashboard;
  const get = (path: string, headers = bearer(), method = 'GET'): Promise<Answer> =>
    ask(stage, { method, path, host: `localhost:${port()}`, headers });

  it('is described in OpenAPI 3.1, and answers as it is described', async () => {
    expect(document).to.include({ openapi: '3.1.0' });
    const empty = await get('/api/conversations');
    assertDescribed(document, '/api/conversations', 'get', empty);
    const client = await stage.checkpointed();
    await client.say('And the lexer.');
    await client.compact();
    const quiet = stage.client();
    await quiet.say('Hello.');
    const all = await get('/api/conversations');
    assertDescribed(document, '/api/conversations', 'get', all);
    const { conversations } = JSON.parse(all.text) as { conversations: { id: string }[] };
    expect(conversations.map(({ id }) => id)).to.deep.equal([quiet.session, client.session]);
    for (const { id } of conversations) {
      assertDescribed(document, '/api/conversations/{id}', 'get', await get(`/api/conversations/${id}`));
    }
    const one = JSON.parse((await get(`/api/conversations/${client.session}`)).text) as {
      detail: { checkpoint: { summary: string }; lastSwap: { taken: unknown } };
    };
    expect(one.detail.checkpoint.summary).to.include('SIMULATED-SUMMARY');
    expect(one.detail.lastSwap.taken).to.equal(null);
    assertDescribed(document, '/health', 'get', await get('/health'));
  });

  it('resets a conversation', async () => {
    const client = await stage.checkpointed();
    const answer = await get(`/api/conversations/${client.session}/reset`, bearer(), 'POST');
    expect(answer.status).to.equal(200);
    assertDescribed(document, '/api/conversations/{id}/reset', 'post', answer);
    expect(JSON.parse(answer.text)).to.have.nested.property('conversation.phase', 'IDLE');
    expect(JSON.parse(answer.text)).to.have.nested.property('conversation.covered', null);
  });

  it('tells the history of compactions, of what it is asked for', async () => {
    const began = Date.now();
    const client = await stage.checkpointed();
    await client.compact();
    await client.compact('manual', 'only the tests');
    const answer = await get(`/api/history?since=${began}&conversation=${client.session}&limit=5`);
    assertDescribed(document, '/api/history', 'get', answer);
    const { compactions, complete, totals } = JSON.parse(answer.text) as HistoryAnswer;
    expect(complete).to.equal(true);
    expect(compactions.map(({ outcome, reason }) => [outcome, reason])).to.deep.equal([
      ['forwarded', 'instructions'],
      ['served', null],
    ]);
    expect(totals).to.include({ served: 1, forwarded: 1 });
    const none = await get(`/api/history?until=${new Date(began).toISOString()}&conversation=${client.session}`);
    expect((JSON.parse(none.text) as HistoryAnswer).compactions).to.deep.equal([]);
    for (const query of ['since=yesterday', 'limit=0', 'limit=many', 'until=']) {
      const refused = await get(`/api/history?${query}`);
      expect(refused.status, query).to.equal(400);
      assertDescribed(document, '/api/history', 'get', refused);
    }
  });

  it('knows no other conversations', async () => {
    const missing = await get('/api/conversations/none-such');
    expect(missing.status).to.equal(404);
    assertDescribed(document, '/api/conversations/{id}', 'get', missing);
    const reset = await get('/api/conversations/none-such/reset', bearer(), 'POST');
    expect(reset.status).to.equal(404);
    assertDescribed(document, '/api/conversations/{id}/reset', 'post', reset);
  });

  it('describes every path that there is', () => {
    expect(Object.keys(document.paths)).to.have.members([
      '/health',
      '/metrics',
      '/api/conversations',
      '/api/conversations/{id}',
      '/api/conversations/{id}/reset',
      '/api/history',
      '/api/openapi.json',
    ]);
    expect(document).to.deep.equal(JSON.parse(JSON.stringify(openApiDocument())));
  });

  it('tells Prometheus what happened', async () => {
    const { headers, text } = await get('/metrics');
    expect(headers.join('\n')).to.include('text/plain; version=0.0.4');
    const value = (name: string): number => Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1] ?? NaN);
    expect(value('dbproxy_requests_total')).to.be.at.least(4);
    expect(value('dbproxy_checkpoints_total{result="made"}')).to.be.at.least(2);
    expect(value('dbproxy_checkpoint_duration_seconds_count')).to.be.at.least(2);
    expect(value('dbproxy_compactions_total{outcome="served",reason=""}')).to.equal(2);
    expect(value('dbproxy_checkpoint_tokens_total{kind="cache_read"}')).to.be.at.least(0);
    expect(value('dbproxy_conversations{phase="IDLE"}')).to.be.at.least(1);
    expect(text).to.include('dbproxy_nodejs_eventloop_lag_seconds').and.to.include('dbproxy_process_cpu_seconds_total');
  });

  describe('gives nothing away', () => {
    const paths = ['/metrics', '/api/conversations', '/api/history', '/api/openapi.json', '/dashboard', '/dashboard/'];
    for (const path of paths) {
      it(`of ${path} without the token, for another host or another origin`, async () => {
        const canary = stage.client();
        await canary.say('canary-question');
        for (const [status, headers, host] of [
          [401, [], `localhost:${port()}`],
          [401, bearer('wrong'), `localhost:${port()}`],
          [403, [...bearer(), 'origin', 'https://evil.example'], `localhost:${port()}`],
          [403, [...bearer(), 'origin', `https://localhost:${port() + 1}`], `localhost:${port()}`],
          [421, bearer(), 'evil.example'],
        ] as const) {
          const answer = await ask(stage, { path, host, headers });
          expect(answer.status, `${path} ${String(headers)} ${host}`).to.equal(status);
          if (path in document.paths) assertDescribed(document, path, 'get', answer);
          expect(answer.text)
            .not.to.include('canary')
            .and.not.to.include(canary.session)
            .and.not.to.include('dbproxy_');
        }
      });
    }

    it('and changes nothing', async () => {
      const client = await stage.checkpointed();
      const path = `/api/conversations/${client.session}/reset`;
      for (const headers of [[], bearer('wrong'), [...bearer(), 'origin', 'https://evil.example']]) {
        expect((await get(path, headers, 'POST')).status).to.be.oneOf([401, 403]);
      }
      expect(stage.proxy.conversations.actors.phase(client.session as never)).to.equal('WAL_ACTIVE');
    });
  });
});

describe('the built page', () => {
  const rest: (() => void)[] = [];
  afterEach(() => {
    for (const end of rest.splice(0)) end();
  });

  async function serve(page: string): Promise<(path: string) => Promise<globalThis.Response>> {
    const app = express();
    const guardedAt = (path: string): Router => {
      const router = Router();
      app.use(path, router);
      return router;
    };
    const nothing = {} as never;
    addDashboardRoutes(guardedAt, { views: nothing, metrics: nothing, history: nothing, reset: () => false, page });
    const server = createServer(app).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    rest.push(() => {
      server.close();
      server.closeAllConnections();
    });
    const { port } = server.address() as AddressInfo;
    return (path) => fetch(`http://127.0.0.1:${port}${path}`, { redirect: 'manual' });
  }

  function directory(): string {
    const path = mkdtempSync(join(tmpdir(), 'dbproxy-page-'));
    rest.push(() => rmSync(path, { recursive: true, force: true }));
    return path;
  }

  it('is served with what belongs to it, and its assets for ever', async () => {
    const page = directory();
    mkdirSync(join(page, 'assets'));
    writeFileSync(join(page, 'index.html'), '<!doctype html><title>the page</title>');
    writeFileSync(join(page, 'assets', 'index-a1b2c3.js'), 'export {};');
    const get = await serve(page);
    const bare = await get('/dashboard');
    expect([bare.status, bare.headers.get('location')]).to.deep.equal([302, '/dashboard/']);
    const index = await get('/dashboard/');
    expect(await index.text()).to.include('the page');
    expect(index.headers.get('cache-control')).to.equal('no-store');
    const asset = await get('/dashboard/assets/index-a1b2c3.js');
    expect(asset.headers.get('cache-control')).to.include('immutable');
    expect(asset.headers.get('content-type')).to.include('javascript');
    expect((await get('/dashboard/../../package.json')).status).to.equal(404);
    expect((await get('/dashboard/%2e%2e%2fpackage.json')).status).to.be.oneOf([403, 404]);
  });

  it('says how it is built where it was not', async () => {
    const get = await serve(join(directory(), 'nowhere'));
    const answer = await get('/dashboard/');
    expect(answer.status).to.equal(503);
    expect(await answer.text()).to.include('npm run build:web');
  });
});
