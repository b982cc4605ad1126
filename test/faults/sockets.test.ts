/** Clients that trickle, fall silent or close one half: they hold up nobody else, and in the end they are gone. */
import { expect } from 'chai';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { messageRequest, requestBytes } from '../src/forwarder/raw-client.ts';
import { dial, openTunnel, startTcp } from '../src/redirector/sockets.ts';
import { figures, note } from './figures.ts';
import { eventually } from './handles.ts';
import { scenario } from './scenario.ts';
import { onServeStage, type ServeStage } from './serve-stage.ts';

const LORISES = 400;
const HALF_OPEN = 300;
/** The longest of our limits for a head, and some time to notice. */
const LORIS_LIMIT_MS = 75_000;

/** A TLS connection to the forwarder. */
async function secure(stage: ServeStage): Promise<Socket> {
  const { dashboard } = stage.child.ports;
  const socket = connectTls({
    port: dashboard,
    host: '127.0.0.1',
    ca: stage.child.ca,
    servername: 'api.anthropic.com',
  });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  return socket;
}

/** Ways to say very little for a very long time; each returns what is trickled, byte by byte. */
const LORIS: Readonly<Record<string, (stage: ServeStage) => Promise<readonly [Socket, string]>>> = {
  'in the CONNECT': async (stage) => [
    await dial(stage.child.ports.proxy),
    `CONNECT api.anthropic.com:443 HTTP/1.1\r\nx: ${'y'.repeat(4_000)}`,
  ],
  'before TLS': async (stage) => [await dial(stage.child.ports.dashboard), '\u0016\u0003\u0001\u0002'],
  'before TLS in a tunnel': async (stage) => [
    (await openTunnel(stage.child.ports.proxy, 'api.anthropic.com:443')).socket,
    '\u0016\u0003\u0001\u0002',
  ],
  'in the head': async (stage) => [
    await secure(stage),
    `POST /v1/messages HTTP/1.1\r\nHost: api.anthropic.com\r\nx: ${'y'.repeat(4_000)}`,
  ],
};

describe('slow and half-open connections', () => {
  scenario(
    `${LORISES} clients that trickle their bytes, on both ports: they hold up nobody, and their time ends`,
    (chance) =>
      onServeStage(chance, { probe: true }, async (stage) => {
        const worker = stage.worker('worker');
        await worker.talk();
        await stage.warmUp();
        const rest = await stage.rest();
        const ways = Object.values(LORIS);
        const open: (readonly [Socket, string])[] = [];
        for (let at = 0; at < LORISES; at += 1) {
          const loris = await ways[at % ways.length]?.(stage);
          if (loris === undefined) continue;
          loris[0].on('error', () => undefined).resume();
          open.push(loris);
        }
        figures.faults += open.length;
        let at = 0;
        const trickle = setInterval(() => {
          for (const [socket, text] of open) if (socket.writable) socket.write(text.charAt(at) || 'z', 'latin1');
          at += 1;
        }, 500);
        try {
          const began = performance.now();
          const work = async (): Promise<void> => {
            await worker.checkpoint();
            await worker.fill();
            await worker.compact();
          };
          await work();
          const ms = Math.round(performance.now() - began);
          expect((await stage.child.health())['status']).to.equal('ok');
          await eventually(
            () => open.every(([socket]) => socket.destroyed || socket.readableEnded),
            () => `${open.filter(([socket]) => !socket.destroyed && !socket.readableEnded).length} are still there`,
            LORIS_LIMIT_MS,
          );
          const last = Math.round((performance.now() - began) / 1_000);
          note(`${open.length} slow clients: work among them took ${ms} ms, the last was gone after ${last} s`);
          await work();
        } finally {
          clearInterval(trickle);
          for (const [socket] of open) socket.destroy();
        }
        await stage.expectBack(rest, 0);
      }),
    150_000,
  );

  scenario(
    `${HALF_OPEN} connections of which one half is closed, or whose client is gone without a word`,
    (chance) =>
      onServeStage(chance, { probe: true }, async (stage) => {
        const worker = stage.worker('worker');
        await worker.talk();
        await stage.warmUp();
        const rest = await stage.rest();
        const request = requestBytes(messageRequest('half-open'));
        const sink = await startTcp((socket) => void socket.on('end', () => socket.end('the rest')).resume());
        const ways: readonly (() => Promise<Socket>)[] = [
          // The client has closed its half behind half of a request, a whole one, a CONNECT, nothing.
          async () => {
            const socket = await secure(stage);
            socket.end(request.subarray(0, request.length / 2));
            return socket;
          },
          async () => {
            const socket = await secure(stage);
            socket.end(request);
            return socket;
          },
          async () => {
            const socket = await dial(stage.child.ports.proxy);
            socket.end(`CONNECT 127.0.0.1:${sink.port} HTTP/1.1\r\n\r\n`);
            return socket;
          },
          async () => {
            const socket = await dial(stage.child.ports.dashboard);
            socket.end();
            return socket;
          },
          // A tunnel of which one half is closed brings what the other still sends.
          async () => {
            const { socket } = await openTunnel(stage.child.ports.proxy, `127.0.0.1:${sink.port}`);
            let text = '';
            socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1'))).end('all of it');
            await once(socket, 'end');
            expect(text).to.equal('the rest');
            return socket;
          },
          // Reset in the middle.
          async () => {
            const socket = connect(stage.child.ports.proxy, '127.0.0.1');
            await once(socket, 'connect');
            socket.on('error', () => undefined).write('CONN');
            socket.resetAndDestroy();
            return socket;
          },
        ];
        const open: Socket[] = [];
        for (let at = 0; at < HALF_OPEN; at += 1) {
          const socket = await ways[at % ways.length]?.();
          if (socket !== undefined) open.push(socket.on('error', () => undefined).resume());
        }
        figures.faults += open.length;
        await worker.checkpoint();
        await worker.fill();
        await worker.compact();
        await eventually(
          () => open.every((socket) => socket.destroyed || socket.readableEnded),
          () => `${open.filter((socket) => !socket.destroyed && !socket.readableEnded).length} are still open`,
          10_000,
        );
        for (const socket of open) socket.destroy();
        sink.server.close();
        await stage.expectBack(rest, 0);
      }),
    60_000,
  );
});
