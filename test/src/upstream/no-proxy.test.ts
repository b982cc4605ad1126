import { expect } from 'chai';
import fc from 'fast-check';
import { isLoopback, plainHost } from '../../../src/net/addresses.ts';
import { bypasses, parseNoProxy } from '../../../src/upstream/no-proxy.ts';

const matches = (value: string, host: string, port = 443): boolean => bypasses(parseNoProxy(value), { host, port });

const label = fc.stringMatching(/^[a-z]([a-z0-9-]{0,8}[a-z0-9])?$/).filter((text) => !text.startsWith('xn--'));
const domain = fc.array(label, { minLength: 2, maxLength: 4 }).map((labels) => labels.join('.'));
const port = fc.integer({ min: 1, max: 65_535 });
const octet = fc.integer({ min: 0, max: 255 });
const octets = fc.tuple(octet, octet, octet, octet);
const numberOf = (parts: readonly number[]): number => parts.reduce((sum, part) => sum * 256 + part, 0);

describe('NO_PROXY', () => {
  const table: readonly [value: string, host: string, port: number, expected: boolean][] = [
    ['', 'example.com', 443, false],
    [' , ,', 'example.com', 443, false],
    ['*', 'example.com', 443, true],
    ['*', '10.0.0.1', 443, true],
    ['*:8443', 'example.com', 443, false],
    ['*:8443', 'example.com', 8443, true],
    ['a.com,*', 'example.com', 443, true],
    ['example.com', 'example.com', 443, true],
    ['example.com', 'EXAMPLE.com.', 443, true],
    ['EXAMPLE.COM.', 'example.com', 443, true],
    ['example.com', 'api.example.com', 443, true],
    ['example.com', 'notexample.com', 443, false],
    ['example.com', 'example.com.evil.test', 443, false],
    ['api.example.com', 'example.com', 443, false],
    ['.example.com', 'api.example.com', 443, true],
    ['.example.com', 'example.com', 443, true],
    ['*.example.com', 'api.example.com', 443, true],
    ['*.example.com', 'notexample.com', 443, false],
    ['ex*mple.com', 'example.com', 443, false],
    ['a.com b.com\tc.com', 'b.com', 443, true],
    ['a.com, b.com ,c.com', 'c.com', 443, true],
    ['example.com:443', 'example.com', 443, true],
    ['example.com:443', 'api.example.com', 443, true],
    ['example.com:8443', 'example.com', 443, false],
    ['10.1.2.3', '10.1.2.3', 443, true],
    ['10.1.2.3', '110.1.2.3', 443, false],
    ['10.1', '10.0.0.1', 443, true],
    ['/example.com', 'example.com', 443, false],
    ['example.com/', 'example.com', 443, false],
    ['2.3.4', '1.2.3.4', 443, false],
    ['10.1.2.3:80', '10.1.2.3', 443, false],
    ['10.0.0.0/8', '10.200.3.4', 443, true],
    ['10.0.0.0/8', '11.0.0.1', 443, false],
    ['10.0.0.0/8', '10.example.com', 443, false],
    ['0.0.0.0/0', '11.0.0.1', 443, true],
    ['10.0.0.0/33', '10.0.0.1', 443, false],
    ['10.0.0.0/', '10.0.0.0', 443, false],
    ['10.0.0.0/8/8', '10.0.0.0', 443, false],
    ['10.1.2.3', '::ffff:10.1.2.3', 443, true],
    ['::1', '::1', 443, true],
    ['[2001:db8::1]', '2001:db8:0::1', 443, true],
    ['[2001:db8::1]:443', '[2001:db8::1]', 443, true],
    ['[2001:db8::1]:80', '2001:db8::1', 443, false],
    ['2001:db8::/32', '2001:db8:5::7', 443, true],
    ['2001:db8::/32', '2001:db9::7', 443, false],
    ['bücher.example', 'xn--bcher-kva.example', 443, true],
    ['http://example.com', 'example.com', 443, false],
    ['example.com:', 'example.com', 443, false],
    ['.', 'example.com', 443, false],
    ['[', 'example.com', 443, false],
    [':443', 'example.com', 443, false],
  ];
  for (const [value, host, at, expected] of table) {
    it(`'${value}' ${expected ? 'covers' : 'leaves out'} ${host}:${at}`, () => {
      expect(matches(value, host, at)).to.equal(expected);
    });
  }

  it('covers a domain and all below it, wherever it stands in the list and however it is spelled', () => {
    fc.assert(
      fc.property(
        domain,
        label,
        fc.array(domain),
        fc.constantFrom('', '.', '*.'),
        fc.constantFrom(',', ' ', ', '),
        port,
        (name, below, others, prefix, separator, at) => {
          const value = [...others, prefix + name.toUpperCase()].join(separator);
          expect(matches(value, name, at)).to.equal(true);
          expect(matches(value, `${below}.${name}`, at)).to.equal(true);
          expect(matches(`${prefix}${name}`, `${below}${name}`, at)).to.equal(false);
        },
      ),
    );
  });

  it('holds for one port only where it names one', () => {
    fc.assert(
      fc.property(domain, port, port, (name, named, asked) => {
        expect(matches(`${name}:${named}`, name, asked)).to.equal(named === asked);
      }),
    );
  });

  it('covers the addresses of a network and no others', () => {
    fc.assert(
      fc.property(octets, octets, fc.integer({ min: 0, max: 32 }), (network, address, bits) => {
        const size = 2 ** (32 - bits);
        const inside = Math.floor(numberOf(network) / size) === Math.floor(numberOf(address) / size);
        expect(matches(`${network.join('.')}/${bits}`, address.join('.'))).to.equal(inside);
      }),
    );
  });

  it('never throws, and an entry that cannot be read changes nothing', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), port, (value, host, at) => {
        expect(matches(value, host, at)).to.be.a('boolean');
      }),
    );
  });
});

describe('a host', () => {
  it('is compared in one spelling', () => {
    const spellings = ['[::1]', 'Example.COM.', '::FFFF:10.0.0.1', 'bücher.example'];
    expect(spellings.map(plainHost)).to.deep.equal(['::1', 'example.com', '10.0.0.1', 'xn--bcher-kva.example']);
  });

  for (const host of ['localhost', 'LOCALHOST.', 'a.localhost', '127.0.0.1', '127.9.9.9', '127.1', '::1', '[::1]']) {
    it(`${host} is loopback`, () => expect(isLoopback(host)).to.equal(true));
  }
  for (const host of ['localhost.example', '127.0.0.1.example', '128.0.0.1', '::2', 'notlocalhost', '1127.0.0.1']) {
    it(`${host} is not loopback`, () => expect(isLoopback(host)).to.equal(false));
  }
  it('::ffff:127.0.0.1 is loopback', () => expect(isLoopback('::ffff:127.0.0.1')).to.equal(true));
});
