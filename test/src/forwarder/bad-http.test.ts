import { once } from 'node:events';
import { connect } from 'node:net';
import { expect } from 'chai';
import { API_HEADERS, ask, RawClient } from './raw-client.ts';
import { rawRig, type RawRig } from './quick-rig.ts';
import { drain } from '../redirector/sockets.ts';

describe('bytes that are no HTTP, or no TLS', () => {
  let rig: RawRig;
  before(async () => {
    rig = await rawRig();
  });
  after(() => rig.close());
  /** Nobody else notices. */
  afterEach(async () => {
    expect((await ask(rig, { path: '/api/x' })).status).to.equal(200);
    expect(rig.log.filter(({ level }) => level === 'error')).to.deep.equal([]);
  });

  for (const [what, bytes] of [
    ['no HTTP at all', 'this is not HTTP\r\n\r\n'],
    [
      'two lengths',
      'POST /v1/messages HTTP/1.1\r\nHost: api.anthropic.com\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi',
    ],
    [
      'a length and chunks',
      'POST /v1/messages HTTP/1.1\r\nHost: api.anthropic.com\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['no Host', 'GET /v1/models HTTP/1.1\r\n\r\n'],
    ['a header that is none', 'GET /v1/models HTTP/1.1\r\nHost: api.anthropic.com\r\nno colon\r\n\r\n'],
    ['a header without end', `GET /v1/models HTTP/1.1\r\nHost: api.anthropic.com\r\nX: ${'x'.repeat(2_000_000)}`],
  ] as const) {
    it(`${what} is refused in the shape of the API's errors`, async () => {
      const count = rig.upstream.requests.length;
      const client = await RawClient.open(rig);
      client.write(bytes);
      const answer = await client.answer();
      expect(answer.status).to.be.within(400, 431);
      expect(errorOf(answer.text)).to.match(/^claude-db-proxy: /);
      await client.close();
      expect(rig.upstream.requests.length).to.equal(count);
    });
  }

  it('headers as long as a corporate proxy makes them are passed on', async () => {
    const headers = [...API_HEADERS, 'x-long', 'x'.repeat(12_000)];
    expect((await ask(rig, { path: '/v1/models', headers })).status).to.equal(200);
  });

  it('plain HTTP and noise on the TLS port are hung up on', async () => {
    for (const bytes of ['GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n', '\x16\x03\x01\xff\xff garbage', '\0\0']) {
      const socket = connect(rig.proxy.ports.dashboard, '127.0.0.1');
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      socket.end(bytes, 'latin1');
      expect((await drain(socket)).toString('latin1')).not.to.match(/^HTTP/);
      socket.destroy();
    }
  });
});
function errorOf(text: string): string {
  const { type, error } = JSON.parse(text) as { type: string; error: { type: string; message: string } };
  expect(type).to.equal('error');
  expect(error.type).to.equal('invalid_request_error');
  return error.message;
}
