import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { expect } from 'chai';
import { ListenError } from '../../../src/errors.ts';
import { createListener, type Listener } from '../../../src/net/listener.ts';
import { dial, portOf, until } from '../redirector/sockets.ts';

describe('listening', () => {
  let server: Server;
  let listener: Listener;
  let failures: string[];
  const sockets = new Set<Socket>();

  beforeEach(() => {
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
    });
    listener = createListener(server, 'DBPROXY_PROXY_PORT');
    failures = [];
    listener.onFailure(({ message }) => failures.push(message));
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    if (!server.listening) return;
    const closed = once(server, 'close');
    listener.stop();
    await closed;
  });

  it('is up from the bind to the stop, which is no failure', async () => {
    expect(listener.up).to.equal(false);
    const { port } = await listener.listen('127.0.0.1', 0);
    expect([listener.up, port]).to.deep.equal([true, portOf(server)]);
    const closed = once(server, 'close');
    listener.stop();
    expect(listener.up).to.equal(false);
    await closed;
    expect(failures).to.deep.equal([]);
  });

  it('names variable, value, and what is wrong with the port', async () => {
    const { port } = await listener.listen('127.0.0.1', 0);
    const other = createListener(createServer(), 'DBPROXY_DASHBOARD_PORT');
    const error = await other.listen('127.0.0.1', port).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(ListenError);
    expect(error).to.include({ variable: 'DBPROXY_DASHBOARD_PORT', reason: 'EADDRINUSE', code: 'DBPROXY_ERR_LISTEN' });
    expect((error as Error).message).to.match(
      new RegExp(`^DBPROXY_DASHBOARD_PORT=${port} cannot be used: [^\\n]*in use[^\\n]*$`),
    );
    expect(other.up).to.equal(false);
  });

  it('says so where the address is none of this machine', async () => {
    const error = await listener.listen('203.0.113.7', 0).catch((thrown: unknown) => thrown);
    expect(error).to.include({ reason: 'EADDRNOTAVAIL' });
    expect(failures).to.deep.equal([]);
  });

  it('can be tried again after it was refused', async () => {
    const { port } = await listener.listen('127.0.0.1', 0);
    const second = createServer();
    const other = createListener(second, 'DBPROXY_DASHBOARD_PORT');
    expect(await other.listen('127.0.0.1', port).catch(() => 'refused')).to.equal('refused');
    expect((await other.listen('127.0.0.1', 0)).port).not.to.equal(port);
    expect(second.listenerCount('error')).to.equal(1);
    expect(second.listenerCount('listening')).to.be.at.most(1);
    other.stop();
    await once(second, 'close');
  });

  it('tells of a failure once, until asked to stop', async () => {
    await listener.listen('127.0.0.1', 0);
    const told: string[] = [];
    const forget = listener.onFailure(({ message }) => told.push(message));
    server.emit('error', new Error('too many open files'));
    server.emit('error', new Error('again'));
    expect([told, failures]).to.deep.equal([['too many open files'], ['too many open files']]);
    expect(listener.up).to.equal(false);
    forget();
    await listener.listen('127.0.0.1', 0);
    server.emit('error', new Error('third'));
    expect([told.length, failures.length]).to.deep.equal([1, 2]);
  });

  it('notices a socket that somebody closed, and listens again on the same port', async () => {
    const { port } = await listener.listen('127.0.0.1', 0);
    server.close();
    await until(() => failures.length === 1);
    expect(listener.up).to.equal(false);
    expect((await listener.listen('127.0.0.1', port)).port).to.equal(port);
    (await dial(port)).destroy();
  });

  it('listens again at once, though a connection from before is still open, and lets that live', async () => {
    const { port } = await listener.listen('127.0.0.1', 0);
    const client = connect(port, '127.0.0.1');
    await once(client, 'connect');
    await until(() => sockets.size > 0);
    server.emit('error', new Error('accept failed'));
    expect((await listener.listen('127.0.0.1', port)).port).to.equal(port);
    expect(client.destroyed).to.equal(false);
    (await dial(port)).destroy();
    client.destroy();
  });
});
