/** 10,000 requests on kept connections and 1,000 aborted ones: what is counted per socket and per process stays as it was. */
import { once } from 'node:events';
import { Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { expect } from 'chai';
import { messageRequest, requestBytes } from './raw-client.ts';
import { rawRig, type RawRig } from './quick-rig.ts';
import { OK } from './raw-upstream.ts';
import { until } from '../redirector/sockets.ts';

const KEPT_ALIVE = 10_000;
const ABORTED = 1_000;
const ABREAST = 10;

/** Node's list of what keeps the process alive; there is no typed name for it. */
const activeHandles = (): unknown[] => (process as unknown as { _getActiveHandles(): unknown[] })._getActiveHandles();

const openSockets = (): Socket[] => activeHandles().filter((handle) => handle instanceof Socket);

/** The most listeners that any socket of this process has for one event, by event. */
function listeners(): Record<string, number> {
  const most: Record<string, number> = {};
  for (const socket of openSockets()) {
    for (const event of socket.eventNames()) {
      const name = String(event);
      most[name] = Math.max(most[name] ?? 0, socket.listenerCount(event));
    }
  }
  return most;
}

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

describe('after 10,000 requests and 1,000 aborted ones', () => {
  let rig: RawRig;
  let session: Buffer | undefined;
  const warnings: string[] = [];
  const warned = ({ message, name }: Error): void => void warnings.push(`${name}: ${message}`);
  before(async () => {
    process.on('warning', warned);
    rig = await rawRig();
  });
  after(async () => {
    await rig.close();
    process.off('warning', warned);
  });

  async function open(): Promise<TLSSocket> {
    const socket = connect({
      host: '127.0.0.1',
      port: rig.proxy.ports.dashboard,
      ca: rig.ca,
      servername: 'api.anthropic.com',
      ...(session === undefined ? {} : { session }),
    });
    socket.on('session', (fresh: Buffer) => (session = fresh)).on('error', () => undefined);
    await once(socket, 'secureConnect');
    return socket;
  }

  async function close(socket: Socket): Promise<void> {
    if (socket.closed) return;
    socket.destroy();
    await once(socket, 'close');
  }

  const requests = [
    ...(['main', 'auxiliary', 'compaction', null] as const).map((requestClass) =>
      requestBytes(messageRequest('leaks', undefined, { requestClass })),
    ),
    requestBytes({ path: '/api/x' }),
  ];
  const requestNumber = (at: number): Buffer => requests[at % requests.length] ?? Buffer.alloc(0);

  /** Sends requests one after the other; each is answered before the next. */
  async function keepAlive(socket: TLSSocket, count: number): Promise<void> {
    for (let turn = 0; turn < count; turn += 1) {
      socket.write(requestNumber(turn));
      let text = '';
      while (!text.endsWith('\r\n\r\nok')) {
        const [chunk] = (await once(socket, 'data')) as [Buffer];
        text += chunk.toString('latin1');
      }
      if (!text.startsWith('HTTP/1.1 200 OK')) throw new Error(text);
    }
  }

  it('no listener, socket, timer or connection to the API is left over, and Node has nothing to warn of', async () => {
    const clients = await Promise.all(Array.from({ length: ABREAST }, open));
    await Promise.all(clients.map((client) => keepAlive(client, 10)));
    const before = { listeners: listeners(), sockets: openSockets().length, timers: timers() };
    // Each idle connection to the API has one, and how many of them are idle just now differs. A leak would be thousands.
    const mostTimers = before.timers + ABREAST;

    await Promise.all(clients.map((client) => keepAlive(client, KEPT_ALIVE / ABREAST)));
    expect(rig.upstream.connections).to.be.at.most(ABREAST);
    expect({ listeners: listeners(), sockets: openSockets().length }).to.deep.equal({
      listeners: before.listeners,
      sockets: before.sockets,
    });
    expect(timers()).to.be.at.most(mostTimers);

    // Left in turn: in mid-upload, before the head of the answer, in mid-answer.
    rig.upstream.serve = async (request) => {
      if (request.header('x-leave') === 'upload') return;
      await request.whole();
      if (request.header('x-leave') === 'late') request.send('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok');
      else if (request.header('x-leave') === undefined) request.send(OK);
    };
    await Promise.all(
      Array.from({ length: ABREAST }, async () => {
        for (let turn = 0; turn < ABORTED / ABREAST; turn += 1) {
          const how = (['upload', 'early', 'late'] as const)[turn % 3] ?? 'early';
          const requestClass = (['main', 'auxiliary', 'compaction', null] as const)[turn % 4] ?? null;
          const bytes = requestBytes(messageRequest('leaving', undefined, { requestClass, headers: ['x-leave', how] }));
          const socket = await open();
          socket.write(how === 'upload' ? bytes.subarray(0, -3) : bytes);
          if (how === 'late') await once(socket, 'data');
          else if (turn % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
          await close(socket);
        }
      }),
    );
    await until(() => openSockets().length <= before.sockets);
    await Promise.all(clients.map((client) => keepAlive(client, 10)));
    // A socket's listeners may be fewer now: connections to the API that were in use are gone.
    const after = listeners();
    for (const [event, count] of Object.entries(after))
      expect(count, event).to.be.at.most(before.listeners[event] ?? 0);
    expect(rig.upstream.connections).to.be.at.most(ABREAST);
    expect(timers()).to.be.at.most(mostTimers);
    await Promise.all(clients.map(close));
    expect(rig.log.filter(({ level }) => level === 'error')).to.deep.equal([]);
    expect(warnings.filter((warning) => !warning.startsWith('ExperimentalWarning'))).to.deep.equal([]);
  }).timeout(60_000);
});
