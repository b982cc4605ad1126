/**
 * The witness: it sits between the proxy and the simulated API and notes every byte that passes, so that what a client
 * got can be compared with what the API really sent. It passes on how a connection ends as well: FIN as FIN, reset as reset.
 *
 *   proxy ──▶ tap ──▶ simulated API
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { CHECKPOINT_INSTRUCTION } from '../../src/checkpoint/instruction.ts';

/** One request and what the API sent in answer to it. */
export class Passage {
  readonly #request: Buffer[] = [];
  readonly #answer: Buffer[] = [];
  /** Of the request's head, once that is whole: asked for again and again. */
  #head = '';
  readonly #values = new Map<string, string>();
  /** How the API ended the connection under this answer, if it did. */
  ended: 'no' | 'fin' | 'reset' = 'no';

  noteRequest(bytes: Buffer): void {
    this.#request.push(bytes);
  }

  noteAnswer(bytes: Buffer): void {
    this.#answer.push(bytes);
  }

  get request(): Buffer {
    return Buffer.concat(this.#request);
  }

  get answer(): Buffer {
    return Buffer.concat(this.#answer);
  }

  get answered(): boolean {
    return this.#answer.length > 0;
  }

  /** Value of a request header; '' where it has none. */
  header(name: string): string {
    const known = this.#values.get(name);
    if (known !== undefined) return known;
    if (this.#head === '') {
      const text = this.request.toString('latin1');
      this.#head = text.slice(0, Math.max(0, text.indexOf('\r\n\r\n')));
    }
    const value = new RegExp(`^${name}: *(.*?)\\r?$`, 'im').exec(this.#head)?.[1] ?? '';
    if (this.#head !== '') this.#values.set(name, value);
    return value;
  }

  /** True for the proxy's own call, which carries the headers of the client's request that it repeats. */
  get isCheckpoint(): boolean {
    return this.request.includes(INSTRUCTION);
  }
}

const INSTRUCTION = JSON.stringify(CHECKPOINT_INSTRUCTION).slice(1, -1);

/** How a request begins: on a kept connection it is what comes after an answer. */
const REQUEST_LINE = /^[A-Z]+ \/\S* HTTP\/1\.1\r\n/;

export interface Tap {
  readonly url: string;
  /** Requests in the order in which they began, those since the last {@link forget}. */
  readonly passages: readonly Passage[];
  /** Connections that are open now. */
  readonly connections: number;
  /** Changes what the API sent before it goes on, unnoted: a fault of the proxy, for tests of this suite. */
  tamper: ((bytes: Buffer, passage: Passage) => Buffer) | undefined;
  forget(): void;
  /** Lets nobody in and cuts who is: the upstream is gone. */
  down(): Promise<void>;
  up(): Promise<void>;
  close(): Promise<void>;
}

/** Opens a tap in front of the API on `apiPort`. */
export async function openTap(apiPort: number): Promise<Tap> {
  const sockets = new Set<Socket>();
  let passages: Passage[] = [];
  let port = 0;

  const serve = (proxy: Socket): void => {
    const api = connect({ port: apiPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    for (const socket of [proxy, api]) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    }
    proxy.setNoDelay(true);
    let passage: Passage | undefined;
    proxy.on('data', (bytes: Buffer) => {
      if (passage === undefined || (passage.answered && REQUEST_LINE.test(bytes.toString('latin1', 0, 512)))) {
        passage = new Passage();
        passages.push(passage);
      }
      passage.noteRequest(bytes);
      api.write(bytes);
    });
    api.on('data', (bytes: Buffer) => {
      passage?.noteAnswer(bytes);
      proxy.write(passage === undefined || tap.tamper === undefined ? bytes : tap.tamper(bytes, passage));
    });
    proxy.on('end', () => api.end());
    api.on('end', () => {
      if (passage?.ended === 'no') passage.ended = 'fin';
      proxy.end();
    });
    proxy.on('error', () => api.resetAndDestroy());
    api.on('error', () => {
      if (passage !== undefined) passage.ended = 'reset';
      proxy.resetAndDestroy();
    });
    proxy.on('close', () => api.destroy());
    api.on('close', () => proxy.destroySoon());
  };

  let server: Server | undefined;
  const listen = async (): Promise<void> => {
    server = createServer({ allowHalfOpen: true }, serve).listen(port, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address !== null && typeof address !== 'string') ({ port } = address);
  };
  const down = async (): Promise<void> => {
    const closing = server;
    server = undefined;
    if (closing === undefined) return;
    const closed = once(closing, 'close');
    closing.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  await listen();
  const tap: Tap = {
    url: `http://127.0.0.1:${port}`,
    get passages() {
      return passages;
    },
    get connections() {
      return sockets.size / 2;
    },
    tamper: undefined,
    forget: () => {
      passages = [];
    },
    down,
    up: async () => {
      if (server === undefined) await listen();
    },
    close: down,
  };
  return tap;
}
