/**
 * A client's connection: reads its requests one after the other and hands each over as an {@link Exchange} (exchange.ts).
 * It knows HTTP's framing, but not what requests mean.
 */
import type { Socket } from 'node:net';
import { errorAnswer } from '../error-responses.ts';
import { Deadline } from '../net/deadline.ts';
import { BatchWriter } from '../http1/batch-writer.ts';
import { bodyReader, keepsAlive, requestFraming } from '../http1/framing.ts';
import {
  endOfHead,
  formatResponseHead,
  MalformedHead,
  MAX_HEAD_BYTES,
  parseRequestHead,
  type RequestHead,
} from '../http1/head.ts';
import { countOf } from '../wire/headers.ts';
import type { ConnectionPhase, Receiving } from './connection-phase.ts';
import { Exchange, type BodySink, type ExchangeConnection } from './exchange.ts';

export interface ClientConnectionOptions {
  /** Handles a request. */
  readonly onExchange: (exchange: Exchange) => void;
  /** Takes over a connection whose first request is not for the API, with the bytes already read; true if it did. */
  readonly handOff: (head: RequestHead, socket: Socket, bytes: Buffer) => boolean;
  /** Time limit of a request's head, in milliseconds. */
  readonly headMs: number;
  /** Time limit between two requests, in milliseconds. */
  readonly idleMs: number;
}

/** How long the rest of an incomplete request is read and dropped after its answer. */
const LINGER_MS = 2_000;
/** Limit of bytes read ahead of the current request. */
const MAX_BUFFERED = 64 * 1024;

const NOTHING = Buffer.alloc(0);

export class ClientConnection implements ExchangeConnection {
  readonly socket: Socket;
  isLastRequest = false;
  private readonly options: ClientConnectionOptions;
  private readonly out: BatchWriter;
  private phase: ConnectionPhase = { kind: 'head' };
  private isFirstRequest = true;
  /** Part of a head, or bytes read ahead. */
  private buffered: Buffer = NOTHING;
  /** Flow control: the sink does not accept more of the body. */
  private isBodyPaused = false;
  /** Flow control: the next request waits until the client has read the previous answers. */
  private waitsForDrain = false;
  /** Guards against recursion while buffered requests are processed. */
  private isProcessingBuffered = false;
  /** Limits the time of a head, between requests, and of lingering. */
  private readonly deadline = new Deadline(() => this.onDeadline());
  private readonly onData = (chunk: Buffer): void => this.onBytes(chunk);
  private readonly onDrain = (): void => {
    if (!this.waitsForDrain) this.exchange?.clientDrained();
    else {
      this.waitsForDrain = false;
      this.readNext();
    }
  };
  private readonly onClose = (): void => {
    this.deadline.end();
    this.exchange?.clientClosed();
  };
  // A client that has ended its side counts as disconnected, as in Node and nginx. The redirector's connections would
  // otherwise stay half open.
  private readonly onEnd = (): void => {
    if (this.isBusy) this.socket.destroy();
    else this.socket.destroySoon();
  };

  constructor(socket: Socket, options: ClientConnectionOptions) {
    this.socket = socket;
    this.options = options;
    this.out = new BatchWriter(socket);
    socket.on('error', () => undefined); // handled by `close`
    socket.on('close', this.onClose).on('drain', this.onDrain).on('end', this.onEnd).on('data', this.onData);
    this.deadline.set(options.headMs);
  }

  get isHandedOff(): boolean {
    return this.phase.kind === 'handed-off';
  }

  private get exchange(): Exchange | null {
    return this.phase.kind === 'receiving' || this.phase.kind === 'answering' ? this.phase.exchange : null;
  }

  /** True while a request is being answered, and after an upgrade. */
  get isBusy(): boolean {
    return this.exchange !== null || this.phase.kind === 'upgraded';
  }

