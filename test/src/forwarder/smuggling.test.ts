import { expect } from 'chai';
import { ask, RawClient } from './raw-client.ts';
import { rawRig, type RawRig } from './quick-rig.ts';

/** What hides behind a message whose end is doubtful: nobody may ever take it for a request, nor for an answer. */
const HIDDEN = 'GET /smuggled HTTP/1.1\r\nHost: api.anthropic.com\r\n\r\n';
const post = (fields: string, body: string): string =>
  `POST /v1/messages HTTP/1.1\r\nHost: api.anthropic.com\r\n${fields}\r\n\r\n${body}`;

describe('a request whose end is doubtful', () => {
  let rig: RawRig;
  before(async () => {
    rig = await rawRig();
  });
  after(() => rig.close());
  afterEach(async () => {
    expect((await ask(rig, { path: '/api/x' })).text).to.equal('ok');
    expect(rig.log.filter(({ level }) => level === 'error')).to.deep.equal([]);
  });

  const smuggled = (): number => rig.upstream.requests.filter(({ path }) => path === '/smuggled').length;

  const refused: readonly (readonly [string, string])[] = [
    ['a length with a sign', post('Content-Length: +5', `hello${HIDDEN}`)],
    ['a length in hexadecimal', post('Content-Length: 0x5', `hello${HIDDEN}`)],
    ['a length below zero', post('Content-Length: -5', HIDDEN)],
    ['a length with words', post('Content-Length: 5 bytes', `hello${HIDDEN}`)],
    ['an empty length', post('Content-Length: ', HIDDEN)],
    ['a length beyond all numbers', post('Content-Length: 99999999999999999999', HIDDEN)],
    ['lengths in a list', post('Content-Length: 5, 6', `hello${HIDDEN}`)],
    ['a length and chunks', post('Content-Length: 5\r\nTransfer-Encoding: chunked', `0\r\n\r\n${HIDDEN}`)],
    ['chunks and a length', post('Transfer-Encoding: chunked\r\nContent-Length: 5', `0\r\n\r\n${HIDDEN}`)],
    ['an unknown transfer coding', post('Transfer-Encoding: xchunked', `0\r\n\r\n${HIDDEN}`)],
    ['chunks that are not last', post('Transfer-Encoding: chunked, identity', `0\r\n\r\n${HIDDEN}`)],
    ['a space before the colon', post('Transfer-Encoding : chunked', `0\r\n\r\n${HIDDEN}`)],
    ['a folded header', post('X-Folded: a\r\n Content-Length: 5', `hello${HIDDEN}`)],
    ['a header without a name', post(': x', HIDDEN)],
    ['a header with a null', post('X-Null: a\0b', HIDDEN)],
    ['a header with a bare carriage return', post('X-Bare: a\rContent-Length: 5', HIDDEN)],
    ['a name with a space', post('X Name: a', HIDDEN)],
    ['a target with a space', `GET /a b HTTP/1.1\r\nHost: api.anthropic.com\r\n\r\n${HIDDEN}`],
    ['no version', `GET /\r\n\r\n${HIDDEN}`],
    ['a version that is none', `GET / HTTP/9.9\r\nHost: api.anthropic.com\r\n\r\n${HIDDEN}`],
    ['a method that is none', `G(T / HTTP/1.1\r\nHost: api.anthropic.com\r\n\r\n${HIDDEN}`],
    ['two hosts', `GET / HTTP/1.1\r\nHost: api.anthropic.com\r\nHost: localhost\r\n\r\n${HIDDEN}`],
  ];
  for (const [what, bytes] of refused) {
    it(`is refused, and nothing behind it is read: ${what}`, async () => {
      const count = rig.upstream.requests.length;
      const client = await RawClient.open(rig);
      client.write(bytes);
      const answer = await client.answer();
      expect(answer.status).to.be.within(400, 505);
      expect(answer.text).to.include('claude-db-proxy: ');
      expect(await client.reader.head(), 'a second answer').to.equal(null);
      await client.close();
      expect(rig.upstream.requests.length).to.equal(count);
    });
  }

  for (const [what, body] of [
    ['a size that is none', `zz\r\nhello\r\n0\r\n\r\n${HIDDEN}`],
    ['a size below zero', `-1\r\nhello\r\n0\r\n\r\n${HIDDEN}`],
    ['a size beyond all numbers', `${'f'.repeat(40)}\r\nhello\r\n0\r\n\r\n${HIDDEN}`],
    ['an empty size', `\r\nhello\r\n0\r\n\r\n${HIDDEN}`],
    ['a chunk that is too long', `3\r\nhello\r\n0\r\n\r\n${HIDDEN}`],
  ] as const) {
    for (const path of ['/v1/messages', '/api/x']) {
      it(`in chunks is broken off, and nothing behind it is read: ${what} (${path})`, async () => {
        const before = smuggled();
        const client = await RawClient.open(rig);
        client.write(post('Transfer-Encoding: chunked', body).replace('/v1/messages', path));
        const head = await client.reader.head();
        if (head !== null) {
          expect(head.line).to.match(/^HTTP\/1\.1 (4|5)\d\d /);
          await client.body(head);
        }
        expect(await client.reader.head(), 'a second answer').to.equal(null);
        await client.close();
        expect(smuggled()).to.equal(before);
      });
    }
  }

  it('is none where it is only unusual: extensions, trailers, case, blank lines before it', async () => {
    const client = await RawClient.open(rig);
    for (const [bytes, body] of [
      [post('transfer-ENCODING:chunked', '5;ext="a;b"\r\nhello\r\n0;last\r\nX-Trailer: 1\r\n\r\n'), 'hello'],
      [post('Content-Length:\t5 ', 'hello'), 'hello'],
      [post('Content-Length: 005', 'hello'), 'hello'],
      [`\r\n\r\n${post('Content-Length: 0', '')}`, ''],
    ] as const) {
      const coming = rig.upstream.next();
      client.write(bytes);
      expect((await client.answer('POST')).text).to.equal('ok');
      expect((await (await coming).whole()).bytes.toString()).to.equal(body);
    }
    await client.close();
  });

  it('of HTTP/1.0 is answered, and the connection closed', async () => {
    const client = await RawClient.open(rig);
    client.write('GET /api/old HTTP/1.0\r\nHost: api.anthropic.com\r\n\r\n');
    const answer = await client.answer();
    expect([answer.status, answer.text]).to.deep.equal([200, 'ok']);
    expect(await client.reader.head()).to.equal(null);
    await client.close();
  });

  it('and `connection: close` closes it after the answer', async () => {
    const client = await RawClient.open(rig);
    client.write('GET /api/last HTTP/1.1\r\nHost: api.anthropic.com\r\nConnection: close\r\n\r\n');
    expect((await client.answer()).text).to.equal('ok');
    expect(await client.reader.head()).to.equal(null);
    await client.close();
  });

  it('CONNECT inside the tunnel is refused', async () => {
    const count = rig.upstream.requests.length;
    const client = await RawClient.open(rig);
    client.write('CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n');
    const head = await client.reader.head();
    if (head !== null) expect(head.line).to.match(/^HTTP\/1\.1 4\d\d /);
    await client.close();
    expect(rig.upstream.requests.length).to.equal(count);
  });
});

