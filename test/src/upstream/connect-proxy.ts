/** A real CONNECT proxy on loopback, with basic auth. Every name leads to 127.0.0.1. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { Socket } from 'node:net';
import { connectDirectly, join } from '../../../src/net/tunnel.ts';
import { portOf } from '../redirector/sockets.ts';
import type { KeyAndCert } from './self-signed.ts';

export interface ConnectProxyOptions {
  /** `user:password` that it asks for. */
  readonly credentials?: string;
  /** Spoken to over TLS. */
  readonly tls?: KeyAndCert;
}

export interface ConnectProxy {
  readonly port: number;
  /** What was asked for, in order, refused or not. */
  readonly targets: readonly string[];
  /** Open connections of clients. */
  readonly connections: number;
  /** What is done with the next tunnels instead of making them. */
  answer: ((socket: Socket) => void) | undefined;
  close(): Promise<void>;
}

export async function startConnectProxy({ credentials, tls }: ConnectProxyOptions = {}): Promise<ConnectProxy> {
  const targets: string[] = [];
  const sockets = new Set<Socket>();
  const server = tls === undefined ? createServer() : createTlsServer({ ...tls, allowHalfOpen: true });
  const expected =
    credentials === undefined ? undefined : `Basic ${Buffer.from(credentials, 'utf8').toString('base64')}`;
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('connect', (request, client: unknown, head) => {
    if (!(client instanceof Socket)) return;
    client.on('error', () => undefined);
    targets.push(request.url ?? '');
    const refuse = (answer: string): void => void client.resume().end(answer);
    if (proxy.answer !== undefined) {
      client.resume().once('end', () => client.destroy());
      proxy.answer(client);
      return;
    }
    const given = request.headers['proxy-authorization'];
    if (given !== expected) {
      // As a careless proxy would, it says back what it got.
      refuse(`HTTP/1.1 407 Who is ${credentials ?? ''} ${given ?? ''}\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const destination = connectDirectly('127.0.0.1', Number(request.url?.split(':').at(-1)));
    destination.on('error', () => refuse('HTTP/1.1 502 Nobody there\r\n\r\n'));
    destination.once('connect', () => {
      client.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Proxy: yes\r\n\r\n');
      join(client, destination, head);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: ConnectProxy = {
    port: portOf(server),
    targets,
    get connections() {
      return sockets.size;
    },
    answer: undefined,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  return proxy;
}
