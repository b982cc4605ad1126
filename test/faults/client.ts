/**
 * A client that talks as Claude Code does and keeps every byte that it gets, so that somebody can judge them. Each of its
 * requests has a number of its own in a header, by which the tap's note of it is found.
 */
import type { Socket } from 'node:net';
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import { COMPACT_INSTRUCTION } from '../../src/demo/scripted-client.ts';
import { extractSummary } from '../../src/compaction/summary-text.ts';
import { AnswerReader } from '../../src/wire/answer-reader.ts';
import type { Message } from '../../src/wire/message-request.ts';
import { SseReader } from '../../src/wire/sse.ts';
import { valuesOf, type Body, type Head, type Pairs } from '../src/forwarder/http-bytes.ts';
import { RawClient, requestBytes, type Target } from '../src/forwarder/raw-client.ts';
import { figures } from './figures.ts';
import { saysWord } from './marks.ts';

/** The header by which a request is known again behind the proxy, and by which the script knows whose it is. */
export const REQUEST_HEADER = 'x-fault-request';
export const PART_HEADER = 'x-fault-part';

/** What kind of request: `x-claude-code-request-class`. */
export type RequestClass = 'main' | 'compaction' | 'auxiliary';

export type GaveUp = 'no' | 'silence' | 'leaving';

/** What the client has of an answer so far, in bytes as they came. */
export interface Progress {
  readonly head: boolean;
  /** Framing included. */
  readonly body: number;
  /** Milliseconds since anything came. */
  readonly quietMs: number;
}

/** How a request ended, as the client saw it. */
export interface Reply {
  readonly id: string;
  readonly class: RequestClass;
  /** Null: the connection ended before the head of an answer. */
  readonly head: Head | null;
  readonly status: number;
  /** Without framing, as it came: compressed, if it was. */
  readonly body: Buffer;
  readonly whole: boolean;
  /** Whether the client hung up: on an answer that stopped coming, or in the middle because people do that. */
  readonly gaveUp: GaveUp;
  /** Bytes that came in place of a head. */
  readonly stray: Buffer;
  /** What the model said; '' for an error. */
  readonly text: string;
  /** The answer ended as a good one does, with something in it that the client can use. */
  readonly good: boolean;
  /** Marked as answered by the proxy. */
  readonly served: boolean;
  /** Milliseconds from the first byte out to the end. */
  readonly ms: number;
}

export interface ClientOptions {
  readonly target: Target;
  /** Also the name by which its marks are known. */
  readonly name: string;
  readonly session: string;
  /** Asked now and then while an answer is under way whether to hang up. */
  readonly givesUp?: (request: { readonly id: string; readonly class: RequestClass }, progress: Progress) => GaveUp;
  readonly model?: string;
  /** Makes each request larger by this text: a system prompt. */
  readonly ballast?: string;
}

/** How often the client looks whether to hang up. */
const LOOK_MS = 10;

let requests = 0;

