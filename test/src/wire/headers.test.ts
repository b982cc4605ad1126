import { expect } from 'chai';
import { countOf, endToEnd, headerValue, hasName, withHeaderValue, withoutHeaders } from '../../../src/wire/headers.ts';

describe('raw headers', () => {
  it('lose what belongs to the connection, and nothing else', () => {
    const raw = [
      ...['Host', 'api.anthropic.com', 'Connection', 'keep-alive, X-Mine', 'Keep-Alive', 'timeout=5', 'X-Mine', '1'],
      ...['TE', 'trailers', 'Transfer-Encoding', 'chunked', 'Proxy-Authorization', 'Basic x', 'Upgrade', 'h2c'],
      ...['proxy-connection', 'close', 'Proxy-Authenticate', 'Basic', 'x-api-key', 'k', 'X-API-Key', 'again'],
    ];
    expect(endToEnd(raw)).to.deep.equal(['Host', 'api.anthropic.com', 'x-api-key', 'k', 'X-API-Key', 'again']);
  });

  it('lose what any of several connection headers names', () => {
    expect(endToEnd(['connection', 'a', 'A', '1', 'Connection', ' B ,, close', 'b', '2', 'c', '3'])).to.deep.equal([
      'c',
      '3',
    ]);
  });

  it('keep what is as long as the name of such a one, or begins like it', () => {
    const raw = [
      'to',
      'ungrade',
      'request-id',
      'proxy-connectiox',
      'transfer-encodinh',
      'proxy-authorizatiom',
      'upgraded',
    ].flatMap((name) => [name, '1']);
    expect(endToEnd([...raw, 'Connection', 'Close', 'CONNECTION', 'Keep-Alive'])).to.deep.equal(raw);
  });

  it('never lose their length', () => {
    expect(endToEnd(['Connection', 'content-length', 'Content-Length', '5'])).to.deep.equal(['Content-Length', '5']);
  });

  it('keep order, spelling and repetition', () => {
    const raw = ['b', '1', 'A', '2', 'a', '', 'B', '1'];
    expect(endToEnd(raw)).to.deep.equal(raw);
    expect(withoutHeaders(raw, (name) => hasName(name, 'b'))).to.deep.equal(['A', '2', 'a', '']);
  });

  it('are found in any case, the first of several', () => {
    const raw = ['X-A', '1', 'x-a', '2', 'x-b', ''];
    expect(headerValue(raw, 'x-a')).to.equal('1');
    expect(headerValue(raw, 'x-b')).to.equal('');
    expect(headerValue(raw, 'x-c')).to.equal(undefined);
    // A value is no name.
    expect(headerValue(['x', 'x-c', 'y', '1'], 'x-c')).to.equal(undefined);
  });

  it('change where they stand, and are not added', () => {
    const raw = ['Accept-Encoding', 'gzip, zstd', 'accept-encoding', 'br', 'x', 'y'];
    expect(withHeaderValue(raw, 'accept-encoding', (value) => `${value}!`)).to.deep.equal([
      ...['Accept-Encoding', 'gzip, zstd!', 'accept-encoding', 'br!', 'x', 'y'],
    ]);
    expect(raw[1]).to.equal('gzip, zstd');
    const [unchanged, without] = [
      ['Host', 'a'],
      ['x', 'y'],
    ];
    expect(withHeaderValue(unchanged, 'host', () => 'a')).to.equal(unchanged);
    expect(withHeaderValue(without, 'accept-encoding', () => 'gzip')).to.equal(without);
  });

  it('are counted whatever their spelling', () => {
    expect(countOf(['Host', 'a', 'x', 'host', 'HOST', 'b'], 'host')).to.equal(2);
    expect(countOf([], 'host')).to.equal(0);
  });
});
