import { expect } from 'chai';
import { isLoopback, isLocalOnlyAddress, isUnspecified, plainHost } from '../../../src/net/addresses.ts';

const LOOPBACK = [
  ...['localhost', 'LOCALHOST.', 'x.localhost', '127.0.0.1', '127.255.255.254', '127.1', '2130706433', '0x7f000001'],
  ...['0x7f.1', '017700000001', '0177.0.0.01', '::1', '[::1]', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1'],
  ...['::ffff:7f00:1', '0:0:0:0:0:FFFF:7F00:0001', '[::ffff:127.0.0.1]', '127.0.0.1.'],
];
const UNSPECIFIED = ['0.0.0.0', '0', '0x0', '0.0.0.0.', '0.1', '::', '[::]', '0::0', '::ffff:0.0.0.0', '::ffff:0:0'];
const LINK_LOCAL = ['169.254.169.254', '0xa9fea9fe', '::ffff:169.254.1.1', 'fe80::1', 'FE80::1%eth0', 'febf::1'];
const OTHERS = [
  'example.com',
  'localhost.example',
  '10.0.0.1',
  '128.0.0.1',
  '192.0.2.1',
  '169.253.0.1',
  'fec0::1',
  '::2',
];

describe('addresses', () => {
  it('have one spelling', () => {
    expect(['127.1', '0x7f.1', '::ffff:7f00:1', '[::FFFF:127.0.0.1]'].map(plainHost)).to.deep.equal(
      Array.from({ length: 4 }, () => '127.0.0.1'),
    );
    expect(['FD00:0:0::2', '[fd00::2]', 'fd00::2%eth0'].map(plainHost)).to.deep.equal(
      Array.from({ length: 3 }, () => 'fd00::2'),
    );
  });
  for (const host of LOOPBACK) {
    it(`${host} is loopback`, () =>
      expect([isLoopback(host), isUnspecified(host), isLocalOnlyAddress(host)]).to.deep.equal([true, false, true]));
  }
  for (const host of UNSPECIFIED) {
    it(`${host} is unspecified`, () =>
      expect([isLoopback(host), isUnspecified(host), isLocalOnlyAddress(host)]).to.deep.equal([false, true, true]));
  }
  for (const host of LINK_LOCAL) {
    it(`${host} is link-local`, () =>
      expect([isLoopback(host), isUnspecified(host), isLocalOnlyAddress(host)]).to.deep.equal([false, false, true]));
  }
  for (const host of OTHERS) {
    it(`${host} is none of them`, () =>
      expect([isLoopback(host), isUnspecified(host), isLocalOnlyAddress(host)]).to.deep.equal([false, false, false]));
  }
});
