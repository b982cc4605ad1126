/**
 * The same exchange twice, direct and through the proxy, compared as bytes. Nothing of the product's own HTTP code takes
 * part in judging it.
 */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { expect } from 'chai';
import fc from 'fast-check';
import type { Rig } from '../../support/rig.ts';
import { portOf } from '../redirector/sockets.ts';
import {
  answerBytes,
  exchange,
  pacing,
  pieces,
  requestBytes,
  type GeneratedExchange,
  type Pacing,
  type WireBody,
} from './generated.ts';
import { quickRig } from './quick-rig.ts';

/** Sequences of exchanges on one connection, of {@link LENGTH} on average. */
const RUNS = 620;
const SEED = Number(process.env['DIFFERENTIAL_SEED'] ?? 20_261_123);
const MAX_LENGTH = 10;

type Pairs = readonly (readonly [name: string, value: string])[];

interface Head {
  readonly line: string;
  readonly headers: Pairs;
}

/** What one side received of one message. */
interface Seen {
  readonly interim: readonly Head[];
  readonly head: Head;
  /** Bytes behind the head, framing included. */
  readonly body: Buffer;
}

/** Takes a socket's bytes in the amounts that somebody asks for. */
class Bytes {
  readonly #socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #over = false;
  #wake: () => void = () => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    const over = (): void => {
      this.#over = true;
      this.#wake();
    };
    socket.on('end', over).on('close', over).on('error', over);
  }

  get pending(): Buffer {
    return this.#bytes;
  }

  async #when(ready: () => boolean): Promise<void> {
    while (!ready() && !this.#over && !this.#socket.destroyed) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** So many bytes, fewer when the connection ends before. */
  async take(count: number): Promise<Buffer> {
    await this.#when(() => this.#bytes.length >= count);
    const taken = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return taken;
  }

  /** Everything up to `end` and with it; null when the connection ends before. */
  async through(end: string): Promise<string | null> {
    await this.#when(() => this.#bytes.includes(end));
    const at = this.#bytes.indexOf(end);
    return at < 0 ? null : (await this.take(at + end.length)).toString('latin1');
  }

  /** Everything until the connection ends. */
  async rest(): Promise<Buffer> {
    await this.#when(() => false);
    return this.take(this.#bytes.length);
  }

  async head(): Promise<Head | null> {
    const text = await this.through('\r\n\r\n');
    if (text === null) return null;
    const [line = '', ...fields] = text.slice(0, -4).split('\r\n');
    const headers = fields.map((one) => {
      const colon = one.indexOf(':');
      return [one.slice(0, colon), one.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')] as const;
    });
    return { line, headers };
  }
}

const valuesOf = (headers: Pairs, name: string): string[] =>
  headers.filter(([given]) => given.toLowerCase() === name).map(([, value]) => value);

const HOP = /^(connection|keep-alive|proxy-connection|te|transfer-encoding|upgrade)$/;

/** What is the message's own, names in their spelling. */
function endToEnd(headers: Pairs): Pairs {
  const named = valuesOf(headers, 'connection').flatMap((value) =>
    value.split(',').map((one) => one.trim().toLowerCase()),
  );
  return headers.filter(([name]) => !HOP.test(name.toLowerCase()) && !named.includes(name.toLowerCase()));
}

const nextRound = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function send(socket: Socket, bytes: Buffer, { cuts, waits }: Pacing): Promise<void> {
  for (const [at, piece] of pieces(bytes, cuts).entries()) {
    if (at > 0 && waits[at % waits.length] === true) await nextRound();
    if (!socket.writable) return;
    socket.write(piece);
  }
}

interface Planned {
  readonly id: number;
  readonly given: GeneratedExchange;
  readonly pacing: Pacing;
}

/** An API that answers each exchange by plan and keeps what it received. */
class PlannedUpstream {
  readonly plans = new Map<number, Planned>();
  readonly received = new Map<number, Seen[]>();
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined).on('close', () => this.#sockets.delete(socket));
    void this.#serve(socket);
  });

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return portOf(this.#server);
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #serve(socket: Socket): Promise<void> {
    const bytes = new Bytes(socket);
    for (;;) {
      const head = await bytes.head();
      if (head === null) return;
      const id = Number(valuesOf(head.headers, 'x-exchange')[0]);
      const plan = this.plans.get(id);
      // The proxy's own questions, about models, bring no number or not its target.
      if (plan === undefined || !head.line.includes(` ${plan.given.target} `)) {
        socket.write('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
        continue;
      }
      const body = await bytes.take(plan.given.body.raw.length);
      this.received.get(id)?.push({ interim: [], head, body });
      await send(socket, answerBytes(plan.given), plan.pacing);
      if (!plan.given.upstreamCloses) continue;
      socket.end();
      return;
    }
  }
}

/** Reads one answer whose body has so many raw bytes; `until` its end for one that ends with the connection. */
async function readAnswer(bytes: Bytes, read: (head: Head) => Promise<Buffer>): Promise<Seen> {
  const interim: Head[] = [];
  for (;;) {
    const head = await bytes.head();
    if (head === null) throw new Error(`no answer; there were ${bytes.pending.toString('latin1').slice(0, 200)}`);
    if (head.line.startsWith('HTTP/1.1 1')) interim.push(head);
    else return { interim, head, body: await read(head) };
  }
}

/** Takes chunks apart, for answers that only became chunked on the way. */
async function dechunked(bytes: Bytes): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (;;) {
    const size = Number.parseInt((await bytes.through('\r\n')) ?? 'x', 16);
    if (Number.isNaN(size)) throw new Error('no chunk');
    parts.push((await bytes.take(size + 2)).subarray(0, size));
    if (size === 0) return Buffer.concat(parts);
  }
}

