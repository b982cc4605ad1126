import { expect } from 'chai';
import fc from 'fast-check';
import {
  endOfHead,
  formatRequestHead,
  formatResponseHead,
  MalformedHead,
  MAX_HEAD_BYTES,
  parseRequestHead,
  parseResponseHead,
} from '../../../src/http1/head.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const request = (lines: string): Buffer => bytes(`${lines}\r\n\r\n`);

const TCHAR = Array.from("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
const latin = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, at) => String.fromCharCode(from + at));
const VISIBLE = [...latin(0x21, 0x7e), ...latin(0x80, 0xff)];
const token = fc.string({ unit: fc.constantFrom(...TCHAR), minLength: 1, maxLength: 20 });
const target = fc.string({ unit: fc.constantFrom(...VISIBLE), minLength: 1, maxLength: 60 });
const value = fc
  .string({ unit: fc.constantFrom(...VISIBLE, ' ', '\t'), maxLength: 40 })
  .map((text) => text.replace(/^[ \t]+|[ \t]+$/g, ''));
const headers = fc.array(fc.tuple(token, value), { maxLength: 12 }).map((pairs) => pairs.flat());

/** Random bytes that are more likely than most to look like HTTP. */
const almostHttp = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ...['GET / HTTP/1.1', 'HTTP/1.1 200 OK', '\r\n', '\n', '\r', ':', ' ', 'a: b', '\0', '\xff', 'Host'],
      ),
      fc.uint8Array({ maxLength: 12 }).map((some) => Buffer.from(some).toString('latin1')),
    ),
    { maxLength: 20 },
  )
  .map((parts) => bytes(`${parts.join('')}\r\n\r\n`));

describe('the head of a message', () => {
  it('is read as it was written, whatever its names and values', () => {
    fc.assert(
      fc.property(token, target, headers, (method, where, fields) => {
        const head = { method, target: where, version: 'HTTP/1.1', headers: fields };
        const written = formatRequestHead(head);
        expect(endOfHead(written)).to.equal(written.length);
        expect(parseRequestHead(written)).to.deep.equal(head);
      }),
    );
    const reason = value;
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 999 }), reason, headers, (status, phrase, fields) => {
        const head = { version: 'HTTP/1.1', status, reason: phrase, headers: fields };
        expect(parseResponseHead(formatResponseHead(head))).to.deep.equal(head);
      }),
    );
  });

  it('ends at the same place however its bytes come in', () => {
    fc.assert(
      fc.property(almostHttp, fc.nat(300), fc.nat(300), (all, from, to) => {
        const end = endOfHead(all);
        const known = Math.min(from, to, all.length);
        const before = endOfHead(all.subarray(0, known));
        // Looked at up to `known`, then from there on.
        expect(before >= 0 ? before : endOfHead(all, known)).to.equal(end);
      }),
    );
  });

  it('of random bytes is read or refused, and nothing else is thrown', () => {
    fc.assert(
      fc.property(almostHttp, (all) => {
        for (const parse of [parseRequestHead, parseResponseHead]) {
          try {
            parse(all.subarray(0, endOfHead(all)));
          } catch (error) {
            expect(error).to.be.instanceOf(MalformedHead);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('takes the white space around a value for no part of it, and that within for one', () => {
    const { headers: found } = parseRequestHead(request('GET / HTTP/1.1\r\na:1\r\nb: \t 2 \t\r\nc:\r\nd: 3  4\t5'));
    expect(found).to.deep.equal(['a', '1', 'b', '2', 'c', '', 'd', '3  4\t5']);
    expect(parseRequestHead(request('GET / HTTP/1.1\r\na: \xa0b\xa0')).headers).to.deep.equal(['a', '\xa0b\xa0']);
  });

  it('takes no longer than others, however it is made up', () => {
    const length = MAX_HEAD_BYTES - 100;
    const began = performance.now();
    for (const piece of ['x ', ' ', 'x', '\t x\t ', ' \xa0', ':', '\t']) {
      const long = piece.repeat(length / piece.length);
      for (const line of [`a: ${long}\x01`, `a:${long}`, `${long}: b`, `a: x${long}\x7f`]) {
        try {
          parseRequestHead(request(`GET / HTTP/1.1\r\n${line}`));
        } catch (error) {
          expect(error).to.be.instanceOf(MalformedHead);
        }
      }
    }
    // 28 of them take 50 ms; a pattern that tries again at every character takes minutes.
    expect(performance.now() - began).to.be.below(3_000);
  });

  for (const [what, text] of [
    ['a folded line', 'GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c'],
    ['a line folded with a tab', 'GET / HTTP/1.1\r\nA: b\r\n\tc'],
    ['a bare LF between headers', 'GET / HTTP/1.1\r\nA: b\nTransfer-Encoding: chunked'],
    ['a bare LF behind the request line', 'GET / HTTP/1.1\nA: b'],
    ['a bare CR', 'GET / HTTP/1.1\r\nA: b\rContent-Length: 5'],
    ['a space before the colon', 'GET / HTTP/1.1\r\nTransfer-Encoding : chunked'],
    ['a tab before the colon', 'GET / HTTP/1.1\r\nContent-Length\t: 5'],
    ['a space before the name', 'GET / HTTP/1.1\r\n Content-Length: 5'],
    ['no name', 'GET / HTTP/1.1\r\n: 5'],
    ['no colon', 'GET / HTTP/1.1\r\nContent-Length'],
    ['NUL in a value', 'GET / HTTP/1.1\r\nA: b\0c'],
    ['a name with a NUL', 'GET / HTTP/1.1\r\nContent-Length\0: 5'],
    ['a name that is no token', 'GET / HTTP/1.1\r\nA(b): c'],
    ['a name of foreign letters', 'GET / HTTP/1.1\r\n\xe9: c'],
    ['two blanks in the request line', 'GET  / HTTP/1.1'],
    ['a blank in the target', 'GET /a b HTTP/1.1'],
    ['a tab in the request line', 'GET\t/ HTTP/1.1'],
    ['a blank before the method', ' GET / HTTP/1.1'],
    ['a blank behind the version', 'GET / HTTP/1.1 '],
    ['no version', 'GET /'],
    ['another version', 'GET / HTTP/2.0'],
    ['a version in small letters', 'GET / http/1.1'],
    ['a control character in the target', 'GET /\x7f HTTP/1.1'],
  ] as const) {
    it(`is refused with ${what}`, () => {
      expect(() => parseRequestHead(request(text)))
        .to.throw(MalformedHead)
        .with.property('status', 400);
    });
  }

  for (const text of [
    'HTTP/1.1 20',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1 099 X',
    'HTTP/2 200 OK',
    'HTTP/1.1 200 a\0b',
    'ICY 200',
  ]) {
    it(`of an answer is refused: ${JSON.stringify(text)}`, () => {
      expect(() => parseResponseHead(request(text)))
        .to.throw(MalformedHead)
        .with.property('status', 502);
    });
  }
});
