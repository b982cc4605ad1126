import { expect } from 'chai';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { ask, messageRequest, question, RawClient, requestBytes, type Answer, type RawRequest } from './raw-client.ts';
import { startingWith } from './http-bytes.ts';
import { rawRig, type RawRig } from './quick-rig.ts';
import { answering } from './raw-upstream.ts';

/** What this hop writes itself. */
const HOP = new Set(['connection', 'keep-alive', 'transfer-encoding']);
const endToEnd = (headers: readonly string[]): string[] =>
  headers.filter((_, at) => {
    const name = (headers[at - (at % 2)] ?? '').toLowerCase();
    return !HOP.has(name) && !name.startsWith('x-double-buffer-');
  });

describe('an answer on its way to the client', () => {
  let rig: RawRig;
  before(async () => {
    rig = await rawRig();
  });
  after(() => rig.close());

  /** What a client gets when the API sends `bytes`. */
  async function relayed(bytes: string | Uint8Array, request: RawRequest = { path: '/api/x' }): Promise<Answer> {
    rig.upstream.serve = answering(bytes);
    return ask(rig, request);
  }

  for (const [status, reason] of [
    [200, 'OK'],
    [200, 'Fine By Me'],
    [201, 'Created'],
    [202, ''],
    [301, 'Moved Permanently'],
    [400, 'Bad Request'],
    [418, "I'm a teapot"],
    [429, 'Too Many Requests'],
    [503, 'Service Unavailable'],
    [529, 'Overloaded'],
    [599, 'caf\xe9'],
  ] as const) {
    it(`keeps status ${status} and reason '${reason}'`, async () => {
      const answer = await relayed(`HTTP/1.1 ${status} ${reason}\r\ncontent-length: 2\r\n\r\nhi`);
      expect(answer.line).to.equal(`HTTP/1.1 ${status} ${reason}`);
      expect(answer.text).to.equal('hi');
    });
  }

  for (const path of ['/api/x', '/v1/messages']) {
    it(`keeps header names, spelling, values, repetition and order from ${path}`, async () => {
      const headers = [
        ...['Date', 'Mon, 01 Jan 2024 00:00:00 GMT', 'X-Odd-Case', 'a', 'x-odd-case', 'b', 'X-ODD-CASE', ''],
        ...['Set-Cookie', 'a=1; Path=/', 'set-cookie', 'b=2', 'request-id', 'req_1', 'cf-ray', '8f-FRA'],
        ...['X-Latin', 'caf\xe9 \xff', 'Server', 'cloudflare', 'content-type', 'text/plain; charset=utf-8'],
        ...['anthropic-ratelimit-requests-remaining', '7', 'x-should-retry', 'true', 'X-Spaces', 'in  the   middle'],
        ...['vary', 'a', 'Vary', 'b', 'ETag', 'W/"1"', 'Content-Length', '2'],
      ];
      const fields = headers.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${headers[at + 1] ?? ''}\r\n`] : []));
      const method = path === '/api/x' ? 'GET' : 'POST';
      const answer = await relayed(`HTTP/1.1 200 OK\r\n${fields.join('')}\r\nok`, { method, path });
      expect(endToEnd(answer.headers)).to.deep.equal(headers);
    });
  }

  it('loses what belongs to the connection, and what `connection` names, and nothing else', async () => {
    const answer = await relayed(
      'HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: gone\r\nKeep-Alive: timeout=3\r\nX-Stays: here\r\n' +
        'Proxy-Authenticate: Basic\r\ncontent-length: 2\r\n\r\nok',
    );
    expect(endToEnd(answer.headers)).to.deep.equal(['X-Stays', 'here', 'content-length', '2']);
  });

  it('gets no header of ours, `date` included', async () => {
    const answer = await relayed('HTTP/1.1 200 OK\r\nx-only: 1\r\ncontent-length: 0\r\n\r\n');
    expect(endToEnd(answer.headers)).to.deep.equal(['x-only', '1', 'content-length', '0']);
  });

  it('keeps its framing: sized stays sized, chunked stays chunked, and one without either becomes chunked', async () => {
    const sized = await relayed('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello');
    expect([sized.text, sized.header('content-length'), sized.header('transfer-encoding')]).to.deep.equal([
      'hello',
      '5',
      undefined,
    ]);
    const chunked = await relayed(
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n',
    );
    expect([chunked.text, chunked.header('transfer-encoding')]).to.deep.equal(['hello', 'chunked']);
    rig.upstream.serve = async (request) => {
      await request.whole();
      request.send('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello');
      request.socket.end();
    };
    const closing = await ask(rig, { path: '/api/x' });
    expect([closing.text, closing.header('transfer-encoding'), closing.whole]).to.deep.equal([
      'hello',
      'chunked',
      true,
    ]);
  });

  it('keeps an empty body empty', async () => {
    expect((await relayed('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')).bytes.length).to.equal(0);
    expect((await relayed('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n')).bytes.length).to.equal(0);
  });

  /** The answers have no body whatever their headers say, and the connection can be used again. */
  for (const [what, method, head] of [
    ['HEAD, sized', 'HEAD', '200 OK\r\ncontent-length: 1000'],
    ['HEAD, chunked', 'HEAD', '200 OK\r\ntransfer-encoding: chunked'],
    ['HEAD without a length', 'HEAD', '200 OK\r\nx-a: b'],
    ['204', 'GET', '204 No Content\r\nx-a: b'],
    ['204 to a POST', 'POST', '204 No Content\r\nx-a: b'],
    ['304', 'GET', '304 Not Modified\r\netag: "1"'],
    ['304 with the length that a 200 would have had', 'GET', '304 Not Modified\r\netag: "1"\r\ncontent-length: 1000'],
  ] as const) {
    it(`has no body: ${what}`, async () => {
      rig.upstream.serve = answering(`HTTP/1.1 ${head}\r\n\r\n`);
      const client = await RawClient.open(rig);
      for (let turn = 0; turn < 2; turn += 1) {
        client.write(requestBytes({ method, path: '/api/x', ...(method === 'POST' && { body: '{}' }) }));
        const answer = await client.answer(method);
        const [line = '', ...fields] = head.split('\r\n');
        expect(answer.line).to.equal(`HTTP/1.1 ${line}`);
        const kept = endToEnd(answer.headers).map((item, at) => (at % 2 === 0 ? `${item}: ` : item));
        expect(kept.join('')).to.equal(fields.filter((field) => !field.startsWith('transfer-')).join(''));
      }
      await client.close();
    });
  }

  it('keeps its trailers', async () => {
    const answer = await relayed(
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\nx-more: 1\r\n\r\n',
    );
    expect(answer.trailers).to.deep.equal(['X-Sum', '42', 'x-more', '1']);
    expect(answer.header('trailer')).to.equal('X-Sum');
  });

  for (const [coding, compress] of [
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
    ['zstd', (text: Buffer) => Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), text])],
    ['a coding of tomorrow', (text: Buffer) => text.reverse()],
    ['gzip', () => Buffer.from('announced as gzip, and no gzip at all')],
  ] as const) {
    it(`is not decoded: ${coding}`, async () => {
      const body = compress(Buffer.from('event: ping\ndata: {"type":"ping"}\n\n'.repeat(50)));
      const head = `HTTP/1.1 200 OK\r\ncontent-encoding: ${coding}\r\ncontent-type: text/event-stream\r\n`;
      const bytes = Buffer.concat([Buffer.from(`${head}content-length: ${body.length}\r\n\r\n`), body]);
      for (const request of [messageRequest('encoded'), { path: '/api/x' }]) {
        const answer = await relayed(bytes, request);
        expect(answer.bytes.equals(body)).to.equal(true);
        expect(answer.header('content-encoding')).to.equal(coding);
      }
    });
  }

  it('of a conversation that the API compresses is read all the same', async () => {
    const api = rig.client();
    expect(api.messages).to.deep.equal([]);
    const usage = {
      input_tokens: 150_000,
      output_tokens: 1,
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
    };
    const json = {
      type: 'message',
      role: 'assistant',
      content: [{ type: 'text', text: 'ok' }],
      stop_reason: 'end_turn',
      usage,
    };
    const body = brotliCompressSync(JSON.stringify(json));
    const head = 'HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-type: application/json\r\n';
    await relayed(
      Buffer.concat([Buffer.from(`${head}content-length: ${body.length}\r\n\r\n`), body]),
      messageRequest('compressed', question({ stream: false })),
    );
    const { messages } = await rig.logged('checkpoint.started', ({ conversation }) => conversation === 'compressed');
    expect(messages).to.equal(1);
  });

  it('of /v1/messages alone is labelled', async () => {
    for (const path of ['/v1/messages', '/v1/messages?beta=true', '/v1/messages/']) {
      const answer = await relayed('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok', {
        method: 'POST',
        path,
        body: '{}',
      });
      expect(startingWith(answer.headers, 'x-double-buffer-'), path).to.have.length(4);
    }
    for (const path of ['/v1/messages/count_tokens', '/v1/messages/batches', '/v1/complete', '/v1/messagesx']) {
      const answer = await relayed('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok', {
        method: 'POST',
        path,
        body: '{}',
      });
      expect(startingWith(answer.headers, 'x-double-buffer-'), path).to.deep.equal([]);
    }
  });
});
