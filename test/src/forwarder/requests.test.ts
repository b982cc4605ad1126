import { expect } from 'chai';
import { API_HEADERS, ask, messageRequest, question, RawClient, requestBytes } from './raw-client.ts';
import { startingWith, valuesOf } from './http-bytes.ts';
import { rawRig, type RawRig } from './quick-rig.ts';
import { answering, OK } from './raw-upstream.ts';

/** What the way out writes itself. */
const FRAMING = new Set(['host', 'connection', 'content-length', 'transfer-encoding']);
const withoutFraming = (headers: readonly string[]): string[] =>
  headers.filter((_, at) => !FRAMING.has((headers[at - (at % 2)] ?? '').toLowerCase()));

describe('a request on its way to the API', () => {
  let rig: RawRig;
  before(async () => {
    rig = await rawRig();
  });
  after(() => rig.close());

  for (const [method, path] of [
    ['GET', '/api/claude_code/settings'],
    ['GET', '/api/claude_cli/bootstrap?a=1&a=2&b=%2F%20+&c'],
    ['GET', '/health'],
    ['HEAD', '/api/hello'],
    ['DELETE', '/v1/files/file_011CNha8iCJcU1wXNR6q4V8w'],
    ['OPTIONS', '/v1/messages'],
    ['GET', '//double//slashes/../and/./dots?x=[1]|{2}'],
    ['GET', '/?'],
    ['PATCH', "/v1/x;semi=colon,comma:@!$&'()*"],
  ] as const) {
    it(`keeps ${method} ${path}`, async () => {
      const coming = rig.upstream.next();
      const answer = await ask(rig, { method, path }, { way: 'tunnel' });
      expect(answer.status).to.equal(200);
      expect((await coming).line).to.equal(`${method} ${path} HTTP/1.1`);
    });
  }

  for (const path of [
    '/v1/messages',
    '/v1/messages?beta=true',
    '/v1/messages/count_tokens',
    '/api/event_logging/v2/batch',
  ]) {
    it(`keeps header names, spelling, values, repetition and order on ${path}`, async () => {
      const headers = [
        ...['X-Odd-Case', 'a', 'x-odd-case', 'b', 'X-ODD-CASE', ''],
        ...['anthropic-beta', 'one,two', 'User-Agent', 'claude-cli/2.1.330 (external, sdk-cli)'],
        ...['anthropic-beta', 'three', 'X-Latin', 'caf\xe9 \xff', 'Cookie', 'a=1; b=2', 'cookie', 'c=3'],
        ...['X-Spaces', 'in  the   middle', 'X-Stainless-Retry-Count', '0', 'Accept-Encoding', 'gzip, deflate, br'],
        ...['authorization', 'Bearer sk-ant-oat01-x', 'x-unknown-of-tomorrow', '{"json":true}'],
      ];
      const coming = rig.upstream.next();
      await ask(rig, { method: 'POST', path, headers: [...API_HEADERS, ...headers], body: '{}' });
      const received = await coming;
      expect(withoutFraming(received.headers)).to.deep.equal([...API_HEADERS, ...headers]);
      expect(received.header('host')).to.equal(`127.0.0.1:${rig.upstream.port}`);
      expect(received.header('content-length')).to.equal('2');
    });
  }

  it('loses what belongs to the connection, and what `connection` names, and nothing else', async () => {
    const coming = rig.upstream.next();
    const headers = [
      ...['Connection', 'keep-alive, X-Hop', 'X-Hop', 'gone', 'Keep-Alive', 'timeout=5', 'TE', 'trailers'],
      ...['Proxy-Connection', 'keep-alive', 'Proxy-Authorization', 'Basic x', 'X-Stays', 'here', 'Upgrade', 'h2c'],
    ];
    await ask(rig, { path: '/api/x', headers });
    expect(withoutFraming((await coming).headers)).to.deep.equal(['X-Stays', 'here']);
  });

  it('is asked for encodings that can be read, where it is read, and only there', async () => {
    const headers = ['accept-encoding', 'gzip, deflate, br, zstd'];
    let coming = rig.upstream.next();
    await ask(rig, messageRequest('encodings', question(), { headers }));
    expect((await coming).header('accept-encoding')).to.equal('gzip, deflate, br');
    coming = rig.upstream.next();
    await ask(rig, { path: '/api/x', headers });
    expect((await coming).header('accept-encoding')).to.equal('gzip, deflate, br, zstd');
  });

  for (const path of ['/v1/messages', '/v1/messages/count_tokens', '/api/event_logging/v2/batch']) {
    it(`keeps any bytes of a body on ${path}, sized and chunked`, async () => {
      const body = Buffer.from(Array.from({ length: 70_000 }, (_, at) => (at * 31 + (at >> 8)) & 0xff));
      let coming = rig.upstream.next();
      await ask(rig, { method: 'POST', path, headers: API_HEADERS, body });
      const sized = await coming;
      expect((await sized.whole()).bytes.equals(body)).to.equal(true);
      expect(sized.header('transfer-encoding')).to.equal(undefined);
      coming = rig.upstream.next();
      await ask(rig, chunkedRequest(path, [body.subarray(0, 1), body.subarray(1, 40_000), body.subarray(40_000)]));
      const chunked = await coming;
      expect((await chunked.whole()).bytes.equals(body)).to.equal(true);
      expect(valuesOf(chunked.headers, 'transfer-encoding')).to.deep.equal(['chunked']);
      expect(chunked.header('content-length')).to.equal(undefined);
    });
  }

  it('has a body where one came with an unusual method, and none where none came', async () => {
    for (const method of ['GET', 'DELETE', 'PATCH', 'PUT']) {
      const coming = rig.upstream.next();
      await ask(rig, { method, path: '/api/x', body: 'body' });
      expect((await (await coming).whole()).bytes.toString()).to.equal('body');
    }
    for (const method of ['GET', 'DELETE', 'HEAD']) {
      const coming = rig.upstream.next();
      await ask(rig, { method, path: '/api/x' });
      expect(startingWith((await coming).headers, 'content-length'), method).to.deep.equal([]);
    }
    const coming = rig.upstream.next();
    await ask(rig, { method: 'POST', path: '/api/x', headers: ['content-length', '0'] });
    expect((await coming).header('content-length')).to.equal('0');
  });

  it('that waits for 100-continue gets it, from here or from there', async () => {
    const client = await RawClient.open(rig);
    rig.upstream.serve = async (request) => {
      if (request.header('expect') !== undefined) request.send('HTTP/1.1 100 Continue\r\n\r\n');
      const { bytes } = await request.whole();
      request.send(`HTTP/1.1 200 OK\r\ncontent-length: ${bytes.length}\r\n\r\n${bytes.toString()}`);
    };
    const bytes = requestBytes(messageRequest('expecting', 'x'.repeat(10), { headers: ['expect', '100-continue'] }));
    client.write(bytes.subarray(0, bytes.length - 10));
    expect((await client.reader.head())?.line).to.equal('HTTP/1.1 100 Continue');
    client.write(bytes.subarray(bytes.length - 10));
    expect((await client.answer('POST')).text).to.equal('x'.repeat(10));
    await client.close();
    rig.upstream.serve = answering(OK);
  });

  it('reaches the API while its body is still coming, byte by byte', async () => {
    const client = await RawClient.open(rig);
    const coming = rig.upstream.next();
    const bytes = requestBytes(messageRequest('slow upload'));
    const end = bytes.indexOf('\r\n\r\n') + 4;
    client.write(bytes.subarray(0, end + 1));
    const received = await coming;
    for (const byte of bytes.subarray(end + 1)) client.write(Buffer.from([byte]));
    expect((await received.whole()).bytes.equals(bytes.subarray(end))).to.equal(true);
    expect((await client.answer()).status).to.equal(200);
    await client.close();
  });

  it('may follow another before that is answered: the answers keep the order', async () => {
    const client = await RawClient.open(rig);
    const paths = ['/api/1', '/api/2', '/api/3'];
    rig.upstream.serve = async (request) => {
      await request.whole();
      request.send(`HTTP/1.1 200 OK\r\ncontent-length: ${request.path.length}\r\n\r\n${request.path}`);
    };
    client.write(Buffer.concat(paths.map((path) => requestBytes({ path }))));
    for (const path of paths) expect((await client.answer()).text).to.equal(path);
    await client.close();
  });
});

function chunkedRequest(path: string, parts: readonly Buffer[]) {
  const chunks = [...parts, Buffer.alloc(0)].map((part) =>
    Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')]),
  );
  return {
    method: 'POST',
    path,
    headers: [...API_HEADERS, 'transfer-encoding', 'chunked'],
    body: Buffer.concat(chunks),
  };
}