  /** Closes the connection after the current exchange. */
  endWhenIdle(): void {
    this.isLastRequest = true;
    if (this.isHandedOff) this.socket.destroySoon();
    else if (!this.isBusy) this.endSoon();
  }

  readBody(sink: BodySink): void {
    const { phase } = this;
    this.isBodyPaused = false;
    if (phase.kind === 'answering') sink.end();
    else if (phase.kind === 'receiving') {
      phase.sink = sink;
      if (phase.body.done) this.endBody(phase, sink);
      else if (this.buffered.length > 0) this.feedBody(phase, this.takeBuffered());
    }
    this.resumeUnlessPaused();
  }

  resumeBody(): void {
    if (!this.isBodyPaused) return;
    this.isBodyPaused = false;
    this.socket.resume();
  }

  detach(): Buffer {
    this.socket.off('data', this.onData).off('drain', this.onDrain).off('end', this.onEnd).off('close', this.onClose);
    this.deadline.end();
    this.phase = { kind: 'upgraded' };
    return this.takeBuffered();
  }

  finish(exchange: Exchange): void {
    const { phase } = this;
    if (this.exchange !== exchange) return;
    this.phase = { kind: 'head' };
    if (this.socket.destroyed) return;
    const isRequestComplete = phase.kind !== 'receiving' || phase.body.done;
    if (!isRequestComplete) this.linger();
    else if (this.isLastRequest) this.endSoon();
    else {
      this.isBodyPaused = false;
      // A client that sends requests without reading their answers waits until it has read them.
      this.waitsForDrain = this.out.isFull;
      if (this.waitsForDrain) this.socket.pause();
      else this.readNext();
    }
  }

  /** Reads the next request, and all buffered ones that are answered at once. */
  private readNext(): void {
    this.deadline.set(this.options.idleMs);
    this.socket.resume();
    // In a loop and not recursively: there may be thousands.
    if (this.isProcessingBuffered) return;
    this.isProcessingBuffered = true;
    try {
      for (let left = Infinity; this.canReadNext && this.buffered.length < left;) {
        left = this.buffered.length;
        this.onBytes(this.takeBuffered());
      }
    } finally {
      this.isProcessingBuffered = false;
    }
  }

  private get canReadNext(): boolean {
    const isWaiting = this.isLastRequest || this.waitsForDrain || this.socket.destroyed;
    return this.phase.kind === 'head' && !isWaiting && this.buffered.length > 0;
  }

  private takeBuffered(): Buffer {
    const bytes = this.buffered;
    this.buffered = NOTHING;
    return bytes;
  }

  /** Closes the connection once all answers are sent, however long the client takes to read them. */
  private endSoon(): void {
    this.phase = { kind: 'closing' };
    this.deadline.end();
    this.socket.off('data', this.onData).resume();
    this.socket.destroySoon();
  }

  private resumeUnlessPaused(): void {
    if (!this.isBodyPaused && !this.waitsForDrain) this.socket.resume();
  }

  private onBytes(chunk: Buffer): void {
    const { phase } = this;
    if (phase.kind === 'head') this.readHead(chunk);
    else if (phase.kind === 'receiving' && phase.sink !== null && !phase.body.done) this.feedBody(phase, chunk);
    else {
      this.buffered = this.buffered.length === 0 ? chunk : Buffer.concat([this.buffered, chunk]);
      const isUnread = phase.kind === 'receiving' && phase.sink === null;
      if (this.buffered.length > MAX_BUFFERED || isUnread) this.socket.pause();
    }
  }

