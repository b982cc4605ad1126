import { expect } from 'chai';
import fc from 'fast-check';
import { isIPv6 } from 'node:net';
import { parseAuthority } from '../../../src/redirector/authority.ts';

describe('parseAuthority', () => {
  for (const [target, host, port] of [
    ['api.anthropic.com:443', 'api.anthropic.com', 443],
    ['API.Anthropic.COM.:443', 'api.anthropic.com', 443],
    ['localhost:1', 'localhost', 1],
    ['my_host.internal:65535', 'my_host.internal', 65535],
    ['127.0.0.1:8080', '127.0.0.1', 8080],
    ['[::1]:443', '::1', 443],
    ['[2001:DB8::1]:443', '2001:db8::1', 443],
    ['[::ffff:192.0.2.1]:443', '::ffff:192.0.2.1', 443],
    ['xn--bcher-kva.example:0443', 'xn--bcher-kva.example', 443],
  ] as const) {
    it(`reads ${target}`, () => expect(parseAuthority(target)).to.deep.equal({ host, port }));
  }

  for (const target of [
    '',
    'foo',
    'foo:',
    ':443',
    '.:443',
    'a..b:443',
    'foo:0',
    'foo:70000',
    'foo:65536',
    'foo:-1',
    'foo:+1',
    'foo:4 4',
    'foo:443/',
    'foo:0x50',
    'user@foo:443',
    'user:pass@foo:443',
    'http://foo:443',
    '/foo:443',
    '::1:443',
    '[::1]',
    '[::1:443',
    '[foo]:443',
    '[fe80::1%eth0]:443',
    '[127.0.0.1]:443',
    'foo%2ebar:443',
    'bücher.example:443',
    'foo\0:443',
    'foo\n:443',
    'foo:443\n',
    `${'a'.repeat(64)}.example:443`,
    `${'a.'.repeat(127)}a:443`,
  ]) {
    it(`refuses ${JSON.stringify(target)}`, () => expect(parseAuthority(target)).to.be.undefined);
  }

  it('reads every host and port, in any case', () => {
    const host = fc.oneof(fc.domain(), fc.ipV4());
    fc.assert(
      fc.property(host, fc.integer({ min: 1, max: 65535 }), (name, port) => {
        expect(parseAuthority(`${name.toUpperCase()}:${port}`)).to.deep.equal({ host: name.toLowerCase(), port });
      }),
    );
    fc.assert(
      fc.property(fc.ipV6(), fc.integer({ min: 1, max: 65535 }), (address, port) => {
        expect(parseAuthority(`[${address}]:${port}`)).to.deep.equal({ host: address.toLowerCase(), port });
      }),
    );
  });

  it('throws at nothing, and lets nothing through that could be more than a host', () => {
    const nearMiss = fc.string({
      unit: fc.constantFrom('a', '1', '.', '-', '_', ':', '[', ']', '@', '%', '/', '\\', ' ', '\0', '\n', 'é'),
      maxLength: 20,
    });
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary-ascii' }), nearMiss), (target) => {
        const read = parseAuthority(target);
        if (read === undefined) return;
        expect(read.port).to.be.within(1, 65535);
        expect(isIPv6(read.host) || /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(read.host), read.host).to.be.true;
      }),
      { numRuns: 500 },
    );
  });
});