export class Client {
  readonly name: string;
  readonly session: string;
  messages: Message[] = [];
  readonly #options: ClientOptions;
  readonly #idle: RawClient[] = [];
  /** Hangs up in the middle of sending its next request of this class. */
  breaksUpload: RequestClass | undefined;
  #turns = 0;
  #justCompacted = false;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.name = options.name;
    this.session = options.session;
  }

  /** The next thing that the user says. */
  nextWords(): Message {
    this.#turns += 1;
    return { role: 'user', content: `${saysWord(this.name, this.#turns)} Please go on with the parser.` };
  }

  /** Sends a user message; a good answer becomes part of the history. */
  async say(turn: Message = this.nextWords()): Promise<Reply> {
    const reply = await this.send('main', [...this.messages, turn]);
    if (reply.good) {
      this.messages = [...this.messages, turn, { role: 'assistant', content: [{ type: 'text', text: reply.text }] }];
      this.#justCompacted = false;
    }
    return reply;
  }

  /** Asks for a summary; one that it gets becomes the new history, with the newest message kept. */
  async compact(): Promise<Reply> {
    const reply = await this.send('compaction', [...this.messages, { role: 'user', content: COMPACT_INSTRUCTION }]);
    const summary = reply.good ? extractSummary(reply.text) : '';
    if (summary !== '') {
      const opening = 'This session is being continued from a previous conversation that ran out of context.';
      this.messages = [{ role: 'user', content: `${opening}\n\nSummary:\n${summary}` }, ...this.messages.slice(-1)];
      this.#justCompacted = true;
    }
    return reply;
  }

  /** A small request beside the conversation. */
  aside(): Promise<Reply> {
    return this.send('auxiliary', [{ role: 'user', content: `${saysWord(this.name, 0)} A title, please.` }]);
  }

  /** Sends one request on a connection of its own or a kept one. Resolves however it ends. */
  async send(requestClass: RequestClass, messages: readonly Message[]): Promise<Reply> {
    const id = `r${(requests += 1)}`;
    figures.requests += 1;
    const began = performance.now();
    const outcome = await this.#exchange(id, requestClass, this.#request(id, requestClass, messages));
    return { ...read(outcome), id, class: requestClass, ms: performance.now() - began };
  }

  /** Closes what it has open. */
  async close(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((connection) => connection.close()));
  }

  async #exchange(id: string, requestClass: RequestClass, bytes: Buffer): Promise<Outcome> {
    const connection = await this.#connection();
    if (connection === null) return { ...NOTHING, gaveUp: 'no' };
    const { givesUp } = this.#options;
    if (this.breaksUpload === requestClass) {
      this.breaksUpload = undefined;
      figures.faults += 1;
      await new Promise<void>((resolve) =>
        connection.socket.write(bytes.subarray(0, bytes.length / 2), () => resolve()),
      );
      await connection.close();
      return { ...NOTHING, gaveUp: 'leaving' };
    }
    const progress = new Watch(connection.socket);
    let gaveUp: GaveUp = 'no';
    const looking = setInterval(() => {
      gaveUp = givesUp?.({ id, class: requestClass }, progress) ?? 'no';
      if (gaveUp === 'no') return;
      clearInterval(looking);
      connection.leave();
    }, LOOK_MS);
    try {
      connection.write(bytes);
      const head = await connection.head().catch(() => null);
      if (head === null) return { ...NOTHING, gaveUp, stray: connection.reader.pending };
      const body = await connection.body(head, 'POST');
      return { head, body, gaveUp, stray: Buffer.alloc(0), reusable: body.whole && !closes(head) };
    } finally {
      clearInterval(looking);
      progress.stop();
      await this.#giveBack(connection);
    }
  }

  async #connection(): Promise<RawClient | null> {
    for (;;) {
      const kept = this.#idle.pop();
      if (kept === undefined) break;
      if (!kept.reader.over) return kept;
      await kept.close();
    }
    try {
      return await RawClient.open(this.#options.target, { way: 'tunnel' });
    } catch {
      return null; // nobody listens
    }
  }

  async #giveBack(connection: RawClient): Promise<void> {
    // A proxy that announces the end of the connection, or breaks it, does so right behind the answer.
    if (connection.reader.over || connection.reader.pending.length > 0) await connection.close();
    else this.#idle.push(connection);
  }

  #request(id: string, requestClass: RequestClass, messages: readonly Message[]): Buffer {
    const { model = 'claude-sonnet-4-6', ballast = '' } = this.#options;
    const headers: Pairs = [
      ...['content-type', 'application/json', 'anthropic-version', '2023-06-01', 'x-api-key', 'sk-ant-fault-suite'],
      ...['accept-encoding', 'gzip, deflate, br, zstd', 'user-agent', 'claude-cli/2.1.330 (external, sdk-cli)'],
      ...['x-claude-code-session-id', this.session, 'x-claude-code-request-class', requestClass],
      ...(requestClass === 'compaction' ? ['x-claude-code-compaction', 'auto'] : []),
      ...(requestClass === 'main' && this.#justCompacted ? ['x-claude-code-context-compacted', 'auto'] : []),
      ...[PART_HEADER, this.name, REQUEST_HEADER, id],
    ];
    const body = JSON.stringify({
      model,
      messages,
      system: [
        { type: 'text', text: `x-anthropic-billing-header: ${id};` },
        { type: 'text', text: `Be brief. ${ballast}` },
      ],
      tools: [{ name: 'Bash', description: 'Runs a command', input_schema: { type: 'object', properties: {} } }],
      metadata: { user_id: JSON.stringify({ device_id: 'd', account_uuid: '', session_id: this.session }) },
      max_tokens: 32_000,
      stream: true,
    });
    return requestBytes({ method: 'POST', path: '/v1/messages?beta=true', headers, body });
  }
}

/** Counts what comes in on a connection. */
class Watch implements Progress {
  body = 0;
  #opening = '';
  #head = false;
  #last = performance.now();
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket.on('data', this.#take);
  }

  get head(): boolean {
    return this.#head;
  }

  get quietMs(): number {
    return performance.now() - this.#last;
  }

  stop(): void {
    this.#socket.off('data', this.#take);
  }

  readonly #take = (chunk: Buffer): void => {
    this.#last = performance.now();
    if (this.#head) {
      this.body += chunk.length;
      return;
    }
    this.#opening += chunk.toString('latin1');
    const end = this.#opening.indexOf('\r\n\r\n');
    if (end < 0) return;
    this.#head = true;
    this.body = this.#opening.length - end - 4;
  };
}

interface Outcome {
  readonly head: Head | null;
  readonly body: Body;
  readonly gaveUp: GaveUp;
  readonly stray: Buffer;
  readonly reusable: boolean;
}

const EMPTY = Buffer.alloc(0);
const NOTHING = { head: null, body: { bytes: EMPTY, trailers: [], whole: false }, stray: EMPTY, reusable: false };

const closes = (head: Head): boolean => valuesOf(head.headers, 'connection').some((value) => /close/i.test(value));

function decoded(head: Head, body: Buffer): Buffer {
  try {
    switch (valuesOf(head.headers, 'content-encoding')[0]) {
      case 'gzip':
        return gunzipSync(body);
      case 'br':
        return brotliDecompressSync(body);
      case 'deflate':
        return inflateSync(body);
      default:
        return body;
    }
  } catch {
    return EMPTY; // cut off in the middle
  }
}

function read({ head, body, gaveUp, stray }: Outcome): Omit<Reply, 'id' | 'class' | 'ms'> {
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head?.line ?? '')?.[1] ?? 0);
  const reader = new AnswerReader({ keepText: true });
  if (head !== null && status === 200) {
    const sse = new SseReader((event) => reader.takeEvent(event));
    sse.push(decoded(head, body.bytes));
  }
  const usable = reader.blocks[0] === 'text' && !reader.blocks.includes('tool_use') && reader.text !== '';
  return {
    head,
    status,
    body: body.bytes,
    whole: body.whole,
    gaveUp,
    stray,
    text: reader.text,
    good: body.whole && reader.completed && reader.error === null && usable,
    served: head !== null && valuesOf(head.headers, 'x-double-buffer-served').length > 0,
  };
}
