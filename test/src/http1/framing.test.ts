import { expect } from 'chai';
import fc from 'fast-check';
import {
  bodyReader,
  hasConnectionOption,
  keepsAlive,
  requestFraming,
  responseFraming,
  type Framing,
} from '../../../src/http1/framing.ts';
import { MalformedHead } from '../../../src/http1/head.ts';

const request = (...headers: string[]) => ({ method: 'POST', target: '/', version: 'HTTP/1.1', headers });
const response = (status: number, ...headers: string[]) => ({ version: 'HTTP/1.1', status, reason: '', headers });

interface Outcome {
  readonly taken: number;
  readonly done: boolean;
  readonly payload: string;
  readonly refused: boolean;
}

/** Reads `bytes` cut at `cuts`. What follows the end is left alone. */
function read(framing: Framing, bytes: Buffer, cuts: readonly number[] = []): Outcome {
  let payload = '';
  const reader = bodyReader(framing, (some) => (payload += some.toString('latin1')));
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let taken = 0;
  try {
    for (const [at, end] of [...places, bytes.length].entries()) {
      if (reader.done) break;
      const piece = bytes.subarray(places[at - 1] ?? 0, end);
      const slice = reader.read(piece);
      taken += slice.taken;
      expect(slice.done).to.equal(reader.done);
      if (!slice.done) expect(slice.taken).to.equal(piece.length);
    }
  } catch (error) {
    expect(error).to.be.instanceOf(MalformedHead);
    return { taken: 0, done: false, payload, refused: true };
  }
  return { taken, done: reader.done, payload, refused: false };
}

const CHUNKED: Framing = { kind: 'chunked' };
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const cuts = fc.array(fc.nat(500), { maxLength: 12 });
const anyBytes = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
const extension = fc.constantFrom('', ';a', ';a=b', ' ;a="x; y"', '\t');
const goodChunks = fc
  .tuple(
    fc.array(
      fc.tuple(
        anyBytes.filter(({ length }) => length > 0),
        extension,
        fc.nat(3),
      ),
      { maxLength: 6 },
    ),
    fc.array(fc.constantFrom('X-Sum: 1', 'a:', 'Content-Length: 5', 'anything'), { maxLength: 3 }),
  )
  .map(([chunks, trailers]) => {
    const parts = chunks.flatMap(([bytes, more, zeros]) => [
      latin1(`${'0'.repeat(zeros)}${bytes.length.toString(16)}${more}\r\n`),
      bytes,
      latin1('\r\n'),
    ]);
    return {
      raw: Buffer.concat([...parts, latin1(`0\r\n${trailers.map((line) => `${line}\r\n`).join('')}\r\n`)]),
      payload: Buffer.concat(chunks.map(([bytes]) => bytes)).toString('latin1'),
    };
  });
const almostChunks = fc
  .array(
    fc.oneof(
      fc.constantFrom('0', '5', 'a', '\r\n', '\n', '\r', ';', 'hello', '\r\n\r\n', ' ', '-1', 'ffffffffffff', '0x5'),
      anyBytes.map((bytes) => bytes.toString('latin1')),
    ),
    { maxLength: 14 },
  )
  .map((parts) => latin1(parts.join('')));

describe('where a body ends', () => {
  it('is by length, by chunks, or at once', () => {
    expect(requestFraming(request())).to.deep.equal({ kind: 'none' });
    expect(requestFraming(request('content-length', '0'))).to.deep.equal({ kind: 'none' });
    expect(requestFraming(request('Content-Length', '0012'))).to.deep.equal({ kind: 'sized', bytes: 12 });
    expect(requestFraming(request('Transfer-Encoding', ' Chunked '))).to.deep.equal(CHUNKED);
  });

  for (const [what, headers] of [
    ['chunks and a length', ['transfer-encoding', 'chunked', 'content-length', '5']],
    ['a length and chunks', ['Content-Length', '5', 'Transfer-Encoding', 'chunked']],
    ['two lengths', ['content-length', '5', 'Content-Length', '6']],
    ['the same length twice', ['content-length', '5', 'Content-Length', '5']],
    ['two lengths in one', ['content-length', '5, 6']],
    ['the same length twice in one', ['content-length', '5, 5']],
    ['a plus', ['content-length', '+5']],
    ['a minus', ['content-length', '-5']],
    ['an empty length', ['content-length', '']],
    ['a hexadecimal length', ['content-length', '0x5']],
    ['a length with a fraction', ['content-length', '5.0']],
    ['a length with a power', ['content-length', '1e3']],
    ['a length with a blank inside', ['content-length', '1 0']],
    ['a length behind a no-break space', ['content-length', '\xa05']],
    ['digits of another script', ['content-length', '\xb2']],
    ['a length beyond all numbers', ['content-length', '99999999999999999999']],
    ['another coding', ['transfer-encoding', 'gzip']],
    ['another coding before chunks', ['transfer-encoding', 'gzip, chunked']],
    ['another coding in a header before', ['transfer-encoding', 'gzip', 'transfer-encoding', 'chunked']],
    ['chunks twice', ['transfer-encoding', 'chunked, chunked']],
    ['chunks twice, in two headers', ['transfer-encoding', 'chunked', 'Transfer-Encoding', 'chunked']],
    ['identity', ['transfer-encoding', 'identity']],
    ['an empty coding', ['transfer-encoding', '']],
    ['chunks with a parameter', ['transfer-encoding', 'chunked;q=1']],
    ['something like chunks', ['transfer-encoding', 'xchunked']],
    ['chunks in quotes', ['transfer-encoding', '"chunked"']],
    ['chunks behind a no-break space', ['transfer-encoding', '\xa0chunked']],
    ['chunks and an empty member', ['transfer-encoding', 'chunked,']],
  ] as const) {
    it(`cannot be told with ${what}`, () => {
      expect(() => requestFraming(request(...headers))).to.throw(MalformedHead);
    });
  }

  it('of an answer depends on the request and the status too', () => {
    const none = { kind: 'none' };
    expect(responseFraming(response(200, 'content-length', '5'), 'HEAD')).to.deep.equal(none);
    expect(responseFraming(response(200, 'transfer-encoding', 'chunked'), 'HEAD')).to.deep.equal(none);
    for (const status of [100, 199, 204, 304]) {
      expect(responseFraming(response(status, 'content-length', '5'), 'GET')).to.deep.equal(none);
    }
    expect(responseFraming(response(200), 'GET')).to.deep.equal({ kind: 'close' });
    expect(responseFraming(response(404, 'content-length', '0'), 'GET')).to.deep.equal(none);
    expect(responseFraming(response(200, 'transfer-encoding', 'chunked', 'content-length', '5'), 'GET')).to.deep.equal(
      CHUNKED,
    );
  });
});