  private readHead(chunk: Buffer): void {
    const before = this.buffered.length;
    let bytes = before === 0 ? chunk : Buffer.concat([this.buffered, chunk]);
    // Empty lines before a request are ignored (RFC 9112, 2.2).
    while (bytes[0] === 0x0d && bytes[1] === 0x0a) bytes = bytes.subarray(2);
    const end = endOfHead(bytes);
    this.buffered = bytes;
    if (end < 0 ? bytes.length > MAX_HEAD_BYTES : end > MAX_HEAD_BYTES) {
      this.refuse(431, 'Request Header Fields Too Large', 'the header is too large');
      return;
    }
    if (end < 0) {
      if (before === 0 && bytes.length > 0) this.deadline.set(this.options.headMs);
      return;
    }
    this.deadline.clear();
    try {
      this.begin(parseRequestHead(bytes.subarray(0, end)), bytes, end);
    } catch (error) {
      if (!(error instanceof MalformedHead)) throw error;
      this.refuse(error.status, error.status === 501 ? 'Not Implemented' : 'Bad Request', error.message);
    }
  }

  private begin(head: RequestHead, bytes: Buffer, end: number): void {
    if (this.isFirstRequest && this.options.handOff(head, this.socket.off('data', this.onData), bytes)) {
      this.phase = { kind: 'handed-off' };
      this.deadline.end();
      return;
    }
    if (this.isFirstRequest) this.socket.on('data', this.onData);
    this.isFirstRequest = false;
    const framing = requestFraming(head);
    const hosts = countOf(head.headers, 'host');
    if (hosts > 1 || (hosts === 0 && head.version === 'HTTP/1.1')) {
      throw new MalformedHead(hosts === 0 ? 'the request has no host' : 'the request has two hosts');
    }
    this.buffered = bytes.subarray(end);
    const onPayload = (payload: Buffer): void => phase.sink?.onPayload?.(payload);
    const body = bodyReader(framing, framing.kind === 'chunked' ? onPayload : undefined);
    if (!keepsAlive(head)) this.isLastRequest = true;
    const exchange = new Exchange(this, head, framing, this.out);
    const phase: Receiving = { kind: 'receiving', exchange, body, sink: null };
    this.phase = phase;
    this.options.onExchange(exchange);
    if (this.phase === phase && phase.sink === null) this.socket.pause();
  }

  private feedBody(phase: Receiving, chunk: Buffer): void {
    const { body, sink } = phase;
    if (sink === null) return;
    let slice;
    try {
      slice = body.read(chunk);
    } catch {
      this.socket.destroy(); // a part of it has been forwarded: no answer makes sense
      return;
    }
    const bytes = slice.taken === chunk.length ? chunk : chunk.subarray(0, slice.taken);
    if (slice.taken < chunk.length) this.buffered = chunk.subarray(slice.taken);
    const acceptsMore = bytes.length === 0 || sink.write(bytes);
    // `write` may have replaced the sink, which has then received the body's end or continues to read.
    if (this.phase !== phase || phase.sink !== sink) return;
    if (slice.done) this.endBody(phase, sink);
    else if (!acceptsMore) {
      this.isBodyPaused = true;
      this.socket.pause();
    }
  }

  private endBody({ exchange }: Receiving, sink: BodySink): void {
    this.phase = { kind: 'answering', exchange };
    sink.end();
    if (this.exchange !== exchange) return;
    // Reading continues, to detect when the client disconnects.
    this.isBodyPaused = false;
    this.resumeUnlessPaused();
  }

  private linger(): void {
    this.phase = { kind: 'lingering' };
    this.socket.off('data', this.onData);
    this.socket.resume();
    this.socket.end();
    this.deadline.set(LINGER_MS);
  }

  private refuse(status: number, reason: string, message: string): void {
    const { body, headers } = errorAnswer({ status, type: 'invalid_request_error', message });
    const all = [...headers, 'content-length', String(body.length), 'Connection', 'close'];
    this.socket.write(Buffer.concat([formatResponseHead({ status, reason, headers: all }), body]));
    this.linger();
  }

  private onDeadline(): void {
    if (this.phase.kind === 'lingering') this.socket.destroy();
    else if (this.buffered.length > 0) this.refuse(408, 'Request Timeout', 'the header did not come in time');
    else this.endSoon();
  }
}
