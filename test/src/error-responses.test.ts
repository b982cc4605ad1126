import { expect } from 'chai';
import { answerFor, errorAnswer } from '../../src/error-responses.ts';
import {
  CertificateError,
  CheckpointError,
  UpstreamProtocolError,
  UpstreamUnreachableError,
} from '../../src/errors.ts';

describe('answers to failures', () => {
  for (const [what, error, status] of [
    ['an API that cannot be reached', new UpstreamUnreachableError('cannot reach https://x (ECONNREFUSED)'), 502],
    [
      'an API that speaks no HTTP',
      new UpstreamProtocolError('https://x answered with something that is not HTTP'),
      502,
    ],
    ['a failure of ours that has no answer of its own', new CertificateError('the key is gone'), 500],
    ['a failed checkpoint, should it ever get here', new CheckpointError('transient', 'later'), 500],
  ] as const) {
    it(`say ${status} to ${what}, and what happened`, () => {
      expect(answerFor(error)).to.include({ status, type: 'api_error', message: error.message });
    });
  }

  for (const error of [
    new Error('/etc/passwd: secret'),
    'secret',
    undefined,
    null,
    { code: 'DBPROXY_ERR_UPSTREAM_UNREACHABLE', message: 'secret' },
  ]) {
    it(`say 500 and nothing else to ${error instanceof Error ? 'any other error' : JSON.stringify(error)}`, () => {
      const answer = answerFor(error);
      expect(answer).to.include({ status: 500, type: 'api_error' });
      expect(answer.message).not.to.include('secret');
    });
  }

  it('are of a kind that the client tries again after', () => {
    expect(answerFor(new UpstreamUnreachableError('x')).status).to.be.at.least(500);
  });

  it('have the shape of the API’s own errors, and say whose they are', () => {
    const { headers, body } = errorAnswer({ status: 400, type: 'invalid_request_error', message: 'größer "quoted"' });
    expect(headers).to.include('application/json');
    expect(JSON.parse(body.toString('utf8'))).to.deep.equal({
      type: 'error',
      error: { type: 'invalid_request_error', message: 'claude-db-proxy: größer "quoted"' },
    });
  });
});
