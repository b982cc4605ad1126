/** A load generator over raw TLS sockets: it costs as little as possible, so that what is measured is the way between. */
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { connect, type TLSSocket } from 'node:tls';
import type { Target } from './processes.ts';

export interface RequestSpec {
  readonly session: string;
  readonly body: Buffer;
  /** Deltas in the simulated API's answer. */
  readonly deltas: number;
}

export interface Timing {
  /** From the request's first byte out … to the answer's first byte in, in milliseconds. */
  readonly firstByte: number;
  /** … to the answer's last byte in. */
  readonly total: number;
}

function head(spec: RequestSpec): string {
  return [
    'POST /v1/messages?beta=true HTTP/1.1',
    'Host: api.anthropic.com',
    'Content-Type: application/json',
    'x-api-key: sk-ant-bench',
    'anthropic-version: 2023-06-01',
    `X-Claude-Code-Session-Id: ${spec.session}`,
    'x-claude-code-request-class: main',
    `x-simulated-deltas: ${spec.deltas}`,
    `Content-Length: ${spec.body.length}`,
    '\r\n',
  ].join('\r\n');
}

/** One keep-alive connection. */
export class Connection {
  readonly #socket: TLSSocket;

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
  }

  static async open(target: Target): Promise<Connection> {
    const { ca, port, servername } = target;
    const socket = connect({ host: '127.0.0.1', port, servername, ca });
    socket.setNoDelay(true);
    await once(socket, 'secureConnect');
    return new Connection(socket);
  }

  /** Sends a request and reads its (chunked) answer. Rejects for anything but 200. */
  exchange(spec: RequestSpec): Promise<Timing> {
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      const began = performance.now();
      let firstByte = 0;
      let tail = '';
      const done = (error?: Error): void => {
        socket.off('data', onData).off('error', done).off('close', onClose);
        if (error) reject(error);
        else resolve({ firstByte, total: performance.now() - began });
      };
      const onClose = (): void => done(new Error('the connection was closed'));
      const onData = (chunk: Buffer): void => {
        if (firstByte === 0) {
          firstByte = performance.now() - began;
          if (!chunk.toString('latin1', 0, 15).startsWith('HTTP/1.1 200'))
            done(new Error(chunk.toString('latin1', 0, 300)));
        }
        tail = (tail + chunk.toString('latin1', Math.max(0, chunk.length - 7))).slice(-7);
        if (tail === '\r\n0\r\n\r\n') done();
      };
      socket.on('data', onData).on('error', done).on('close', onClose);
      socket.write(head(spec));
      socket.write(spec.body);
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Runs `connections` connections as fast as they go for `ms`; returns requests per second. */
export async function throughput(target: Target, connections: number, spec: RequestSpec, ms: number): Promise<number> {
  const open = await Promise.all(Array.from({ length: connections }, () => Connection.open(target)));
  const until = performance.now() + ms;
  let requests = 0;
  const began = performance.now();
  await Promise.all(
    open.map(async (connection, index) => {
      while (performance.now() < until) {
        await connection.exchange({ ...spec, session: `${spec.session}-${index}` });
        requests += 1;
      }
    }),
  );
  const seconds = (performance.now() - began) / 1_000;
  for (const connection of open) connection.close();
  return requests / seconds;
}
