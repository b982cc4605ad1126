import { expect } from 'chai';
import { denialOf, ownListener, refusalOfDenial } from '../../../src/redirector/tunnel-policy.ts';

const OWN = 8443;
const isOwnOn = (bound: string) => ownListener(bound, (port) => port === OWN);
const LOOPBACK = ['127.0.0.1', 'localhost', 'LOCALHOST.', '127.1', '2130706433', '0x7f000001', '017700000001', '::1'];
const THIS = ['0.0.0.0', '0', '::', '::ffff:0.0.0.0'];
const MAPPED = ['::ffff:127.0.0.1', '::ffff:7f00:1', '0:0:0:0:0:ffff:7f00:1'];
const LINK_LOCAL = ['169.254.169.254', '::ffff:a9fe:a9fe', 'fe80::1'];
const NETWORK = ['192.0.2.2', '10.0.0.1', 'fd00::2', 'example.com', 'api.anthropic.com'];

describe('our own listeners', () => {
  for (const bound of ['127.0.0.1', '::1', 'localhost', '0.0.0.0', '::']) {
    it(`bound to ${bound} are found by every spelling, on their ports only`, () => {
      for (const host of [...LOOPBACK, ...THIS, ...MAPPED]) {
        expect(isOwnOn(bound)(host, OWN), host).to.equal(true);
        expect(isOwnOn(bound)(host, OWN + 1), host).to.equal(false);
      }
      for (const host of [...NETWORK, ...LINK_LOCAL]) expect(isOwnOn(bound)(host, OWN), host).to.equal(false);
    });
  }
  it('bound to an address are found by that alone', () => {
    const isOwn = isOwnOn('192.0.2.2');
    for (const host of ['192.0.2.2', '::ffff:192.0.2.2', '0xc0000202']) expect(isOwn(host, OWN), host).to.equal(true);
    for (const host of [...LOOPBACK, ...THIS, '192.0.2.3']) expect(isOwn(host, OWN), host).to.equal(false);
  });
  it('bound to every address are found by any of this machine', () => {
    expect(isOwnOn('0.0.0.0')('192.0.2.2', OWN, true)).to.equal(true);
    expect(isOwnOn('0.0.0.0')('192.0.2.2', OWN + 1, true)).to.equal(false);
    expect(isOwnOn('127.0.0.1')('192.0.2.2', OWN, true)).to.equal(false);
  });
});

describe('a tunnel is forbidden', () => {
  const isOwn = isOwnOn('0.0.0.0');
  const ask = (client: string | undefined, host: string, port: number) => denialOf({ host, port, client }, isOwn);
  for (const client of ['127.0.0.1', '::1', '::ffff:127.0.0.1', '127.9.9.9']) {
    it(`to ${client} for our own ports only`, () => {
      for (const host of [...LOOPBACK, ...THIS, ...MAPPED]) {
        expect(ask(client, host, OWN), host).to.equal('own_port');
        expect(ask(client, host, 5432), host).to.equal(null);
      }
      for (const host of [...LINK_LOCAL, ...NETWORK]) expect(ask(client, host, 80), host).to.equal(null);
    });
  }
  for (const client of ['192.0.2.7', 'fd00::7', '::ffff:10.0.0.7', '169.254.1.1', undefined]) {
    it(`to ${client ?? 'who has gone'} for what is this machine's as well`, () => {
      for (const host of [...LOOPBACK, ...THIS, ...MAPPED]) {
        expect(ask(client, host, OWN), host).to.equal('own_port');
        expect(ask(client, host, 5432), host).to.equal('private');
      }
      for (const host of LINK_LOCAL) expect(ask(client, host, 80), host).to.equal('private');
      for (const host of NETWORK) expect(ask(client, host, 80), host).to.equal(null);
    });
  }
  it('with one line that says why', () => {
    expect(refusalOfDenial('own_port', { host: 'localhost', port: 1 }).text).to.match(/^localhost:1 is claude-db-/);
    expect(refusalOfDenial('private', { host: 'localhost', port: 1 }).text).to.match(/own machine only$/);
  });
});
