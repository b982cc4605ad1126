import { expect } from 'chai';
import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type RequestListener } from 'node:http';
import { createAccess } from '../../../src/admin/access/access.ts';
import { ownHosts } from '../../../src/admin/access/hosts.ts';
import { createAdminPages, type Health, type AdminPages } from '../../../src/admin/health.ts';
import { recordingLog, type LogLine } from '../../support/rig.ts';
import { portOf } from '../redirector/sockets.ts';

const HEALTH = { status: 'ok', conversations: 3 } as Health;

describe('our own pages, before they are loaded', () => {
  const access = createAccess('T'.repeat(43), null, { hosts: ownHosts('127.0.0.1', []), port: () => 1 });
  const lines: LogLine[] = [];
  let loads: (() => Promise<RequestListener>)[];
  let loaded: number;

  const open = (): AdminPages =>
    createAdminPages({
      health: () => HEALTH,
      access,
      log: recordingLog(lines),
      load() {
        loaded += 1;
        const load = loads.shift();
        return load === undefined ? Promise.reject(new Error('loaded too often')) : load();
      },
    });

  async function ask(pages: AdminPages, path: string, method = 'GET'): Promise<{ status: number; text: string }> {
    const server = createServer(pages.handle.bind(pages)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const asked = request({ port: portOf(server), host: '127.0.0.1', path, method, agent: false });
      asked.setHeader('host', 'localhost');
      asked.end();
      const [response] = (await once(asked, 'response')) as [IncomingMessage];
      let text = '';
      for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
      return { status: response.statusCode ?? 0, text };
    } finally {
      server.close();
    }
  }

  beforeEach(() => {
    lines.length = 0;
    loads = [];
    loaded = 0;
  });

  it('answer /health without loading anything', async () => {
    const pages = open();
    for (const target of ['/health', '/health/', '/health?why=not']) {
      expect(pages.ready(target), target).to.equal(null);
      expect(JSON.parse((await ask(pages, target)).text)).to.deep.equal(HEALTH);
    }
    expect((await ask(pages, '/health', 'HEAD')).status).to.equal(200);
    expect(loaded).to.equal(0);
  });

  it('are loaded once, however many ask for them', async () => {
    loads = [() => Promise.resolve((_request, response) => void response.end('a page'))];
    const pages = open();
    await Promise.all([pages.ready('/dashboard'), pages.ready('/healthy'), pages.ready('/socket.io/?EIO=4')]);
    expect(loaded).to.equal(1);
    expect(pages.ready('/dashboard')).to.equal(null);
    expect((await ask(pages, '/dashboard')).text).to.equal('a page');
  });

  it('say so when they cannot be loaded, and are tried again', async () => {
    loads = [
      () => Promise.reject(new Error('the chunk is gone')),
      () => Promise.resolve((_request, response) => void response.end('a page')),
    ];
    const pages = open();
    const failed = await pages.ready('/dashboard')?.then(
      () => null,
      (error: unknown) => error,
    );
    expect(failed).to.be.an('error').with.property('message', 'the chunk is gone');
    expect(lines).to.have.lengthOf(1);
    expect(lines[0]).to.deep.include({ event: 'pages.failed', fields: { message: 'the chunk is gone' } });
    expect((await ask(pages, '/dashboard')).status).to.equal(503);
    await pages.ready('/dashboard');
    expect((await ask(pages, '/dashboard')).text).to.equal('a page');
  });
});
