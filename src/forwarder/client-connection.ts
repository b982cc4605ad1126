/**
 * One connection of a client: requests are read off it one after the other, each handed over as an {@link Exchange} (exchange.ts).
 * It knows HTTP's framing and nothing of what requests mean.
 */
import type { Socket } from 'node:net';
import { errorAnswer } from '../error-responses.ts';
import { Deadline } from '../net/deadline.ts';
import { BatchWriter } from '../http1/batch-writer.ts';
import { bodyReader, keepsAlive, requestFraming, type BodyReader } from '../http1/framing.ts';
import {
  endOfHead,
  formatResponseHead,
  MalformedHead,
  MAX_HEAD_BYTES,
  parseRequestHead,
  type RequestHead,
} from '../http1/head.ts';
import { countOf } from '../wire/headers.ts';
import { Exchange, type BodySink, type ExchangeConnection } from './exchange.ts';

export interface ClientConnectionOptions {
  /** Takes every request. */
  readonly onExchange: (exchange: Exchange) => void;
  /** Takes over a connection whose first request is not for the API, with the bytes already read; true if it did. */
  readonly handOff: (head: RequestHead, socket: Socket, bytes: Buffer) => boolean;
  /** Time for a head to come in whole. */
  readonly headMs: number;
  /** Time that a connection may rest between two requests. */
  readonly idleMs: number;
}

/** After an answer to a request that did not come in whole: how long what is left of it is read and dropped. */
const LINGER_MS = 2_000;
/** Requests sent ahead of their turn are kept up to here. */
const MAX_BUFFERED = 64 * 1024;

export class ClientConnection implements ExchangeConnection {
  readonly socket: Socket;
  lastRequest = false;
  /** It is for our own pages, and theirs by now. */
  isHandedOff = false;
  private readonly options: ClientConnectionOptions;
  private readonly out: BatchWriter;
  private buffered: Buffer = Buffer.alloc(0);
  private exchange: Exchange | null = null;
  private body: BodyReader | null = null;
  private sink: BodySink | null = null;
  private held = false;
  /** The next request waits until the client has read the answers before. */
  private waitsForDrain = false;
  private lingers = false;
  /** Requests that are here already are being read. */
  private isProcessingBuffered = false;
  /** For the next request to begin, for its head to be there, or for what is dropped to end. */
  private readonly deadline = new Deadline(() => this.onDeadline());
  private first = true;
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
  // Who has ended its side has gone, as Node and nginx take it too: connections through the redirector stay half open.
  private readonly onEnd = (): void => {
    if (this.isBusy) this.socket.destroy();
    else this.socket.destroySoon();
  };

  constructor(socket: Socket, options: ClientConnectionOptions) {
    this.socket = socket;
    this.options = options;
    this.out = new BatchWriter(socket);
    socket.on('error', () => undefined); // what it means, `close` tells
    socket.on('close', this.onClose).on('drain', this.onDrain);
    socket.on('end', this.onEnd);
    socket.on('data', this.onData);
    this.deadline.set(options.headMs);
  }

  /** True while a request is being answered. */
  get isBusy(): boolean {
    return this.exchange !== null;
  }

  /** Ends the connection as soon as nothing is under way on it. */
  endWhenIdle(): void {
    this.lastRequest = true;
    if (this.isHandedOff) this.socket.destroySoon();
    else if (!this.isBusy) this.endSoon();
  }

  readBody(sink: BodySink): void {
    this.sink = sink;
    this.held = false;
    const early = this.buffered;
    this.buffered = Buffer.alloc(0);
    if (this.body?.done === true) {
      this.buffered = early;
      this.endBody();
    } else if (early.length > 0) this.feedBody(early);
    this.resumeUnlessHeld();
  }

  resumeBody(): void {
    if (!this.held) return;
    this.held = false;
    this.socket.resume();
  }

  detach(): Buffer {
    this.socket.off('data', this.onData).off('drain', this.onDrain).off('end', this.onEnd).off('close', this.onClose);
    this.deadline.end();
    const ahead = this.buffered;
    this.buffered = Buffer.alloc(0);
    return ahead;
  }

  finish(exchange: Exchange): void {
    if (this.exchange !== exchange) return;
    this.exchange = null;
    if (this.socket.destroyed) return;
    const whole = this.body?.done === true;
    this.body = null;
    this.sink = null;
    if (!whole) {
      this.linger();
      return;
    }
    if (this.lastRequest) {
      this.endSoon();
      return;
    }
    this.held = false;
    if (this.out.isFull) {
      // Who asks on and on without reading waits with the next question until it has read.
      this.socket.pause();
      this.waitsForDrain = true;
    } else this.readNext();
  }

  /** Reads the next request, and those that are answered at once. */
  private readNext(): void {
    this.deadline.set(this.options.idleMs);
    this.socket.resume();
    // One after the other, not each within the one before: there may be thousands.
    if (this.isProcessingBuffered) return;
    this.isProcessingBuffered = true;
    try {
      for (let left = Infinity; this.canReadNext && this.buffered.length < left;) {
        const ahead = this.buffered;
        left = ahead.length;
        this.buffered = Buffer.alloc(0);
        this.onBytes(ahead);
      }
    } finally {
      this.isProcessingBuffered = false;
    }
  }

