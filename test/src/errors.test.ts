import { expect } from 'chai';
import { asError, codeOf, ConfigError, messageOf } from '../../src/errors.ts';

const coded = (code: unknown): Error => Object.assign(new Error('failed'), { code });

describe('errors', () => {
  it('reads the code of an error', () => {
    expect(codeOf(coded('ECONNREFUSED'))).to.equal('ECONNREFUSED');
    expect(codeOf(new ConfigError('A', '1', 'no'))).to.equal('DBPROXY_ERR_CONFIG');
  });

  it('reads the code of the first error of several attempts', () => {
    expect(codeOf(new AggregateError([coded('ECONNREFUSED'), coded('ENETUNREACH')]))).to.equal('ECONNREFUSED');
  });

  it('calls a missing code unknown', () => {
    for (const error of [undefined, 'ENOENT', { code: 'ENOENT' }, new Error(), coded(1), new AggregateError([])]) {
      expect(codeOf(error)).to.equal('unknown');
    }
  });

  it('reads the message of any thrown value', () => {
    expect(messageOf(new Error('failed'))).to.equal('failed');
    expect(messageOf('failed')).to.equal('failed');
    expect(messageOf(undefined)).to.equal('undefined');
  });

  it('makes an error of any thrown value', () => {
    const error = new Error('failed');
    expect(asError(error)).to.equal(error);
    expect(asError('failed')).to.be.an('error').with.property('message', 'failed');
  });
});
