import { expect } from 'chai';
import { parseConfig } from '../../src/config/config.ts';
import { ConfigError } from '../../src/errors.ts';

describe('the proxy variables in the configuration', () => {
  it('are none by default', () => {
    const { outboundProxy } = parseConfig({ HOME: '/home/somebody' });
    expect(outboundProxy).to.deep.equal({ https: null, http: null, bypass: [] });
  });

  it('are read with everything else, and frozen', () => {
    const { outboundProxy } = parseConfig({
      HOME: '/home/somebody',
      https_proxy: 'http://user:word@secure.test:3128',
      HTTP_PROXY: 'plain.test:3129',
      NO_PROXY: 'a.test,b.test',
    });
    expect(outboundProxy.https?.origin).to.equal('http://secure.test:3128');
    expect(outboundProxy.http?.origin).to.equal('http://plain.test:3129');
    expect(outboundProxy.bypass).to.have.length(2);
    for (const value of Object.values(outboundProxy)) expect(Object.isFrozen(value)).to.equal(true);
  });

  it('refuse the start when they cannot be used, without their value', () => {
    const start = (): unknown => parseConfig({ HOME: '/home/somebody', HTTPS_PROXY: 'socks5://user:word@proxy.test' });
    expect(start).to.throw(ConfigError, /^HTTPS_PROXY=\(hidden\) cannot be used/);
    expect(start).not.to.throw('word');
  });
});
