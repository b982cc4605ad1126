import { once } from 'node:events';
import { expect } from 'chai';
import { RawClient, requestBytes, type Opening, type RawRequest } from './raw-client.ts';
import { valuesOf } from './http-bytes.ts';
import { rawRig, type RawRig } from './quick-rig.ts';
import { OK, type Received } from './raw-upstream.ts';

const UPGRADE: RawRequest = {
  path: '/v1/sessions/ws/session_1/subscribe?organization_uuid=1',
  headers: [
    ...['Connection', 'keep-alive', 'connection', 'Upgrade', 'Upgrade', 'websocket', 'Sec-WebSocket-Version', '13'],
    ...['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Protocol', 'a, b'],
  ],
};
const SWITCHING =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Twice: 1\r\nx-twice: 2\r\n\r\n';
const WAYS: readonly NonNullable<Opening['way']>[] = ['direct', 'tunnel'];

describe('a request to switch protocols', () => {
  let rig: RawRig;
  before(async () => {
    rig = await rawRig();
  });
  after(() => rig.close());

  /** An upstream that leaves the connection to the test once it has the head. */
  async function ask(client: RawClient, request: RawRequest = UPGRADE, behind = ''): Promise<Received> {
    const coming = new Promise<Received>((resolve) => {
      rig.upstream.serve = (received) => {
        resolve(received);
        return new Promise(() => undefined);
      };
    });
    client.write(Buffer.concat([requestBytes(request), Buffer.from(behind)]));
    return coming;
  }

  /** The next bytes on a socket of the upstream. */
  const bytesOf = (socket: Received['socket'], count: number): Promise<string> =>
    new Promise((resolve) => {
      let text = '';
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
        if (text.length >= count) resolve(text);
      });
    });

  for (const way of WAYS) {
    it(`is passed on, and bytes go both ways afterwards (${way})`, async () => {
      const client = await RawClient.open(rig, { way });
      const received = await ask(client);
      expect(received.line).to.equal(`GET ${UPGRADE.path ?? ''} HTTP/1.1`);
      expect(valuesOf(received.headers, 'connection').map((value) => value.toLowerCase())).to.deep.equal(['upgrade']);
      expect(valuesOf(received.headers, 'upgrade')).to.deep.equal(['websocket']);
      expect(received.header('sec-websocket-key')).to.equal('dGhlIHNhbXBsZSBub25jZQ==');
      expect(received.header('sec-websocket-protocol')).to.equal('a, b');
      received.send(`${SWITCHING}\x81\x05first`);
      const head = await client.reader.head();
      expect(`${head?.line ?? ''}\r\n`).to.equal(SWITCHING.slice(0, SWITCHING.indexOf('\r\n') + 2));
      expect(head?.headers).to.deep.equal([
        ...['Upgrade', 'websocket', 'Connection', 'Upgrade'],
        ...['Sec-WebSocket-Accept', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', 'X-Twice', '1', 'x-twice', '2'],
      ]);
      expect((await client.reader.exactly(7)).toString('latin1')).to.equal('\x81\x05first');
      for (let turn = 0; turn < 3; turn += 1) {
        const arriving = bytesOf(received.socket, 10);
        client.write('\0\xff\r\n\r\nGET ');
        client.write('/');
        expect(await arriving).to.equal('\0\xff\r\n\r\nGET /'.slice(0, 11));
        received.socket.removeAllListeners('data');
        received.send('0\r\n\r\n\xfe');
        expect((await client.reader.exactly(6)).toString('latin1')).to.equal('0\r\n\r\n\xfe');
      }
      const gone = once(received.socket, 'close');
      await client.close();
      await gone;
    });

    it(`may be followed by bytes at once: they are passed on behind it (${way})`, async () => {
      const client = await RawClient.open(rig, { way });
      const received = await ask(client, UPGRADE, 'eager frame');
      const arriving = bytesOf(received.socket, 11);
      received.send(SWITCHING);
      expect(await arriving).to.equal('eager frame');
      await client.close();
    });

    it(`ends when the API ends, after its last bytes (${way})`, async () => {
      const client = await RawClient.open(rig, { way });
      const received = await ask(client);
      const last = Buffer.alloc(300_000, 'z');
      received.send(SWITCHING);
      await client.reader.head();
      received.socket.end(last);
      expect((await client.reader.exactly(last.length)).equals(last)).to.equal(true);
      expect((await client.reader.exactly(1)).length).to.equal(0);
      expect(client.reader.over).to.equal(true);
      await client.close();
    });

    it(`ends when the client ends, after its last bytes and the API's answer to them (${way})`, async () => {
      const client = await RawClient.open(rig, { way });
      const received = await ask(client);
      received.send(SWITCHING);
      await client.reader.head();
      const last = Buffer.alloc(300_000, 'c');
      const ended = once(received.socket, 'end');
      let bytes = 0;
      received.socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
      client.socket.end(last);
      await ended;
      expect(bytes).to.equal(last.length);
      await client.close();
    });

    it(`is closed for the API when the client vanishes (${way})`, async () => {
      const client = await RawClient.open(rig, { way });
      const received = await ask(client);
      received.send(SWITCHING);
      await client.reader.head();
      const gone = once(received.socket, 'close');
      client.leave();
      await gone;
    });
  }

  it('lets one side end while the other goes on, where the client can', async () => {
    const client = await RawClient.open(rig, { way: 'tunnel' });
    const received = await ask(client);
    received.send(SWITCHING);
    await client.reader.head();
    client.socket.allowHalfOpen = true;
    received.socket.allowHalfOpen = true;
    const ended = once(received.socket, 'end');
    client.socket.end('bye');
    received.socket.resume();
    await ended;
    received.socket.end('and bye to you');
    expect((await client.reader.exactly(14)).toString()).to.equal('and bye to you');
    await client.close();
  });

  it('refused is answered like any other, and the connection goes on', async () => {
    const client = await RawClient.open(rig);
    for (const answer of [
      'HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno',
      'HTTP/1.1 426 Upgrade Required\r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n',
      OK.replace('ok', 'no'),
    ]) {
      rig.upstream.serve = (request) => request.send(answer);
      client.write(requestBytes(UPGRADE));
      const received = await client.answer();
      expect([received.line, received.text]).to.deep.equal([answer.slice(0, answer.indexOf('\r\n')), 'no']);
    }
    await client.close();
  });
});

