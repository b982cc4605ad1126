import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { expect } from 'chai';
import { messageRequest, RawClient, requestBytes, type RawRequest } from './raw-client.ts';
import { rawRig, type RawRig } from './quick-rig.ts';
import type { Received } from './raw-upstream.ts';
import { until } from '../redirector/sockets.ts';

const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n';
const PING = 'event: ping\ndata: {"type":"ping"}\n\n';
const chunk = (text: string): string => `${Buffer.byteLength(text, 'latin1').toString(16)}\r\n${text}\r\n`;
const END = '0\r\n\r\n';

describe('a streamed answer', () => {
  let rig: RawRig;
  let client: RawClient;
  let received: Received;
  before(async () => {
    rig = await rawRig(() => undefined);
  });
  beforeEach(async () => {
    rig.upstream.serve = () => undefined;
    client = await RawClient.open(rig, { way: 'tunnel' });
  });
  afterEach(() => client.close());
  after(() => rig.close());

  async function send(request: RawRequest): Promise<void> {
    const coming = rig.upstream.next();
    client.write(requestBytes(request));
    received = await coming;
    await received.whole();
  }

  /** Resolves when so many events have arrived, however they are framed. */
  const events = (count: number): Promise<void> =>
    until(() => client.reader.pending.toString('latin1').split('{"type":"ping"}').length > count);

  for (const request of [messageRequest('streaming'), { path: '/api/stream' }]) {
    it(`of ${request.path} comes as it is made: head, first byte, each ping, before the next is sent`, async () => {
      await send(request);
      received.send(HEAD);
      const head = await client.head();
      expect(head.line).to.equal('HTTP/1.1 200 OK');
      received.send(`${PING.length.toString(16)}\r\n`);
      received.send('e'); // one byte of a chunk that is still coming
      await until(() => client.reader.pending.includes('e'));
      received.send(`${PING.slice(1)}\r\n`);
      for (let pings = 1; pings < 6; pings += 1) {
        await events(pings);
        received.send(chunk(PING));
      }
      const odd = 'data: no event at all\r\r\n\0\xff';
      received.send(chunk(odd) + END);
      const body = await client.body(head);
      expect([body.bytes.toString('latin1'), body.whole]).to.deep.equal([PING.repeat(6) + odd, true]);
    });
  }

  it('keeps the connection for the next request when it has ended', async () => {
    for (let turn = 0; turn < 3; turn += 1) {
      await send(messageRequest('keep-alive'));
      received.send(HEAD + chunk(PING) + END);
      const answer = await client.answer();
      expect([answer.whole, answer.text]).to.deep.equal([true, PING]);
    }
    expect(rig.upstream.connections).to.equal(1);
  });

  for (const what of ['before its head', 'in mid-stream'] as const) {
    it(`ends for the API within 100 ms when the client leaves ${what}`, async () => {
      await send(messageRequest('leaving'));
      if (what === 'in mid-stream') {
        received.send(HEAD + chunk(PING));
        await events(1);
      }
      const gone = once(received.socket, 'close');
      const began = performance.now();
      client.leave();
      await gone;
      expect(performance.now() - began).to.be.below(100);
    });
  }

  it('goes on for others when one client leaves', async () => {
    await send(messageRequest('staying'));
    const mine = received;
    mine.send(HEAD + chunk('one'));
    expect((await client.head()).line).to.include('200');
    const other = await RawClient.open(rig);
    const coming = rig.upstream.next();
    other.write(requestBytes(messageRequest('leaving')));
    const theirs = await coming;
    theirs.send(HEAD + chunk(PING));
    await other.head();
    const gone = once(theirs.socket, 'close');
    other.leave();
    await gone;
    mine.send(chunk('two') + END);
    expect((await client.body({ line: '', headers: ['transfer-encoding', 'chunked'] })).bytes.toString()).to.equal(
      'onetwo',
    );
  });

  it('is held back as fast as the client reads, and loses nothing', async () => {
    const total = 24 * 1024 * 1024;
    const piece = Buffer.alloc(1024 * 1024, 'x');
    client.socket.pause();
    await send({ path: '/api/large' });
    received.send(`HTTP/1.1 200 OK\r\ncontent-length: ${total}\r\n\r\n`);
    let sent = 0;
    let held = false;
    while (sent < total && !held) {
      sent += piece.length;
      if (received.socket.write(piece)) continue;
      const drained = once(received.socket, 'drain').then(() => false);
      held = await Promise.race([drained, settled(received.socket)]);
    }
    expect(sent, 'the API could send everything to a client that reads nothing').to.be.below(total);
    received.socket.write(Buffer.alloc(total - sent, 'x'));
    client.socket.resume();
    const head = await client.head();
    expect((await client.body(head)).bytes.length).to.equal(total);
  }).timeout(8_000);

  for (const path of ['/v1/messages', '/api/upload']) {
    it(`that comes early does not get stuck behind the rest of its request (${path})`, async () => {
      const coming = rig.upstream.next();
      const bytes = requestBytes({ ...messageRequest('early', Buffer.alloc(8 * 1024 * 1024)), path });
      client.write(bytes.subarray(0, 100_000));
      (await coming).send('HTTP/1.1 413 Payload Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno');
      (await coming).socket.end();
      const answer = await client.answer('POST');
      expect([answer.status, answer.text]).to.deep.equal([413, 'no']);
      // What the client still sends is taken, or the connection is closed.
      client.socket.write(bytes.subarray(100_000));
      await until(() => client.socket.writableLength === 0 || client.socket.destroyed || client.reader.over);
    });
  }
});

/** True when a socket has stopped to take bytes: what has left it stays the same for many turns of the loop. */
async function settled(socket: Received['socket']): Promise<true> {
  for (let before = -1, same = 0; same < 20;) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const left = socket.bytesWritten - socket.writableLength;
    same = left === before ? same + 1 : 0;
    before = left;
  }
  return true;
}