const isMessages = ({ method, target }: GeneratedExchange): boolean =>
  method === 'POST' && /^\/v1\/messages\/?(\?.*)?$/.test(target);

const isRead = (given: GeneratedExchange): boolean =>
  isMessages(given) &&
  !given.fields.some(({ name, value }) => name === 'x-claude-code-request-class' && value === 'auxiliary');

const reasonOf = (line: string): string => line.replace(/^HTTP\/1\.1 (\d{3}) ?/, '$1 ');

function withoutZstd(headers: Pairs): Pairs {
  return headers.map(([name, value]) => {
    if (name.toLowerCase() !== 'accept-encoding') return [name, value] as const;
    const kept = value.split(',').filter((coding) => !coding.trim().startsWith('zstd'));
    return [name, kept.join(',').trim() || 'identity'] as const;
  });
}

function compareRequests(given: GeneratedExchange, direct: Seen, proxied: Seen, host: string): void {
  expect(proxied.head.line).to.equal(direct.head.line);
  const own = endToEnd(direct.head.headers).map(([name, value]) => [name, name === 'hOst' ? host : value] as const);
  expect(endToEnd(proxied.head.headers)).to.deep.equal(isRead(given) ? withoutZstd(own) : own);
  expectFraming(proxied.head.headers, given.body);
  expect(proxied.body.equals(direct.body), 'the request bodies differ').to.equal(true);
}

function expectFraming(headers: Pairs, { kind }: Pick<WireBody, 'kind'>): void {
  const chunked = kind === 'chunked' || kind === 'close';
  expect(valuesOf(headers, 'transfer-encoding')).to.deep.equal(chunked ? ['chunked'] : []);
}

function compareAnswers(given: GeneratedExchange, direct: Seen, proxied: Seen): void {
  expect(proxied.interim.map(({ line }) => reasonOf(line))).to.deep.equal(
    direct.interim.map(({ line }) => reasonOf(line)),
  );
  expect(proxied.interim.map(({ headers }) => headers)).to.deep.equal(
    direct.interim.map(({ headers }) => endToEnd(headers)),
  );
  expect(reasonOf(proxied.head.line)).to.equal(reasonOf(direct.head.line));
  const headers = endToEnd(proxied.head.headers);
  const own = headers.filter(([name]) => name.startsWith('x-double-buffer-'));
  expect(own.map(([name]) => name)).to.deep.equal(
    isMessages(given) ? ['x-double-buffer-phase', 'x-double-buffer-conv-id'] : [],
  );
  expect(headers.filter((pair) => !own.includes(pair))).to.deep.equal(endToEnd(direct.head.headers));
  expectFraming(proxied.head.headers, given.answer);
  expect(proxied.body.equals(direct.body), 'the answer bodies differ').to.equal(true);
}

