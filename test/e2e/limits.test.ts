import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import {
  ask,
  messageRequest,
  question,
  RawClient,
  requestBytes,
  type RawRequest,
} from '../src/forwarder/raw-client.ts';
import { quickRig, rawRig } from '../src/forwarder/quick-rig.ts';
import { answering, OK } from '../src/forwarder/raw-upstream.ts';
import { openTunnel, until } from '../src/redirector/sockets.ts';
import type { Rig } from '../support/rig.ts';
import { FULL, isCheckpointCall, LARGE, openStage } from './flows.ts';

interface Health {
  readonly bufferedBytes: number;
  readonly totalConnections: number;
}

async function health(rig: Rig): Promise<Health> {
  const { text } = await ask(rig, { path: '/health', host: 'localhost' }, { servername: 'localhost' });
  return JSON.parse(text) as Health;
}

/** Waits until nothing is kept any more. */
async function emptied(rig: Rig): Promise<void> {
  for (let tries = 0; (await health(rig)).bufferedBytes !== 0; tries += 1) {
    if (tries > 100) throw new Error(`${(await health(rig)).bufferedBytes} bytes are kept still`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const long = (bytes: number): string => 'x'.repeat(bytes);

describe('overload', () => {
  describe('of bytes', () => {
    it('a body without room passes untouched and brings no checkpoint; one with room still does', async () => {
      const rig = await quickRig({ DBPROXY_MAX_BUFFERED_BYTES: '64K' });
      rig.api.respondWith(() => ({ promptTokens: LARGE }));
      const body = JSON.stringify(question({ messages: [{ role: 'user', content: long(100_000) }] }));
      expect((await ask(rig, messageRequest('large', body))).status).to.equal(200);
      expect(rig.api.messages[0]?.body.toString()).to.equal(body);
      await rig.logged('buffer.full');
      await emptied(rig);
      expect((await ask(rig, messageRequest('small'))).status).to.equal(200);
      await rig.logged('checkpoint.completed', ({ conversation }) => conversation === 'small');
      expect(rig.api.messages.filter(isCheckpointCall)).to.have.length(1);
      await emptied(rig);
      await rig.close();
    });

    it('a compaction without room to hold it streams to the API and is answered by it, though it could be served', async () => {
      for (const [limit, served] of [
        ['20K', undefined],
        ['60K', 'checkpoint'],
      ] as const) {
        const stage = await openStage({ DBPROXY_MAX_BUFFERED_BYTES: limit });
        const client = await stage.checkpointed({}, long(15_000));
        stage.size(client, FULL);
        await client.say(long(5_000));
        const answer = await client.compact();
        expect([answer.status, answer.headers['x-double-buffer-served']]).to.deep.equal([200, served]);
        expect(stage.compactions(client)).to.have.length(served === undefined ? 1 : 0);
        await emptied(stage);
        await stage.close();
      }
    });

    it('one that comes in small pieces does so too, on a connection that was used before', async () => {
      const rig = await quickRig({ DBPROXY_MAX_BUFFERED_BYTES: '2K' });
      rig.api.respondWith(() => ({ promptTokens: LARGE }));
      expect((await ask(rig, messageRequest('small'))).status).to.equal(200);
      await rig.logged('checkpoint.completed');
      const body = JSON.stringify(question({ messages: [{ role: 'user', content: long(10_000) }] }));
      const bytes = requestBytes(messageRequest('other', body, { requestClass: 'compaction' }));
      const client = await RawClient.open(rig);
      for (let at = 0; at < bytes.length; at += 1_000) {
        client.write(bytes.subarray(at, at + 1_000));
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      expect((await client.answer('POST')).status).to.equal(200);
      expect(rig.api.messages.at(-1)?.body.toString()).to.equal(body);
      await client.close();
      await rig.close();
    });

    it('a compressed body whose content has no room passes as it came, and is not read', async () => {
      const rig = await rawRig(answering(OK), { DBPROXY_MAX_BUFFERED_BYTES: '20K' });
      for (const [content, tracked] of [
        [100_000, 0],
        [1_000, 1],
      ] as const) {
        const plain = JSON.stringify(question({ messages: [{ role: 'user', content: long(content) }] }));
        const coming = rig.upstream.next();
        const body = gzipSync(plain);
        const answer = await ask(rig, messageRequest('gzipped', body, { headers: ['content-encoding', 'gzip'] }));
        expect(answer.text).to.equal('ok');
        expect((await (await coming).whole()).bytes.equals(body)).to.equal(true);
        await until(() => rig.proxy.conversations.actors.size === tracked);
        await emptied(rig);
      }
      await rig.close();
    });

    it('keeps nothing at all with a limit of 0, and everything passes', async () => {
      const rig = await quickRig({ DBPROXY_MAX_BUFFERED_BYTES: '0' });
      rig.api.respondWith(() => ({ promptTokens: LARGE }));
      for (const requestClass of ['main', 'compaction', null]) {
        expect((await ask(rig, messageRequest('nothing', undefined, { requestClass }))).status).to.equal(200);
      }
      expect(rig.api.messages).to.have.length(3);
      expect((await health(rig)).bufferedBytes).to.equal(0);
      await rig.close();
    });

    it('counts the request that a checkpoint call is made from for as long as it may be needed', async () => {
      const stage = await openStage();
      const client = stage.client();
      stage.summarise(client, () => ({ firstByteMs: 400 }));
      stage.size(client, LARGE);
      await client.say(long(50_000));
      await stage.api.waitFor(isCheckpointCall);
      expect((await health(stage)).bufferedBytes).to.be.within(50_000, 60_000);
      await stage.told(client, 'checkpoint.completed');
      await emptied(stage);
      await stage.close();
    });

    it('gives everything back, however an exchange ends', async () => {
      const stage = await openStage();
      const client = await stage.checkpointed({}, 'One.', 'Two.');
      await client.say('Three.');
      stage.size(client, FULL);
      expect((await client.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
      await emptied(stage);
      for (const fault of [
        { kind: 'status', status: 401, message: 'no' },
        { kind: 'disconnect', at: 'before_head' },
        { kind: 'disconnect', at: 'mid_stream' },
        { kind: 'garbage_http' },
        { kind: 'error_event', message: 'no' },
      ] as const) {
        for (const requestClass of ['main', 'compaction', null]) {
          stage.api.fault(fault);
          await ask(stage, messageRequest(fault.kind, undefined, { requestClass })).catch(() => undefined);
          await emptied(stage);
        }
      }
      await stage.close();
    });

    it('gives everything back when the client leaves in the midst of its request or of the answer', async () => {
      const rig = await rawRig(async (request) => {
        await request.whole();
        request.send('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n');
      });
      const body = JSON.stringify(question({ messages: [{ role: 'user', content: long(20_000) }] }));
      for (const requestClass of ['main', 'compaction', null]) {
        const bytes = requestBytes(messageRequest('leaving', body, { requestClass }));
        for (const part of [bytes.subarray(0, 10_000), bytes]) {
          const client = await RawClient.open(rig);
          client.write(part);
          if (part === bytes) await client.head();
          for (let tries = 0; (await health(rig)).bufferedBytes === 0 && tries < 100; tries += 1) {
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
          expect((await health(rig)).bufferedBytes).to.be.above(5_000);
          await client.close();
          await emptied(rig);
        }
      }
      await rig.close();
    });

    for (const [name, encoding, bytes] of [
      ['compressed', 'gzip', gzipSync('event: message_stop\ndata: {"type":"message_stop"}\n\n')],
      ['broken', 'gzip', Buffer.from('no gzip at all')],
      ['unreadable', 'zstd', Buffer.from('whatever')],
      ['plain', 'identity', Buffer.from('no events')],
    ] as const) {
      it(`gives everything back after an answer that is ${name}, also where its request is read only then`, async () => {
        const head = `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: ${encoding}\r\ncontent-length: ${bytes.length}\r\n\r\n`;
        const rig = await rawRig(answering(head + bytes.toString('latin1')));
        for (let turn = 0; turn < 3; turn += 1) {
          const request: RawRequest = messageRequest('read-later');
          expect((await ask(rig, request)).bytes.equals(bytes)).to.equal(true);
          await emptied(rig);
        }
        await rig.close();
      });
    }
  });

  describe('of connections', () => {
    it('turns nobody away: what ends here is answered and not kept alive, and is counted until it is gone', async () => {
      const rig = await rawRig(answering(OK), { DBPROXY_MAX_CONNECTIONS: '3' });
      const first = await Promise.all([1, 2, 3].map(() => RawClient.open(rig)));
      for (const client of first) {
        client.write(requestBytes({ path: '/api/x' }));
        expect((await client.answer()).header('connection')).to.equal(undefined);
      }
      for (let more = 0; more < 3; more += 1) {
        const answer = await ask(rig, { path: '/api/x' });
        expect([answer.text, answer.header('connection')]).to.deep.equal(['ok', 'close']);
      }
      await rig.logged('connections.crowded');
      expect(rig.log.filter(({ event }) => event === 'connections.crowded')).to.have.length(1);
      expect((await health(rig)).totalConnections).to.be.within(4, 5);
      for (const client of first) {
        client.write(requestBytes({ path: '/api/x' }));
        expect((await client.answer()).text).to.equal('ok');
        await client.close();
      }
      await until(() => rig.upstream.requests.length === 9);
      for (let tries = 0; (await health(rig)).totalConnections > 1 && tries < 100; tries += 1) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      expect((await health(rig)).totalConnections).to.equal(1);
      await rig.close();
    });

    it('counts a tunnel to the API once, though both listeners see it', async () => {
      const rig = await rawRig(answering(OK));
      const clients = await Promise.all([1, 2].map(() => RawClient.open(rig, { way: 'tunnel' })));
      const { socket } = await openTunnel(rig.proxy.ports.proxy, `127.0.0.1:${rig.upstream.port}`);
      expect((await health(rig)).totalConnections).to.equal(4);
      for (const client of clients) await client.close();
      socket.destroy();
      await rig.close();
    });
  });
});
