/** An upstream that keeps every byte it gets and answers with whatever bytes a test gives it. */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { ByteReader, framingOf, valuesOf, type Body, type Pairs } from './http-bytes.ts';
import { portOf, until } from '../redirector/sockets.ts';

export interface Received {
  readonly line: string;
  readonly method: string;
  /** As it stands in the request line. */
  readonly path: string;
  readonly headers: Pairs;
  readonly header: (name: string) => string | undefined;
  /** Reads the body (once); it may have been cut off. */
  whole(): Promise<Body>;
  readonly socket: Socket;
  /** Writes latin1 bytes. */
  send(bytes: string | Uint8Array): void;
}

export type Serve = (request: Received) => void | Promise<void>;

/** An ordinary answer. */
export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** Reads the request whole, then answers with `bytes`. */
export const answering =
  (bytes: string | Uint8Array): Serve =>
  async (request) => {
    await request.whole();
    request.send(bytes);
  };

export interface RawUpstream {
  readonly url: string;
  readonly port: number;
  /** What came in, in order, known from the head on. */
  readonly requests: readonly Received[];
  /** Open connections. */
  readonly connections: number;
  /** What is done with each request from now on. */
  serve: Serve;
  /** The next request that comes in. */
  next(): Promise<Received>;
  close(): Promise<void>;
}

export async function startRawUpstream(serve: Serve = answering(OK)): Promise<RawUpstream> {
  const sockets = new Set<Socket>();
  const requests: Received[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    void follow(socket);
  });
  const upstream: RawUpstream = {
    get url() {
      return `http://127.0.0.1:${portOf(server)}`;
    },
    get port() {
      return portOf(server);
    },
    requests,
    get connections() {
      return sockets.size;
    },
    serve,
    async next() {
      const seen = requests.length;
      await until(() => requests.length > seen);
      const request = requests[seen];
      if (request === undefined) throw new Error('no request');
      return request;
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };

  async function follow(socket: Socket): Promise<void> {
    const reader = new ByteReader(socket);
    for (;;) {
      const head = await reader.head();
      if (head === null) return;
      const [method = '', path = ''] = head.line.split(' ');
      let body: Promise<Body> | undefined;
      const received: Received = {
        ...head,
        method,
        path,
        header: (name) => valuesOf(head.headers, name)[0],
        whole: () => (body ??= reader.body(framingOf(head.headers, 'none'))),
        socket,
        send: (bytes) => void socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes),
      };
      requests.push(received);
      await upstream.serve(received);
      await received.whole();
    }
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return upstream;
}
