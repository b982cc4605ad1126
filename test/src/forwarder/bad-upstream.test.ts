import { createServer } from 'node:net';
import { once } from 'node:events';
import { expect } from 'chai';
import { ask, messageRequest, RawClient, requestBytes, type Answer, type RawRequest } from './raw-client.ts';
import { startingWith } from './http-bytes.ts';
import { quickRig, rawRig, type RawRig } from './quick-rig.ts';
import { answering, OK, type Serve } from './raw-upstream.ts';
import { portOf, until } from '../redirector/sockets.ts';

const REQUESTS: readonly RawRequest[] = [messageRequest('unlucky'), { path: '/api/claude_code/settings' }];
const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
const PING = 'event: ping\ndata: {"type":"ping"}\n\n';
const CHUNK = `${PING.length.toString(16)}\r\n${PING}\r\n`;

function expectOwn502(answer: Answer, request: RawRequest): void {
  expect([answer.status, answer.whole]).to.deep.equal([502, true]);
  expect(answer.header('content-type')).to.match(/^application\/json/);
  const { type, error } = JSON.parse(answer.text) as { type: string; error: { type: string; message: string } };
  expect([type, error.type]).to.deep.equal(['error', 'api_error']);
  expect(error.message).to.match(/^claude-db-proxy: \S/);
  const labels = startingWith(answer.headers, 'x-double-buffer-').length / 2;
  expect(labels).to.equal(request.path?.startsWith('/v1/messages') === true ? 2 : 0);
}

describe('an API that cannot be reached', () => {
  it('is a 502 in the shape of its own errors, and found again when it is back', async () => {
    const gone = createServer().listen(0, '127.0.0.1');
    await once(gone, 'listening');
    const port = portOf(gone);
    gone.close();
    await once(gone, 'close');
    const rig = await quickRig({ DBPROXY_UPSTREAM_URL: `http://127.0.0.1:${port}` });
    try {
      for (const request of REQUESTS) {
        const answer = await ask(rig, request);
        expectOwn502(answer, request);
        expect(answer.text).to.include(`127.0.0.1:${port}`).and.to.include('DBPROXY_UPSTREAM_URL');
      }
      const back = createServer((socket) => socket.end(OK)).listen(port, '127.0.0.1');
      await once(back, 'listening');
      expect((await ask(rig, { path: '/api/x' })).text).to.equal('ok');
      back.close();
    } finally {
      await rig.close();
    }
  });

  it('by a name that does not exist is a 502', async () => {
    const rig = await quickRig({ DBPROXY_UPSTREAM_URL: 'http://no-such-host.invalid' });
    for (const request of REQUESTS) expectOwn502(await ask(rig, request), request);
    await rig.close();
  });

  it('for want of TLS on the other side is a 502', async () => {
    const plain = createServer((socket) => socket.end('220 this is no TLS\r\n')).listen(0, '127.0.0.1');
    await once(plain, 'listening');
    const rig = await quickRig({ DBPROXY_UPSTREAM_URL: `https://127.0.0.1:${portOf(plain)}` });
    for (const request of REQUESTS) expectOwn502(await ask(rig, request), request);
    await rig.close();
    plain.close();
  });
});

