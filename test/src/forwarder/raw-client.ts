/** A client that writes raw bytes into TLS and takes the answer apart byte by byte. */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { openTunnel } from '../redirector/sockets.ts';
import { ByteReader, framingOf, valuesOf, type Body, type Head, type Pairs } from './http-bytes.ts';

export interface Target {
  readonly proxy: { readonly ports: { readonly proxy: number; readonly dashboard: number } };
  readonly ca: string;
  /** Where it listens; 127.0.0.1 unless told otherwise. */
  readonly host?: string;
}

export interface Answer extends Head, Body {
  readonly status: number;
  readonly reason: string;
  /** First value of a header (lower-case name). */
  header(name: string): string | undefined;
  readonly text: string;
}

export interface Opening {
  /** Through the redirector's tunnel, or straight to the forwarder. */
  readonly way?: 'tunnel' | 'direct';
  /** SNI. */
  readonly servername?: string;
}

const API = 'api.anthropic.com';

/** Open connections by the proxy they lead to. */
const open = new WeakMap<object, Set<RawClient>>();

/** Ends what a failed test has left open: a proxy that stops would wait for it. */
export async function closeClients(proxy: object): Promise<void> {
  await Promise.all([...(open.get(proxy) ?? [])].map((client) => client.close()));
}

/** One connection. */
export class RawClient {
  readonly socket: TLSSocket;
  readonly reader: ByteReader;

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    this.reader = new ByteReader(socket);
  }

  static async open(target: Target, { way = 'direct', servername = API }: Opening = {}): Promise<RawClient> {
    const { proxy, dashboard } = target.proxy.ports;
    const below = way === 'tunnel' ? { socket: (await openTunnel(proxy, `${API}:443`)).socket } : {};
    const socket = connect({ host: target.host ?? '127.0.0.1', port: dashboard, ca: target.ca, servername, ...below });
    await once(socket, 'secureConnect');
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    const client = new RawClient(socket);
    const others = open.get(target.proxy) ?? new Set();
    open.set(target.proxy, others.add(client));
    socket.once('close', () => others.delete(client));
    return client;
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** The next answer, interim ones left out. Rejects when the connection ends before its head. */
  async answer(method = 'GET'): Promise<Answer> {
    const head = await this.head();
    const body = await this.body(head, method);
    return toAnswer(head, body);
  }

  async head(): Promise<Head> {
    for (;;) {
      const head = await this.reader.head();
      if (head === null) throw new Error(`the connection ended before an answer; it brought: ${this.#rest()}`);
      if (!/^HTTP\/1\.1 1\d\d/.test(head.line)) return head;
    }
  }

  body(head: Head, method = 'GET'): Promise<Body> {
    const empty = method === 'HEAD' || /^HTTP\/1\.1 (204|304)/.test(head.line);
    return this.reader.body(empty ? 'none' : framingOf(head.headers, 'close'));
  }

  /** Leaves without a word. */
  leave(): void {
    this.socket.destroy();
  }

  /** Closes and waits until the connection is gone. */
  async close(): Promise<void> {
    if (this.socket.closed) return;
    const closed = once(this.socket, 'close');
    this.socket.destroy();
    await closed;
  }

  #rest(): string {
    return JSON.stringify(this.reader.pending.toString('latin1').slice(0, 200));
  }
}

function toAnswer(head: Head, body: Body): Answer {
  const [, status = '', reason = ''] = /^HTTP\/1\.1 (\d{3}) ?(.*)$/.exec(head.line) ?? [];
  return {
    ...head,
    ...body,
    status: Number(status),
    reason,
    header: (name) => valuesOf(head.headers, name)[0],
    text: body.bytes.toString('utf8'),
  };
}

export interface RawRequest {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly headers?: Pairs;
  readonly body?: string | Uint8Array;
}

/** The bytes of a request; a body is sized unless `headers` say how it comes. */
export function requestBytes(request: RawRequest): Buffer {
  const { method = 'GET', path = '/', host = API, headers = [], body } = request;
  const sized = valuesOf(headers, 'content-length').length + valuesOf(headers, 'transfer-encoding').length > 0;
  const content = body === undefined ? Buffer.alloc(0) : Buffer.from(body);
  const framing = body === undefined || sized ? [] : ['content-length', String(content.length)];
  const fields = ['Host', host, ...headers, ...framing];
  const lines = fields.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${fields[at + 1] ?? ''}`] : []));
  return Buffer.concat([Buffer.from([`${method} ${path} HTTP/1.1`, ...lines, '', ''].join('\r\n'), 'latin1'), content]);
}

/** One request on a connection of its own. */
export async function ask(target: Target, request: RawRequest, opening: Opening = {}): Promise<Answer> {
  const client = await RawClient.open(target, opening);
  try {
    client.write(requestBytes(request));
    return await client.answer(request.method);
  } finally {
    await client.close();
  }
}

/** Headers that the API wants on a message request. */
export const API_HEADERS: Pairs = [
  'x-api-key',
  'sk-ant-raw-client',
  'anthropic-version',
  '2023-06-01',
  'content-type',
  'application/json',
];

/** A message request as bytes, in the name of `session`, of class `main` unless told otherwise (null: no class). */
export function messageRequest(
  session: string,
  body: unknown = question(),
  { requestClass = 'main', headers = [] }: { requestClass?: string | null; headers?: Pairs } = {},
): RawRequest {
  const named = ['x-claude-code-session-id', session];
  const labels = requestClass === null ? [] : [...named, 'x-claude-code-request-class', requestClass];
  const content = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  return {
    method: 'POST',
    path: '/v1/messages?beta=true',
    headers: [...API_HEADERS, ...labels, ...headers],
    body: content,
  };
}

/** The body of a small message request. */
export const question = (changes: object = {}): object => ({
  model: 'claude-sonnet-4-6',
  messages: [{ role: 'user', content: 'How are you?' }],
  max_tokens: 32_000,
  stream: true,
  ...changes,
});
