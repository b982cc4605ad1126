import { expect } from 'chai';
import { UpstreamConnections, type Lease } from '../../../src/upstream/connections.ts';
import { rawRig, type RawRig } from '../forwarder/quick-rig.ts';
import { ask, RawClient, requestBytes } from '../forwarder/raw-client.ts';
import { answering, OK, startRawUpstream, type RawUpstream } from '../forwarder/raw-upstream.ts';
import { until } from '../redirector/sockets.ts';

const REQUEST = 'GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n';

describe('connections to the upstream', () => {
  let upstream: RawUpstream;
  let connections: UpstreamConnections;
  beforeEach(async () => {
    upstream = await startRawUpstream();
    connections = new UpstreamConnections({ url: new URL(upstream.url) });
  });
  afterEach(async () => {
    connections.close();
    await upstream.close();
  });

  /** One request and its answer; the connection is given back. */
  async function exchange(lease: Lease): Promise<void> {
    lease.socket.write(REQUEST);
    await new Promise<void>((resolve) => {
      lease.setListener({ onData: () => resolve(), onDrain: () => undefined, onClose: () => undefined });
    });
    lease.release();
  }

  it('are used again, the last one first', async () => {
    const [first, second] = await Promise.all([connections.lease(), connections.lease()]);
    expect([first.reused, second.reused]).to.deep.equal([false, false]);
    await exchange(first);
    await exchange(second);
    const again = await connections.lease();
    expect([again.reused, again.socket === second.socket]).to.deep.equal([true, true]);
    expect(connections.size).to.equal(2);
  });

  it('are new where that is asked for', async () => {
    await exchange(await connections.lease());
    expect((await connections.lease(true)).reused).to.equal(false);
  });

  for (const [how, close] of [
    ['ended', (socket: NodeJS.Socket) => void socket.end()],
    ['reset', (socket: { resetAndDestroy(): void }) => socket.resetAndDestroy()],
    ['spoken on', (socket: NodeJS.Socket) => void socket.write('HTTP/1.1 408 Request Timeout\r\n\r\n')],
  ] as const) {
    it(`are not used again when the server has ${how} them in the meantime`, async () => {
      const lease = await connections.lease();
      await exchange(lease);
      const socket = upstream.requests[0]?.socket;
      if (socket === undefined) throw new Error('no request');
      close(socket);
      await until(() => connections.size === 0);
      expect((await connections.lease()).reused).to.equal(false);
    });
  }

  it('leave no listener behind, however often they are used', async () => {
    let lease = await connections.lease();
    const count = (): number =>
      lease.socket.eventNames().reduce((sum, name) => sum + lease.socket.listenerCount(name), 0);
    await exchange(lease);
    lease = await connections.lease();
    const before = count();
    for (let round = 0; round < 20; round += 1) {
      await exchange(lease);
      lease = await connections.lease();
      expect(lease.reused).to.equal(true);
    }
    expect(count()).to.equal(before);
  });

  it('are closed all at once', async () => {
    await exchange(await connections.lease());
    await connections.lease();
    connections.close();
    await until(() => connections.size === 0 && upstream.connections === 0);
  });
});

describe('a request on a connection that was used before', () => {
  let rig: RawRig;
  before(async () => {
    rig = await rawRig();
  });
  beforeEach(() => {
    rig.upstream.serve = answering(OK);
  });
  after(() => rig.close());

  const GET = { path: '/v1/models' };

  it('which the server has closed goes out on a new one', async () => {
    expect((await ask(rig, GET)).status).to.equal(200);
    rig.upstream.requests.at(-1)?.socket.end();
    await until(() => rig.upstream.connections === 0);
    const before = rig.upstream.requests.length;
    expect((await ask(rig, GET)).status).to.equal(200);
    expect(rig.upstream.requests.length).to.equal(before + 1);
  });

  it('which broke before anything was sent goes out on a new one, once', async () => {
    const lease = Object.getOwnPropertyDescriptor(UpstreamConnections.prototype, 'lease');
    if (lease === undefined) throw new Error('there is no lease');
    const original = lease.value as (this: UpstreamConnections, fresh?: boolean) => Promise<Lease>;
    const asked: boolean[] = [];
    expect((await ask(rig, GET)).status).to.equal(200);
    // Between the decision for a connection and the first byte: no network can be timed that well.
    UpstreamConnections.prototype.lease = async function (fresh?: boolean) {
      asked.push(fresh === true);
      const given = await original.call(this, fresh);
      if (given.reused) given.socket.destroy();
      return given;
    };
    try {
      const before = rig.upstream.requests.length;
      expect((await ask(rig, GET)).status).to.equal(200);
      expect(asked).to.deep.equal([false, true]);
      expect(rig.upstream.requests.length).to.equal(before + 1);
    } finally {
      UpstreamConnections.prototype.lease = original;
    }
  });

  for (const method of ['GET', 'POST']) {
    it(`of which bytes were sent is not repeated (${method})`, async () => {
      const client = await RawClient.open(rig);
      client.write(requestBytes(GET));
      expect((await client.answer()).status).to.equal(200);
      const before = rig.upstream.requests.length;
      rig.upstream.serve = (request) => void request.socket.destroy();
      client.write(requestBytes({ ...GET, method, ...(method === 'POST' ? { body: '{}' } : {}) }));
      const answer = await client.answer();
      expect(answer.status).to.equal(502);
      expect(answer.text).to.include('claude-db-proxy: ');
      expect(rig.upstream.requests.length).to.equal(before + 1);
      await client.close();
    });
  }
});
