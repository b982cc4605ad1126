import { expect } from 'chai';
import { refusalOf, refusalOfRequest } from '../../../src/redirector/statuses.ts';

describe('statuses', () => {
  for (const [code, status] of [
    ['ENOTFOUND', 502],
    ['EAI_AGAIN', 502],
    ['ECONNREFUSED', 502],
    ['EHOSTUNREACH', 502],
    ['ETIMEDOUT', 504],
    ['EMFILE', 503],
    ['EWHATEVER', 502],
    ['toString', 502],
  ] as const) {
    it(`answers ${code} with ${status}`, () => expect(refusalOf(coded(code))).to.include({ status }));
  }

  it('answers what is no error at all', () => {
    expect(refusalOf(undefined)).to.include({ status: 502 });
    expect(refusalOf(new AggregateError([]))).to.include({ status: 502 });
  });

  for (const [code, status] of [
    ['HPE_HEADER_OVERFLOW', 431],
    ['ERR_HTTP_REQUEST_TIMEOUT', 408],
    ['HPE_INVALID_METHOD', 400],
  ] as const) {
    it(`answers a request that fails with ${code} with ${status}`, () => {
      expect(refusalOfRequest(coded(code))).to.include({ status });
    });
  }
});

function coded(code: string): Error {
  return Object.assign(new Error('made for a test'), { code });
}
