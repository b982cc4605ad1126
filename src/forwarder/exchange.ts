/** One request and its answer, on the connection of a client. It knows nothing of what either means. */
import type { Socket } from 'node:net';
import { errorAnswer, type ErrorAnswer } from '../error-responses.ts';
import type { BatchWriter } from '../http1/batch-writer.ts';
import type { Framing } from '../http1/framing.ts';
import { formatResponseHead, type RequestHead } from '../http1/head.ts';
import type { RawHeaders } from '../wire/headers.ts';

/** Where a request's body goes. */
export interface BodySink {
  /** Bytes as they came, framing included. Returns false to hold the client back until `resumeBody`. */
  framed(bytes: Buffer): boolean;
  /** The same without framing. */
  payload?(bytes: Buffer): void;
  end(): void;
}

/** Hears of the client while its request is under way. */
export interface ClientListener {
  /** More can be written to it. */
  onClientDrain?(): void;
  /** It has gone, without the whole answer. */
  onClientGone(): void;
}

/** What an exchange asks of the connection that it is on. */
export interface ExchangeConnection {
  readonly socket: Socket;
  /** No further request is read once the present one is answered. */
  lastRequest: boolean;
  readBody(sink: BodySink): void;
  resumeBody(): void;
  detach(): Buffer;
  finish(exchange: Exchange): void;
}

export class Exchange {
  readonly head: RequestHead;
  readonly framing: Framing;
  /** Writes to the client, as it is. */
  readonly out: BatchWriter;
  /** True once any byte of a final answer has gone out. */
  answered = false;
  private readonly connection: ExchangeConnection;
  private listener: ClientListener | null = null;
  private readonly over: (() => void)[] = [];

  constructor(connection: ExchangeConnection, head: RequestHead, framing: Framing, out: BatchWriter) {
    this.connection = connection;
    this.head = head;
    this.framing = framing;
    this.out = out;
  }

  get socket(): Socket {
    return this.connection.socket;
  }

  /** Begins to read the body, or goes on reading it into another sink. */
  readBody(sink: BodySink): void {
    this.connection.readBody(sink);
  }

  /** Goes on with a body that `framed` returned false for. */
  resumeBody(): void {
    this.connection.resumeBody();
  }

  /** Sends the head of a final answer. `close`: this answer is the connection's last. */
  sendHead(status: number, reason: string, headers: RawHeaders, close = false): void {
    this.answered = true;
    const last = close || this.connection.lastRequest;
    if (close) this.connection.lastRequest = true;
    this.out.write(
      formatResponseHead({ status, reason, headers: last ? [...headers, 'Connection', 'close'] : headers }),
    );
  }

  /** The answer is complete: the connection goes on with the next request, or ends. */
  finish(): void {
    this.out.flush();
    this.notifySettled();
    this.connection.finish(this);
  }

  /** A whole answer made here. */
  respond(status: number, reason: string, headers: RawHeaders, body: Buffer): void {
    if (this.answered) return;
    this.sendHead(status, reason, [...headers, 'content-length', String(body.length)]);
    if (this.head.method !== 'HEAD') this.out.write(body);
    this.finish();
  }

  /** An error of our own, in the API's shape. */
  refuse(answer: ErrorAnswer, headers: RawHeaders = []): void {
    const { body, headers: own } = errorAnswer(answer);
    this.respond(answer.status, answer.reason ?? '', [...own, ...headers], body);
  }

  /** `listener` hears of the client from now on, nobody with null; at once when it has gone already. */
  setListener(listener: ClientListener | null): void {
    this.listener = this.socket.closed ? null : listener;
    if (this.socket.closed) listener?.onClientGone();
  }

  /** More can be written. */
  drained(): void {
    this.listener?.onClientDrain?.();
  }

  /** The client has gone. */
  clientClosed(): void {
    this.notifySettled();
    const listener = this.listener;
    this.listener = null;
    listener?.onClientGone();
  }

  /** Calls back once: when the answer is complete, or the client has gone without it. */
  onSettled(listener: () => void): void {
    if (this.socket.destroyed) listener();
    else this.over.push(listener);
  }

  private notifySettled(): void {
    for (const tell of this.over.splice(0)) tell();
  }

  /** Leaves the connection to the caller, for a protocol that is not HTTP. Returns bytes that were read ahead. */
  detach(): Buffer {
    this.out.flush();
    const ahead = this.connection.detach();
    this.notifySettled();
    return ahead;
  }

  /** Ends the connection behind what has been sent, in mid-answer: what has begun cannot be taken back. */
  cut(): void {
    this.out.flush();
    this.socket.destroySoon();
  }
}
