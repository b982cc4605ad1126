import { inspect } from 'node:util';
import { expect } from 'chai';
import fc from 'fast-check';
import { ConfigError } from '../../../src/errors.ts';
import { parseOutboundProxy, proxyFor, type ProxyEndpoint } from '../../../src/upstream/outbound-proxy.ts';

const CANARY = 'canary-5d1c';

/** The proxy of this variable. */
function endpointOf(value: string, variable = 'HTTPS_PROXY'): ProxyEndpoint {
  const { https } = parseOutboundProxy({ [variable]: value });
  if (https === null) throw new Error('there is no proxy');
  return https;
}

const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;

describe('the proxy on the way out', () => {
  it('is none without variables', () => {
    expect(parseOutboundProxy({})).to.deep.equal({ https: null, http: null, bypass: [] });
    expect(parseOutboundProxy({ HTTPS_PROXY: ' ', http_proxy: '', NO_PROXY: '' }).https).to.equal(null);
  });

  const origins: readonly [value: string, origin: string, port: number][] = [
    ['http://proxy.test:3128', 'http://proxy.test:3128', 3128],
    ['http://proxy.test:3128/', 'http://proxy.test:3128', 3128],
    ['http://proxy.test', 'http://proxy.test:80', 80],
    ['https://proxy.test', 'https://proxy.test:443', 443],
    ['HTTP://Proxy.Test:3128', 'http://proxy.test:3128', 3128],
    ['proxy.test:3128', 'http://proxy.test:3128', 3128],
    ['user:word@proxy.test:3128', 'http://proxy.test:3128', 3128],
    ['http://[::1]:3128', 'http://[::1]:3128', 3128],
    ['  http://10.0.0.1:3128 ', 'http://10.0.0.1:3128', 3128],
  ];
  for (const [value, origin, port] of origins) {
    it(`reads ${value}`, () => expect(endpointOf(value)).to.include({ origin, port, variable: 'HTTPS_PROXY' }));
  }

  it('an address in brackets is connected to without them', () => {
    expect(endpointOf('http://[::1]:3128').host).to.equal('::1');
  });

  it('lower case wins, and an empty variable is an unset one', () => {
    const both = { https_proxy: 'http://lower.test:1', HTTPS_PROXY: 'http://upper.test:2' };
    expect(parseOutboundProxy(both).https).to.include({ host: 'lower.test', variable: 'https_proxy' });
    expect(parseOutboundProxy({ ...both, https_proxy: '' }).https).to.include({ host: 'upper.test' });
    const lists = { no_proxy: 'lower.test', NO_PROXY: 'upper.test' };
    const settings = parseOutboundProxy({ ...both, ...lists });
    expect(proxyFor(settings, { secure: true, host: 'lower.test', port: 443 })).to.equal(null);
    expect(proxyFor(settings, { secure: true, host: 'upper.test', port: 443 })).not.to.equal(null);
  });

  it('takes credentials from the URL, decoded', () => {
    expect(endpointOf('http://proxy.test').authorization).to.equal(null);
    expect(endpointOf('http://user@proxy.test').authorization).to.equal(basic('user:'));
    expect(endpointOf('http://us%40er:w%3Ao%2Frd%C3%A9@proxy.test').authorization).to.equal(basic('us@er:w:o/rdé'));
    expect(endpointOf('http://user:100%@proxy.test').authorization).to.equal(basic('user:100%'));
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), fc.string({ unit: 'grapheme' }), (user, word) => {
        const url = `http://${encodeURIComponent(user)}:${encodeURIComponent(word)}@proxy.test:3128`;
        expect(endpointOf(url).authorization).to.equal(basic(`${user}:${word}`));
      }),
    );
  });

  it('shows its credentials to nobody who prints it', () => {
    const settings = parseOutboundProxy({ HTTPS_PROXY: `http://${CANARY}:${CANARY}@proxy.test:3128` });
    const shown = inspect(settings, { depth: 9, showHidden: true }) + JSON.stringify(settings);
    expect(shown).not.to.include(CANARY);
    expect(shown).not.to.include(Buffer.from(CANARY).toString('base64').slice(0, 8));
    expect(JSON.stringify(settings)).to.include('http://proxy.test:3128');
  });

  it('is frozen', () => {
    const settings = parseOutboundProxy({ HTTPS_PROXY: 'http://proxy.test', NO_PROXY: 'a.test' });
    for (const value of [settings, settings.https, settings.bypass, ...settings.bypass]) {
      expect(Object.isFrozen(value)).to.equal(true);
    }
  });

  for (const name of ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy']) {
    for (const scheme of [
      'socks5://x',
      'ftp://x',
      'http://x:99999',
      'http://x:0',
      'http:// x',
      'http://',
      'http://[x',
    ]) {
      it(`refuses ${name}=${scheme} without repeating it`, () => {
        const value = scheme.replace('://', `://user:${CANARY}@`);
        try {
          parseOutboundProxy({ [name]: value });
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error;
          expect(error.variable).to.equal(name);
          expect(error.message).to.match(new RegExp(`^${name}=\\(hidden\\) cannot be used: an http or https URL`));
          return;
        }
        throw new Error('it was accepted');
      });
    }
  }
});

describe('the way to a destination', () => {
  const settings = parseOutboundProxy({
    HTTPS_PROXY: 'http://s.test:1',
    HTTP_PROXY: 'http://p.test:2',
    NO_PROXY: 'direct.test, 10.0.0.0/8',
  });
  const way = (secure: boolean, host: string): string | undefined =>
    proxyFor(settings, { secure, host, port: 443 })?.host;

  it('has the proxy of its scheme', () => {
    expect([way(true, 'api.test'), way(false, 'api.test')]).to.deep.equal(['s.test', 'p.test']);
    const one = parseOutboundProxy({ HTTPS_PROXY: 'http://s.test:1' });
    expect(proxyFor(one, { secure: false, host: 'api.test', port: 80 })).to.equal(null);
  });

  for (const host of ['direct.test', 'a.direct.test', '10.1.1.1', 'localhost', '127.0.0.1', '127.1', '::1']) {
    it(`to ${host} has none`, () => {
      expect([way(true, host), way(false, host)]).to.deep.equal([undefined, undefined]);
    });
  }
});
