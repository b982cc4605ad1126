import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect } from 'chai';
import { ClientConnection } from '../../../src/forwarder/client-connection.ts';
import type { Exchange } from '../../../src/forwarder/exchange.ts';
import { relay } from '../../../src/forwarder/relay.ts';
import { silentLog } from '../../../src/log.ts';
import { UpstreamConnections } from '../../../src/upstream/connections.ts';
import { until } from '../redirector/sockets.ts';

const IDLE_MS = 400;
const REQUEST = 'GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n';

describe('a connection of a client', () => {
  let client: Socket;
  let exchanges: Exchange[];
  let answerAtOnce: boolean;
  let connection: ClientConnection;
  const rest: (() => void)[] = [];

  beforeEach(async () => {
    exchanges = [];
    answerAtOnce = false;
    const server = createServer((socket) => {
      connection = new ClientConnection(socket, {
        onExchange(exchange) {
          exchanges.push(exchange);
          exchange.readBody({ write: () => true, end: () => undefined });
          if (answerAtOnce) exchange.respond(200, 'OK', [], Buffer.from('ok'));
        },
        handOff: () => false,
        headMs: 5_000,
        idleMs: IDLE_MS,
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
    rest.push(
      () => server.close(),
      () => client.destroy(),
    );
    await once(client, 'connect');
  });
  afterEach(() => {
    for (const end of rest.splice(0).reverse()) end();
  });

  const begun = async (): Promise<Exchange> => {
    await until(() => exchanges.length > 0);
    const [exchange] = exchanges;
    if (exchange === undefined) throw new Error('no request');
    return exchange;
  };

  it('answers thousands of requests that are here already, in their order', async () => {
    const answers: Buffer[] = [];
    client.on('data', (chunk) => answers.push(chunk));
    client.write(REQUEST.repeat(1_500));
    const first = await begun();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(exchanges).to.have.length(1);
    answerAtOnce = true;
    first.respond(200, 'OK', [], Buffer.from('first'));
    await until(() => exchanges.length === 1_500);
    const expected = ['first', ...Array.from({ length: 1_499 }, () => 'ok')];
    const bodies = (): string[] => Buffer.concat(answers).toString().split('\r\n\r\n').slice(1);
    await until(() => bodies().length === 1_500);
    expect(bodies().map((text) => text.replace(/HTTP.*/s, ''))).to.deep.equal(expected);
  });

  it('reads nothing behind a request that was its last', async () => {
    answerAtOnce = true;
    const last = REQUEST.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n');
    client.write(REQUEST + last + REQUEST);
    client.resume();
    await once(client, 'close');
    expect(exchanges).to.have.length(2);
  });

  for (const [why, end, after] of [
    ['it is told to end', () => connection.endWhenIdle(), 3 * IDLE_MS],
    ['nobody has asked for long', () => undefined, 4 * IDLE_MS],
  ] as const) {
    it(`reads nothing more once ${why}, and still sends what it has to send`, async () => {
      client.pause();
      let sent = 0;
      const body = Buffer.alloc(64 * 1024, 'x');
      // Until some of it waits here, and not in the system.
      for (let pending = 0; pending === 0;) {
        client.write(REQUEST);
        await until(() => exchanges.length === sent + 1);
        exchanges.at(-1)?.respond(200, 'OK', [], body);
        sent += 1;
        pending = connection.socket.writableLength;
      }
      end();
      await new Promise((resolve) => setTimeout(resolve, after));
      client.write(REQUEST);
      let got = 0;
      client.on('data', (chunk: Buffer) => (got += chunk.length)).resume();
      await once(client, 'close');
      expect(exchanges).to.have.length(sent);
      expect(got).to.be.above(sent * body.length);
    });
  }

  it('waits with the next request until the answer before has been read, also one that was given at once', async () => {
    const body = Buffer.alloc(8 * 1024 * 1024, 'x');
    const sink = { write: () => true, end: () => exchanges.at(-1)?.respond(200, 'OK', [], body) };
    client.pause();
    client.write(REQUEST);
    const first = await begun();
    first.readBody(sink);
    client.write(REQUEST);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(exchanges).to.have.length(1);
    client.resume();
    await until(() => exchanges.length === 2);
  });

  it('is not kept open by empty lines', async () => {
    answerAtOnce = true;
    client.write(REQUEST);
    client.resume();
    const lines = setInterval(() => client.write('\r\n'), IDLE_MS / 8);
    rest.push(() => clearInterval(lines));
    const began = performance.now();
    await once(client, 'close');
    expect(performance.now() - began).to.be.below(3 * IDLE_MS);
  });

  it('tells of its end whoever asks only then', async () => {
    client.write(REQUEST);
    const exchange = await begun();
    client.destroy();
    await until(() => exchange.socket.closed);
    let told = 0;
    exchange.setListener({ onClientGone: () => (told += 1) });
    expect(told).to.equal(1);
    exchange.onSettled(() => (told += 1));
    expect(told).to.equal(2);
  });

  it('that is closed has nothing sent on for it', async () => {
    client.write(REQUEST);
    const exchange = await begun();
    client.destroy();
    await until(() => exchange.socket.closed);
    const connections = new UpstreamConnections({ url: new URL('http://127.0.0.1:9') });
    let leased = 0;
    connections.lease = () => {
      leased += 1;
      throw new Error('nobody asks');
    };
    const outcomes: string[] = [];
    const options = { connections, log: silentLog, upstreamHost: 'x', upstreamPrefix: '' };
    relay(options, exchange, { headers: [] }, { onSettled: (outcome) => outcomes.push(outcome) });
    expect([leased, outcomes]).to.deep.equal([0, ['aborted']]);
  });
});
