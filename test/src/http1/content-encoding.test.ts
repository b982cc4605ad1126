import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { bodyDecoder, plainBody } from '../../../src/http1/content-encoding.ts';

const BODY = Buffer.from('a body that is long enough to be worth compressing '.repeat(20));

describe('the decoder of a body', () => {
  for (const [encoding, encode] of [
    ['gzip', gzipSync],
    ['X-Gzip', gzipSync],
    [' br ', brotliCompressSync],
    ['deflate', deflateSync],
  ] as const) {
    it(`decodes ${JSON.stringify(encoding)} up to the limit, and returns null for a broken body`, () => {
      const decode = bodyDecoder(['Content-Encoding', encoding]);
      const encoded = encode(BODY);
      expect(decode?.(encoded, BODY.length)?.equals(BODY)).to.equal(true);
      expect(decode?.(encoded, BODY.length - 1)).to.equal(null);
      expect(decode?.(encoded.subarray(0, -12), BODY.length)).to.equal(null);
      expect(decode?.(BODY, BODY.length)).to.equal(null);
    });
  }

  for (const headers of [[], ['Content-Encoding', ''], ['content-encoding', 'Identity']]) {
    it(`is the plain one for ${JSON.stringify(headers)}`, () => {
      expect(bodyDecoder(headers)).to.equal(plainBody);
      expect(plainBody(BODY, 0)).to.equal(BODY);
    });
  }

  for (const encoding of ['zstd', 'gzip, br', 'compress']) {
    it(`does not exist for ${encoding}`, () => {
      expect(bodyDecoder(['Content-Encoding', encoding])).to.equal(null);
    });
  }
});