describe('an answer whose end is doubtful', () => {
  let rig: RawRig;
  before(async () => {
    rig = await rawRig();
  });
  after(() => rig.close());

  const FORGED = 'HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged';
  for (const [what, head] of [
    ['a length and chunks', 'content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['two lengths', 'content-length: 5\r\ncontent-length: 0\r\n\r\n'],
    ['a length with a sign', 'content-length: +0\r\n\r\n'],
    ['a folded header', 'x-a: b\r\n content-length: 0\r\n\r\n'],
    ['a header with a null', 'x-a: b\0c\r\ncontent-length: 0\r\n\r\n'],
    ['a space before the colon', 'content-length : 0\r\n\r\n'],
  ] as const) {
    it(`is never followed by one that it brought along: ${what}`, async () => {
      rig.upstream.serve = async (request) => {
        await request.whole();
        request.send(`HTTP/1.1 200 OK\r\n${head}${FORGED}`);
        request.socket.end();
      };
      const client = await RawClient.open(rig);
      client.write(
        'GET /api/1 HTTP/1.1\r\nHost: api.anthropic.com\r\n\r\nGET /api/2 HTTP/1.1\r\nHost: api.anthropic.com\r\n\r\n',
      );
      const first = await client.answer().catch(() => null);
      expect(first?.text).not.to.equal('forged');
      const second = first === null ? null : await client.answer().catch(() => null);
      expect(second?.text).not.to.equal('forged');
      await client.close();
      rig.upstream.serve = async (request) => {
        await request.whole();
        request.send('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      };
      expect((await ask(rig, { path: '/api/3' })).text).to.equal('ok');
    });
  }
});