describe('answers before the answer', () => {
  let rig: RawRig;
  let client: RawClient;
  before(async () => {
    rig = await rawRig();
  });
  beforeEach(async () => {
    client = await RawClient.open(rig);
  });
  afterEach(() => client.close());
  after(() => rig.close());

  for (const path of ['/v1/messages', '/api/x']) {
    it(`100-continue is asked for at the API, and the body waits for the API's word (${path})`, async () => {
      const coming = rig.upstream.next();
      rig.upstream.serve = async (request) => {
        expect(request.header('expect')).to.equal('100-continue');
        request.send('HTTP/1.1 100 Go Ahead\r\nX-From: api\r\n\r\n');
        const { bytes } = await request.whole();
        request.send(`HTTP/1.1 200 OK\r\ncontent-length: ${bytes.length}\r\n\r\n${bytes.toString('latin1')}`);
      };
      const headers = ['Expect', '100-continue', 'content-length', '9'];
      client.write(requestBytes({ method: 'POST', path, headers }));
      await coming;
      expect(await client.reader.head()).to.deep.equal({ line: 'HTTP/1.1 100 Go Ahead', headers: ['X-From', 'api'] });
      client.write('the body.');
      expect((await client.answer('POST')).text).to.equal('the body.');
    });

    it(`a refusal instead of 100-continue comes through without the body having been sent (${path})`, async () => {
      rig.upstream.serve = (request) => request.send('HTTP/1.1 417 Expectation Failed\r\ncontent-length: 2\r\n\r\nno');
      client.write(requestBytes({ method: 'POST', path, headers: ['expect', '100-continue', 'content-length', '9'] }));
      const answer = await client.answer('POST');
      expect([answer.status, answer.text]).to.deep.equal([417, 'no']);
      expect(answer.header('connection')).to.equal('close');
    });

    it(`early hints pass as they come, with what they say (${path})`, async () => {
      let goOn: () => void = () => undefined;
      rig.upstream.serve = async (request) => {
        await request.whole();
        request.send('HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nlink: </b>\r\n\r\nHTTP/1.1 102 \r\n\r\n');
        await new Promise<void>((resolve) => (goOn = resolve));
        request.send(OK);
      };
      client.write(requestBytes({ method: 'POST', path, body: '{}' }));
      expect(await client.reader.head()).to.deep.equal({
        line: 'HTTP/1.1 103 Early Hints',
        headers: ['Link', '</a>; rel=preload', 'link', '</b>'],
      });
      expect((await client.reader.head())?.line).to.equal('HTTP/1.1 102 ');
      goOn();
      expect((await client.answer('POST')).text).to.equal('ok');
    });
  }

  it('a broken answer that ends with its connection is not passed off as a whole one', async () => {
    rig.upstream.serve = async (request) => {
      await request.whole();
      request.send('HTTP/1.1 200 OK\r\n\r\nhalf of ');
      setTimeout(() => request.socket.resetAndDestroy(), 20);
    };
    client.write(requestBytes({ path: '/api/x' }));
    const answer = await client.answer();
    expect([answer.text, answer.whole]).to.deep.equal(['half of ', false]);
  });

  it('a length beside chunks does not reach the client', async () => {
    rig.upstream.serve = (request) =>
      request.send('HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n');
    client.write(requestBytes({ path: '/api/x' }));
    const answer = await client.answer();
    expect([answer.text, answer.header('content-length')]).to.deep.equal(['ok', undefined]);
  });

  it('words that the API says unasked are not taken for the next answer', async () => {
    rig.upstream.serve = async (request) => {
      await request.whole();
      request.send(OK);
      setTimeout(() => request.send('HTTP/1.1 408 Request Timeout\r\ncontent-length: 3\r\n\r\nbye'), 10);
    };
    client.write(requestBytes({ path: '/api/1' }));
    expect((await client.answer()).text).to.equal('ok');
    const first = rig.upstream.requests.at(-1)?.socket;
    if (first !== undefined && !first.closed) await once(first, 'close');
    client.write(requestBytes({ path: '/api/2' }));
    expect((await client.answer()).text).to.equal('ok');
  });
});
