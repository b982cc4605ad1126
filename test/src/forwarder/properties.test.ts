import { expect } from 'chai';
import fc from 'fast-check';
import { API_HEADERS, messageRequest, question, RawClient, requestBytes } from './raw-client.ts';
import { rawRig, type RawRig } from './quick-rig.ts';

/** Cuts bytes at the given places. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % Math.max(1, bytes.length)))].sort((a, b) => a - b);
  return [...places, bytes.length].map((end, at) => bytes.subarray(places[at - 1] ?? 0, end));
}

const chunked = (parts: readonly Buffer[]): Buffer =>
  Buffer.concat(
    [...parts.filter(({ length }) => length > 0), Buffer.alloc(0)].flatMap((part) => [
      Buffer.from(`${part.length.toString(16)}\r\n`),
      part,
      Buffer.from('\r\n'),
    ]),
  );

const anyBytes = fc.uint8Array({ maxLength: 3_000 }).map((bytes) => Buffer.from(bytes));
const cuts = fc.array(fc.nat(4_000), { maxLength: 12 });
const valueText = fc
  .string({
    unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 40,
  })
  .map((text) => text.replace(/,/g, ';'));
const nameText = fc.stringMatching(/^[Xx]-[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}$/);
const fields = fc.array(fc.tuple(nameText, valueText), { maxLength: 30 }).map((pairs) => pairs.flat());
const paths = fc.constantFrom('/v1/messages', '/v1/messages?beta=true', '/api/x', '/v1/messages/count_tokens');
const classes = fc.constantFrom('main', 'compaction', 'auxiliary', null);

describe('any bytes, in any pieces', () => {
  let rig: RawRig;
  let client: RawClient;
  before(async () => {
    rig = await rawRig();
    client = await RawClient.open(rig);
  });
  after(async () => {
    await client.close();
    await rig.close();
  });

  it('pass unchanged in both directions', async () => {
    const cases = fc.record({
      path: paths,
      requestClass: classes,
      up: anyBytes,
      down: anyBytes,
      cuts,
      fields,
      isChunked: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ path, requestClass, up, down, cuts: places, fields: extra, isChunked }) => {
        const head = [
          'HTTP/1.1 200 OK',
          ...extra.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${extra[at + 1] ?? ''}`] : [])),
        ];
        const framing = isChunked ? 'transfer-encoding: chunked' : `content-length: ${down.length}`;
        const type = 'content-type: text/event-stream';
        const body = isChunked ? chunked(pieces(down, places)) : down;
        const answer = Buffer.concat([Buffer.from([...head, type, framing, '', ''].join('\r\n')), body]);
        rig.upstream.serve = async (request) => {
          await request.whole();
          for (const piece of pieces(answer, places)) request.send(piece);
        };
        const coming = rig.upstream.next();
        const way = isChunked ? ['transfer-encoding', 'chunked'] : [];
        const request = messageRequest('fuzzed', up, { requestClass, headers: [...extra, ...way] });
        const sent = isChunked ? chunked(pieces(up, places)) : up;
        for (const piece of pieces(requestBytes({ ...request, path, body: sent }), places)) client.write(piece);
        const received = await client.answer('POST');
        expect(received.bytes.equals(down)).to.equal(true);
        expect(received.headers.slice(0, extra.length)).to.deep.equal(extra);
        const arrived = await coming;
        expect((await arrived.whole()).bytes.equals(up)).to.equal(true);
        const from =
          arrived.headers.indexOf(requestClass === null ? 'content-type' : 'x-claude-code-request-class') + 2;
        expect(arrived.headers.slice(from, from + extra.length)).to.deep.equal(extra);
      }),
      { numRuns: 50 },
    );
  });

  it('of a message request are read, and what is read changes nothing', async () => {
    const json = fc.jsonValue({ maxDepth: 4 });
    const block = fc.oneof(
      fc.record({
        type: fc.constantFrom('text', 'tool_use', 'tool_result', 'thinking', 'image', 'moon'),
        text: fc.string(),
        x: json,
      }),
      json,
    );
    const content = fc.oneof(fc.string(), fc.array(block, { maxLength: 4 }), json);
    const message = fc.record({ role: fc.constantFrom('user', 'assistant', 'system', 'x'), content });
    const event = fc.record({
      type: fc.constantFrom('message_start', 'message_delta', 'error', 'content_block_start', 'y'),
      message: json,
      usage: json,
      delta: json,
      index: json,
    });
    await fc.assert(
      fc.asyncProperty(
        classes,
        fc.array(message, { maxLength: 6 }),
        fc.array(event),
        cuts,
        async (requestClass, messages, events, places) => {
          const stream = Buffer.from(
            events.map((data) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`).join(''),
          );
          rig.upstream.serve = async (request) => {
            await request.whole();
            request.send('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n');
            request.send(chunked(pieces(stream, places)));
          };
          const coming = rig.upstream.next();
          const request = messageRequest('fuzzed', question({ messages }), { requestClass });
          client.write(requestBytes(request));
          expect((await client.answer('POST')).bytes.equals(stream)).to.equal(true);
          expect((await (await coming).whole()).bytes.toString()).to.equal(request.body);
          expect(rig.log.filter(({ level }) => level === 'error')).to.deep.equal([]);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('leave the connection usable', async () => {
    rig.upstream.serve = async (request) => {
      await request.whole();
      request.send('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    };
    client.write(requestBytes({ path: '/api/x', headers: API_HEADERS }));
    expect((await client.answer()).text).to.equal('ok');
  });
});