describe('whether a connection goes on', () => {
  for (const [version, headers, goesOn] of [
    ['HTTP/1.1', [], true],
    ['HTTP/1.1', ['Connection', 'close'], false],
    ['HTTP/1.1', ['connection', 'Keep-Alive, CLOSE'], false],
    ['HTTP/1.1', ['connection', 'keep-alive', 'Connection', 'close'], false],
    ['HTTP/1.1', ['connection', 'closed'], true],
    ['HTTP/1.0', [], false],
    ['HTTP/1.0', ['connection', 'keep-alive'], true],
    ['HTTP/1.0', ['connection', 'keep-alive', 'connection', 'close'], false],
  ] as const) {
    it(`${version} ${JSON.stringify(headers)}: ${goesOn}`, () => {
      expect(keepsAlive({ version, headers })).to.equal(goesOn);
    });
  }

  it('finds an option in any of its headers', () => {
    expect(hasConnectionOption(['connection', 'a', 'Connection', 'b, UPGRADE'], 'upgrade')).to.equal(true);
    expect(hasConnectionOption(['connection', 'upgraded'], 'upgrade')).to.equal(false);
  });
});

describe('a body followed to its end', () => {
  it('of a known size', () => {
    fc.assert(
      fc.property(anyBytes, anyBytes, cuts, (body, behind, places) => {
        fc.pre(body.length > 0);
        const outcome = read({ kind: 'sized', bytes: body.length }, Buffer.concat([body, behind]), places);
        expect(outcome).to.deep.equal({
          taken: body.length,
          done: true,
          payload: body.toString('latin1'),
          refused: false,
        });
      }),
    );
  });

  it('in chunks, with extensions and trailers, in any pieces, and not a byte further', () => {
    fc.assert(
      fc.property(goodChunks, anyBytes, cuts, ({ payload, raw }, behind, places) => {
        const outcome = read(CHUNKED, Buffer.concat([raw, behind]), places);
        expect(outcome).to.deep.equal({ taken: raw.length, done: true, payload, refused: false });
      }),
      { numRuns: 500 },
    );
  });

  it('of random bytes: the same in any pieces, and never anything thrown but MalformedHead', () => {
    fc.assert(
      fc.property(almostChunks, cuts, (bytes, places) => {
        expect(read(CHUNKED, bytes, places)).to.deep.equal(read(CHUNKED, bytes));
        expect(read(CHUNKED, bytes, [...bytes.keys()])).to.deep.equal(read(CHUNKED, bytes));
      }),
      { numRuns: 2_000 },
    );
  });

  for (const [what, text] of [
    ['a sign before a chunk size', '+5\r\nhello\r\n0\r\n\r\n'],
    ['a negative chunk size', '-5\r\nhello\r\n0\r\n\r\n'],
    ['0x before a chunk size', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['no chunk size', '\r\nhello\r\n0\r\n\r\n'],
    ['a blank before a chunk size', ' 5\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size beyond all numbers', 'fffffffffffffffff\r\n'],
    ['a bare LF behind a chunk size', '5\nhello\r\n0\r\n\r\n'],
    ['a bare LF behind a chunk', '5\r\nhello\n0\r\n\r\n'],
    ['a bare LF in the trailer', '0\r\nA: b\n\r\n'],
    ['a bare LF at the end', '0\r\n\n'],
    ['a chunk longer than its size', '4\r\nhello\r\n0\r\n\r\n'],
    ['a bare CR in a chunk-size line', '5;a\rb\r\nhello\r\n0\r\n\r\n'],
    ['a chunk-size line without end', `5;${'x'.repeat(20_000)}`],
  ] as const) {
    it(`is refused with ${what}`, () => {
      const bytes = latin1(text);
      expect(read(CHUNKED, bytes).refused).to.equal(true);
      expect(read(CHUNKED, bytes, [...bytes.keys()].slice(0, 2_000)).refused).to.equal(true);
    });
  }
});