describe('an API that breaks down', () => {
  let rig: RawRig;
  let bystander: RawClient;
  before(async () => {
    rig = await rawRig();
  });
  /** A stream that goes on all the while: nobody else notices. */
  beforeEach(async () => {
    bystander = await RawClient.open(rig);
    rig.upstream.serve = async (request) => {
      await request.whole();
      request.send(HEAD + CHUNK);
    };
    bystander.write(requestBytes(messageRequest('bystander')));
    expect((await bystander.head()).line).to.include('200');
  });
  afterEach(async () => {
    const stream = rig.upstream.requests.findLast(({ header }) => header('x-claude-code-session-id') === 'bystander');
    stream?.send(`${CHUNK}0\r\n\r\n`);
    const body = await bystander.body({ line: '', headers: ['transfer-encoding', 'chunked'] });
    expect([body.bytes.toString(), body.whole]).to.deep.equal([PING + PING, true]);
    await bystander.close();
    rig.upstream.serve = answering(OK);
    expect((await ask(rig, { path: '/api/x' })).text).to.equal('ok');
  });
  after(() => rig.close());

  const breaking = (bytes: string, how: 'end' | 'reset'): Serve => {
    return async (request) => {
      await request.whole();
      request.send(bytes);
      if (how === 'end') request.socket.end();
      else setTimeout(() => request.socket.resetAndDestroy(), 10);
    };
  };

  for (const how of ['end', 'reset'] as const) {
    for (const [what, bytes] of [
      ['without a word', ''],
      ['in the status line', 'HTTP/1.1 20'],
      ['in its header', 'HTTP/1.1 200 OK\r\ncontent-type: text/ev'],
    ] as const) {
      it(`${what} (${how}) is a 502`, async () => {
        rig.upstream.serve = breaking(bytes, how);
        for (const request of REQUESTS) expectOwn502(await ask(rig, request), request);
      });
    }

    for (const [what, bytes] of [
      ['between two events', HEAD + CHUNK],
      ['in the middle of an event', `${HEAD}${CHUNK}40\r\nevent: content_bl`],
      ['right after its head', HEAD],
      ['short of its length', 'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nonly this'],
    ] as const) {
      it(`${what} (${how}) is cut off for the client as well, after what there was`, async () => {
        rig.upstream.serve = breaking(bytes, how);
        for (const request of REQUESTS) {
          const answer = await ask(rig, request);
          expect([answer.status, answer.whole]).to.deep.equal([200, false]);
          const sent = bytes.slice(bytes.indexOf('\r\n\r\n') + 4);
          const body = bytes.startsWith(HEAD) ? sent.replace(/^[0-9a-f]+\r\n|\r\n40\r\n/g, '') : sent;
          expect(body.trimEnd().startsWith(answer.text.trimEnd()), answer.text).to.equal(true);
          if (how === 'end') expect(answer.text.trimEnd()).to.equal(body.trimEnd());
        }
      });
    }
  }

  for (const [what, bytes] of [
    ['no HTTP', '\x16\x03\x01 this is not HTTP\r\n\r\n'],
    ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['a status that is none', 'HTTP/1.1 abc OK\r\n\r\n'],
    ['a header that is none', 'HTTP/1.1 200 OK\r\nno colon here\r\n\r\nok'],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok'],
    ['a length that is none', 'HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok'],
    ['a header without end', `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(300_000)}`],
  ] as const) {
    it(`with ${what} for an answer is a 502`, async () => {
      rig.upstream.serve = breaking(bytes, 'end');
      for (const request of REQUESTS) expectOwn502(await ask(rig, request), request);
    });
  }

  it('with a chunk that is none cuts the answer off, and the connection with it', async () => {
    rig.upstream.serve = answering(`${HEAD}${CHUNK}zz\r\nnonsense\r\n`);
    for (const request of REQUESTS) {
      const client = await RawClient.open(rig);
      client.write(requestBytes(request));
      const answer = await client.answer();
      expect([answer.status, answer.whole, answer.text]).to.deep.equal([200, false, PING]);
      await until(() => client.reader.over);
      await client.close();
    }
  });

  it('with more than its answer is not believed a second time', async () => {
    rig.upstream.serve = answering(`${OK}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged`);
    for (const request of REQUESTS) expect((await ask(rig, request)).text).to.equal('ok');
    rig.upstream.serve = answering(OK);
    for (const request of REQUESTS) expect((await ask(rig, request)).text).to.equal('ok');
  });

  for (const answer of ['HTTP/1.1 204 No Content\r\n\r\n', 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n']) {
    it(`with more than its answer is not asked again on that connection (${JSON.stringify(answer)})`, async () => {
      rig.upstream.serve = answering(`${answer}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged`);
      for (const request of REQUESTS) {
        expect((await ask(rig, request)).text).to.equal('');
        const last = rig.upstream.requests.at(-1)?.socket;
        expect((await ask(rig, request)).text).to.equal('');
        expect(rig.upstream.requests.at(-1)?.socket).to.not.equal(last);
      }
    });
  }

  it('by closing an idle connection costs nothing', async () => {
    const client = await RawClient.open(rig);
    for (let turn = 0; turn < 5; turn += 1) {
      rig.upstream.serve = async (request) => {
        await request.whole();
        request.send(OK);
        request.socket.end();
      };
      client.write(requestBytes(messageRequest('idle')));
      expect((await client.answer('POST')).text).to.equal('ok');
      const last = rig.upstream.requests.at(-1);
      if (last !== undefined && !last.socket.closed) await once(last.socket, 'close');
    }
    await client.close();
  });

  it('while the client still uploads is a 502', async () => {
    const request = messageRequest('uploading', Buffer.alloc(200_000));
    rig.upstream.serve = ({ socket }) => void socket.destroy();
    const client = await RawClient.open(rig);
    const bytes = requestBytes(request);
    client.write(bytes.subarray(0, 150_000));
    expectOwn502(await client.answer('POST'), request);
    await client.close();
  });

  it('with interim answers first is none', async () => {
    const early = 'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n';
    rig.upstream.serve = answering(early + OK);
    for (const request of REQUESTS) expect((await ask(rig, request)).text).to.equal('ok');
  });
});