  private get canReadNext(): boolean {
    const stopped = this.lastRequest || this.lingers || this.waitsForDrain || this.socket.destroyed;
    return !stopped && this.exchange === null && this.buffered.length > 0;
  }

  /**
   * Ends the connection when what was sent has left, however long the client takes to read it. What else may come is not
   * read: nobody would be answered.
   */
  private endSoon(): void {
    this.deadline.end();
    this.socket.off('data', this.onData).resume();
    this.socket.destroySoon();
  }

  /** `framed` may have held the body back while what was read early was fed to it, and the next request may have to wait. */
  private resumeUnlessHeld(): void {
    if (!this.held && !this.waitsForDrain) this.socket.resume();
  }

  private onBytes(chunk: Buffer): void {
    if (this.exchange === null) this.readHead(chunk);
    else if (this.sink !== null && this.body?.done === false) this.feedBody(chunk);
    else {
      this.buffered = this.buffered.length === 0 ? chunk : Buffer.concat([this.buffered, chunk]);
      if (this.buffered.length > MAX_BUFFERED || this.sink === null) this.socket.pause();
    }
  }

  private readHead(chunk: Buffer): void {
    const before = this.buffered.length;
    let bytes = before === 0 ? chunk : Buffer.concat([this.buffered, chunk]);
    // Empty lines before a request are passed over (RFC 9112, 2.2).
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
    this.deadline.lift();
    try {
      this.begin(parseRequestHead(bytes.subarray(0, end)), bytes, end);
    } catch (error) {
      if (!(error instanceof MalformedHead)) throw error;
      this.refuse(error.status, error.status === 501 ? 'Not Implemented' : 'Bad Request', error.message);
    }
  }

  private begin(head: RequestHead, bytes: Buffer, end: number): void {
    if (this.first && this.options.handOff(head, this.socket.off('data', this.onData), bytes)) {
      this.isHandedOff = true;
      this.deadline.end();
      return;
    }
    if (this.first) this.socket.on('data', this.onData);
    this.first = false;
    const framing = requestFraming(head);
    const hosts = countOf(head.headers, 'host');
    if (hosts > 1 || (hosts === 0 && head.version === 'HTTP/1.1')) {
      throw new MalformedHead(hosts === 0 ? 'the request has no host' : 'the request has two hosts');
    }
    this.buffered = bytes.subarray(end);
    const isChunked = framing.kind === 'chunked';
    this.body = bodyReader(framing, isChunked ? (bytes) => this.sink?.onPayload?.(bytes) : undefined);
    if (!keepsAlive(head)) this.lastRequest = true;
    const exchange = new Exchange(this, head, framing, this.out);
    this.exchange = exchange;
    this.options.onExchange(exchange);
    // Nobody takes the body yet.
    if (this.exchange === exchange && this.sink === null) this.socket.pause();
  }

  private feedBody(chunk: Buffer): void {
    const body = this.body;
    const sink = this.sink;
    if (body === null || sink === null) return;
    let slice;
    try {
      slice = body.read(chunk);
    } catch {
      this.socket.destroy(); // half of it is on its way: there is nothing sensible left to answer
      return;
    }
    const mine = slice.taken === chunk.length ? chunk : chunk.subarray(0, slice.taken);
    if (slice.taken < chunk.length) this.buffered = chunk.subarray(slice.taken);
    const goesOn = mine.length === 0 || sink.write(mine);
    // Another sink may have taken over within that, and has been told of the body's end, or reads on.
    if (this.sink !== sink) return;
    if (slice.done) this.endBody();
    else if (!goesOn) {
      this.held = true;
      this.socket.pause();
    }
  }

  private endBody(): void {
    this.sink?.end();
    // Reading on, to notice when the client goes away.
    this.held = false;
    this.resumeUnlessHeld();
  }

  /** The answer is out, the request is not in: it is read to its end and dropped, so that the client sees the answer. */
  private linger(): void {
    this.socket.off('data', this.onData);
    this.socket.resume();
    this.socket.end();
    this.lingers = true;
    this.deadline.set(LINGER_MS);
  }

  private refuse(status: number, reason: string, message: string): void {
    this.socket.off('data', this.onData);
    const { body, headers } = errorAnswer({ status, type: 'invalid_request_error', message });
    const all = [...headers, 'content-length', String(body.length), 'Connection', 'close'];
    this.socket.write(Buffer.concat([formatResponseHead({ status, reason, headers: all }), body]));
    this.linger();
  }

  /** What was waited for has not come in time. */
  private onDeadline(): void {
    if (this.lingers) this.socket.destroy();
    else if (this.buffered.length > 0) this.refuse(408, 'Request Timeout', 'the header did not come in time');
    else this.endSoon();
  }
}