describe('direct and through the proxy', () => {
  const upstream = new PlannedUpstream();
  let rig: Rig;
  let port: number;
  let ids = 0;
  before(async () => {
    port = await upstream.listen();
    rig = await quickRig({ DBPROXY_UPSTREAM_URL: `http://127.0.0.1:${port}` });
  });
  after(async () => {
    await rig.close();
    upstream.close();
  });

  /** One after the other, each on a connection of its own where the last was closed. */
  async function askDirectly(plans: readonly Planned[], sent: readonly Buffer[]): Promise<Seen[]> {
    const seen: Seen[] = [];
    let socket: Socket | null = null;
    let bytes: Bytes | null = null;
    for (const [at, { given }] of plans.entries()) {
      if (socket === null || bytes === null) {
        socket = connect(port, '127.0.0.1');
        bytes = new Bytes(socket);
        await once(socket, 'connect');
      }
      const reader = bytes;
      socket.write(sent[at] ?? '');
      seen.push(
        await readAnswer(reader, () =>
          given.answer.kind === 'close' ? reader.rest() : reader.take(given.answer.raw.length),
        ),
      );
      if (!given.upstreamCloses) continue;
      socket.destroy();
      socket = bytes = null;
    }
    socket?.destroy();
    return seen;
  }

  /** On one connection; so many requests at a time, before their answers. */
  async function askThroughProxy(
    plans: readonly Planned[],
    sent: readonly Buffer[],
    abreast: number,
    last: boolean,
  ): Promise<Seen[]> {
    const { dashboard } = rig.proxy.ports;
    const socket = connectTls({ port: dashboard, host: '127.0.0.1', ca: rig.ca, servername: 'api.anthropic.com' });
    socket.setNoDelay(true);
    await once(socket, 'secureConnect');
    const bytes = new Bytes(socket);
    const seen: Seen[] = [];
    for (let at = 0; at < plans.length; at += abreast) {
      const batch = plans.slice(at, at + abreast);
      const sending = send(
        socket,
        Buffer.concat(sent.slice(at, at + abreast)),
        batch[0]?.pacing ?? { cuts: [], waits: [true] },
      );
      for (const { given } of batch) {
        const { answer } = given;
        seen.push(
          await readAnswer(bytes, () => (answer.kind === 'close' ? dechunked(bytes) : bytes.take(answer.raw.length))),
        );
      }
      await sending;
    }
    if (last) expect((await bytes.rest()).toString('latin1'), 'bytes behind the last answer').to.equal('');
    else {
      await nextRound();
      expect(bytes.pending.toString('latin1'), 'bytes behind the last answer').to.equal('');
    }
    socket.destroy();
    return seen;
  }

  it('every exchange is the same, byte for byte', async () => {
    let exchanges = 0;
    const sequence = fc.record({
      exchanges: fc.array(fc.tuple(exchange, pacing), { minLength: 1, maxLength: MAX_LENGTH }),
      abreast: fc.constantFrom(1, 1, 2, 5),
      last: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(sequence, async ({ abreast, exchanges: generated, last }) => {
        const plans = generated.map(([given, pace]) => ({ id: (ids += 1), given, pacing: pace }));
        const sent = plans.map(({ given, id }, at) => requestBytes(given, id, last && at === plans.length - 1));
        for (const plan of plans) {
          upstream.plans.set(plan.id, plan);
          upstream.received.set(plan.id, []);
        }
        const direct = await askDirectly(plans, sent);
        const proxied = await askThroughProxy(plans, sent, abreast, last);
        for (const [at, { given, id }] of plans.entries()) {
          const [one, two, ...more] = upstream.received.get(id) ?? [];
          const [answered, relayed] = [direct[at], proxied[at]];
          if (!one || !two || !answered || !relayed) throw new Error('an exchange is missing');
          expect(more).to.have.length(0);
          compareRequests(given, one, two, `127.0.0.1:${port}`);
          compareAnswers(given, answered, relayed);
          upstream.plans.delete(id);
          upstream.received.delete(id);
        }
        exchanges += plans.length;
      }),
      { numRuns: RUNS, seed: SEED, timeout: 3_000, endOnFailure: process.env['CI'] !== undefined },
    );
    expect(exchanges).to.be.at.least(3_000);
    expect(rig.log.filter(({ level }) => level === 'error')).to.deep.equal([]);
  }).timeout(60_000);
});
