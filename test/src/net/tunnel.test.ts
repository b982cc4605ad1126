import { lookup } from 'node:dns/promises';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type Server, type Socket } from 'node:net';
import { expect } from 'chai';
import { allowedLookup, connectDirectly, connected, FORBIDDEN, join } from '../../../src/net/tunnel.ts';
import { dial, drain, startTcp, until } from '../redirector/sockets.ts';

describe('tunnel', () => {
  let servers: Server[];
  let sockets: Socket[];
  /** The four ends of one tunnel, in the order in which a byte from the client meets them. */
  let client: Socket;
  let near: Socket;
  let far: Socket;
  let destination: Socket;

  beforeEach(async () => {
    const accepted: Socket[] = [];
    const front = await startTcp((socket) => accepted.push(socket));
    const back = await startTcp((socket) => accepted.push(socket));
    servers = [front.server, back.server];
    client = await dial(front.port);
    await until(() => accepted.length === 1);
    far = connectDirectly('127.0.0.1', back.port);
    await connected(far, 1000);
    await until(() => accepted.length === 2);
    [near, destination] = accepted as [Socket, Socket];
    sockets = [client, near, far, destination];
  });

  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await Promise.all(
      servers.map(async (server) => {
        server.close();
        await once(server, 'close');
      }),
    );
  });

  it('carries 10 MB each way at once, intact', async () => {
    join(near, far, Buffer.alloc(0));
    const up = randomBytes(10_000_000);
    const down = randomBytes(10_000_000);
    client.end(up);
    destination.end(down);
    const [arrivedDown, arrivedUp] = await Promise.all([drain(client), drain(destination)]);
    expect(digest(arrivedUp)).to.equal(digest(up));
    expect(digest(arrivedDown)).to.equal(digest(down));
    await until(() => sockets.every((socket) => socket.destroyed));
  });

  it('carries what came with the CONNECT first', async () => {
    join(near, far, Buffer.from('first '));
    client.end('second');
    expect((await drain(destination)).toString()).to.equal('first second');
  });

  for (const direction of ['up', 'down'] as const) {
    it(`holds a sender back while the reader is slow (${direction})`, async () => {
      join(near, far, Buffer.alloc(0));
      const [sender, reader, ends] = direction === 'up' ? [client, destination, far] : [destination, client, near];
      reader.pause();
      const data = randomBytes(20_000_000);
      sender.end(data);
      await until(() => ends.writableNeedDrain);
      const buffered = near.readableLength + near.writableLength + far.readableLength + far.writableLength;
      expect(buffered).to.be.below(1_000_000);
      expect(sender.writableLength).to.be.above(1_000_000);
      expect(digest(await drain(reader))).to.equal(digest(data));
    });
  }

  it('passes a FIN on and lets the other direction go on', async () => {
    join(near, far, Buffer.alloc(0));
    client.end('request');
    expect((await drain(destination)).toString()).to.equal('request');
    expect(client.destroyed).to.be.false;
    destination.write('answer, ');
    await once(client, 'readable');
    destination.end('later');
    expect((await drain(client)).toString()).to.equal('answer, later');
    await until(() => sockets.every((socket) => socket.destroyed));
  });

  it('delivers all of an answer whose sender has gone', async () => {
    join(near, far, Buffer.alloc(0));
    client.pause();
    const data = randomBytes(3_000_000);
    destination.end(data);
    destination.resume();
    client.end();
    await until(() => destination.destroyed);
    expect(digest(await drain(client))).to.equal(digest(data));
  });

  for (const [what, breaking, other] of [
    ['client', () => client, () => destination],
    ['destination', () => destination, () => client],
  ] as const) {
    it(`passes a reset by the ${what} on as a reset`, async () => {
      join(near, far, Buffer.alloc(0));
      const gone = once(other(), 'error');
      other().resume();
      breaking().resetAndDestroy();
      const [error] = (await gone) as [unknown];
      expect(error).to.include({ code: 'ECONNRESET' });
      await until(() => sockets.every((socket) => socket.destroyed));
    });
  }

  for (const [what, closed, other] of [
    ['client', () => near, () => far],
    ['destination', () => far, () => near],
  ] as const) {
    it(`closes at once when the ${what} was gone before they were joined`, async () => {
      closed().destroy();
      await once(closed(), 'close');
      join(near, far, Buffer.alloc(0));
      await until(() => other().destroyed);
    });
  }

  it('takes away a timeout that a socket brought along', () => {
    near.setTimeout(20);
    join(near, far, Buffer.alloc(0));
    expect([near.timeout, far.timeout]).to.deep.equal([0, 0]);
  });
});

describe('connected', () => {
  it('rejects with what the socket says', async () => {
    const { server, port } = await startTcp(() => undefined);
    server.close();
    await once(server, 'close');
    const error: unknown = await connected(connectDirectly('127.0.0.1', port), 1000).catch((error: unknown) => error);
    expect(error).to.include({ code: 'ECONNREFUSED' });
  });

  it('rejects when the socket is destroyed meanwhile', async () => {
    const socket = connectDirectly('192.0.2.1', 443);
    setImmediate(() => socket.destroy());
    const error: unknown = await connected(socket, 1000).catch((error: unknown) => error);
    expect(error).to.be.instanceOf(Error);
  });

  it('leaves neither timer nor listener behind', async () => {
    const { server, port } = await startTcp((socket) => socket.end());
    const socket = connectDirectly('127.0.0.1', port);
    await connected(socket, 1_000_000);
    expect(socket.listenerCount('connect') + socket.listenerCount('close')).to.equal(0);
    socket.destroy();
    server.close();
    await once(server, 'close');
  });
});

function digest(bytes: Buffer): string {
  return createHash('sha1').update(bytes).digest('hex');
}

describe('a look-up that leaves addresses out', () => {
  const look = (name: string, allows: (address: string) => boolean): Promise<{ code?: string; found: unknown }> =>
    new Promise((resolve) => {
      allowedLookup(allows)(name, { all: true }, (error, found) => {
        resolve(error === null ? { found } : { code: String(error.code), found });
      });
    });

  it('passes on what may be connected to, and nothing else', async () => {
    expect(await look('localhost', () => true)).to.deep.include({ found: await lookup('localhost', { all: true }) });
    const asked: string[] = [];
    const { code } = await look('localhost', (address) => asked.push(address) < 0);
    expect(code).to.equal(FORBIDDEN);
    expect(asked).to.include('127.0.0.1');
  });

  it('tells of a name that is none as usual', async () => {
    expect((await look('nobody.invalid', () => true)).code).to.match(/^(ENOTFOUND|EAI_AGAIN)$/);
  });
});
