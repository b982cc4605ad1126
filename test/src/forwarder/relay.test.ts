import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect } from 'chai';
import { ClientConnection } from '../../../src/forwarder/client-connection.ts';
import { relay, type RelayObserver } from '../../../src/forwarder/relay.ts';
import { silentLog } from '../../../src/log.ts';
import { UpstreamConnections } from '../../../src/upstream/connections.ts';
import { until } from '../redirector/sockets.ts';
import { OK, startRawUpstream, type RawUpstream } from './raw-upstream.ts';

const HEAD = 'POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n';
const BODY = Buffer.alloc(200_000, 'a');

describe('who looks on while an exchange passes', () => {
  let upstream: RawUpstream;
  let client: Socket;
  let told: string[];
  /** Bytes that had not left, each time the request's end was told. */
  let left: number[];
  /** What was to be done a little later. */
  let waiting: (() => void)[];
  const rest: (() => void)[] = [];

  beforeEach(async () => {
    [told, left, waiting] = [[], [], []];
    upstream = await startRawUpstream(() => undefined);
    const connections = new UpstreamConnections({ url: new URL(upstream.url) });
    const options = { connections, log: silentLog, upstreamHost: 'x', upstreamPrefix: '' };
    let way: Socket | undefined;
    const lease = connections.lease.bind(connections);
    connections.lease = async (fresh) => {
      const made = await lease(fresh);
      way = made.socket;
      return made;
    };
    const observer: RelayObserver = {
      requestEnd() {
        told.push('request');
        left.push(way?.writableLength ?? -1);
      },
      head: (status) => {
        told.push(`head ${status}`);
        return [];
      },
      later: (work) => {
        waiting.push(work);
      },
      end: () => told.push('end'),
      failed: () => told.push('failed'),
      over: (whole) => told.push(whole ? 'over, whole' : 'over'),
    };
    const server = createServer((socket) => {
      new ClientConnection(socket, {
        onExchange: (exchange) => relay(options, exchange, { headers: ['Content-Length', '200000'] }, observer),
        takeOver: () => false,
        headMs: 5_000,
        idleMs: 5_000,
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
    rest.push(
      () => connections.close(),
      () => server.close(),
      () => client.destroy(),
    );
    await once(client, 'connect');
  });
  afterEach(async () => {
    for (const end of rest.splice(0).reverse()) end();
    await upstream.close();
  });

  const goOn = (): void => {
    for (const work of waiting.splice(0)) work();
  };

  it("is told of a request's end when its bytes have left", async () => {
    const coming = upstream.next();
    client.write(HEAD);
    client.write(BODY);
    const request = await coming;
    expect((await request.whole()).bytes).to.have.length(BODY.length);
    await until(() => told.length > 0);
    expect([told, left]).to.deep.equal([['request'], [0]]);
    request.send(OK);
    await once(client, 'data');
    goOn();
    expect(told).to.deep.equal(['request', 'head 200', 'end', 'over, whole']);
  });

  it("is told of it before the answer's head, however soon that comes", async () => {
    const coming = upstream.next();
    client.write(HEAD);
    client.write(BODY);
    const request = await coming;
    await request.whole();
    request.send(OK);
    await once(client, 'data');
    goOn();
    expect(told).to.deep.equal(['request', 'head 200', 'end', 'over, whole']);
  });

  it('is told of no end where the request had none: an answer before it', async () => {
    const coming = upstream.next();
    client.write(HEAD);
    (await coming).send(OK);
    await once(client, 'data');
    goOn();
    expect(told).to.deep.equal(['head 200', 'end', 'over, whole']);
  });

  for (const who of ['client', 'API'] as const) {
    it(`is told of it before the ${who} has gone`, async () => {
      const coming = upstream.next();
      client.write(HEAD);
      client.write(BODY);
      const request = await coming;
      await request.whole();
      if (who === 'client') client.destroy();
      else request.socket.destroy();
      await until(() => told.includes('over'));
      goOn();
      const failure = who === 'client' ? [] : ['failed', 'head 502'];
      expect(told).to.deep.equal(['request', 'over', ...failure]);
    });
  }
});
