/** One request and its answer on a client's connection. */
import type { Socket } from 'node:net';
import { errorAnswer, type ErrorAnswer } from '../error-responses.ts';
import type { BatchWriter } from '../http1/batch-writer.ts';
import type { Framing } from '../http1/framing.ts';
import { formatResponseHead, type RequestHead } from '../http1/head.ts';
import type { RawHeaders } from '../wire/headers.ts';

/** Receives a request's body. */
export interface BodySink {
  /** Takes bytes as received, framing included. Returns false to pause the client until `resumeBody`. */
  write(bytes: Buffer): boolean;
  /** Takes the payload of a chunked body, before the bytes that contain it go to `write`. */
  onPayload?(bytes: Buffer): void;
  end(): void;
}

/** Receives the events of the client during an exchange. */
export interface ClientListener {
  /** The client can be written to again. */
  onClientDrain?(): void;
  /** The client has disconnected before the end of the answer. */
  onClientGone(): void;
}

/** The connection of an exchange. */
export interface ExchangeConnection {
  readonly socket: Socket;
  /** True when no further request is read after the current answer. */
  isLastRequest: boolean;
  readBody(sink: BodySink): void;
  resumeBody(): void;
  detach(): Buffer;
  finish(exchange: Exchange): void;
}

export class Exchange {
  readonly head: RequestHead;
  readonly framing: Framing;
  /** Writes raw bytes to the client. */
  readonly out: BatchWriter;
  /** True once the head of a final answer has been written. */
  answered = false;
  private readonly connection: ExchangeConnection;
  private listener: ClientListener | null = null;
  private readonly settledListeners: (() => void)[] = [];

  constructor(connection: ExchangeConnection, head: RequestHead, framing: Framing, out: BatchWriter) {
    this.connection = connection;
    this.head = head;
    this.framing = framing;
    this.out = out;
  }

  get socket(): Socket {
    return this.connection.socket;
  }

  /** Starts reading the body, or continues with another sink. */
  readBody(sink: BodySink): void {
    this.connection.readBody(sink);
  }

  /** Continues with a body whose sink returned false from `write`. */
  resumeBody(): void {
    this.connection.resumeBody();
  }

  /** Sends the head of a final answer. @param close true when this answer is the connection's last */
  sendHead(status: number, reason: string, headers: RawHeaders, close = false): void {
    this.answered = true;
    const last = close || this.connection.isLastRequest;
    if (close) this.connection.isLastRequest = true;
    this.out.write(
      formatResponseHead({ status, reason, headers: last ? [...headers, 'Connection', 'close'] : headers }),
    );
  }

  /** Ends a complete answer: the connection reads the next request or closes. */
  finish(): void {
    this.out.flush();
    this.notifySettled();
    this.connection.finish(this);
  }

  /** Sends a complete answer made by the proxy. */
  respond(status: number, reason: string, headers: RawHeaders, body: Buffer): void {
    if (this.answered) return;
    this.sendHead(status, reason, [...headers, 'content-length', String(body.length)]);
    if (this.head.method !== 'HEAD') this.out.write(body);
    this.finish();
  }

  /** Sends an error of the proxy in the API's format. */
  refuse(answer: ErrorAnswer, headers: RawHeaders = []): void {
    const { body, headers: own } = errorAnswer(answer);
    this.respond(answer.status, answer.reason ?? '', [...own, ...headers], body);
  }

  /** Replaces the listener (null: none); it is called immediately when the client has already disconnected. */
  setListener(listener: ClientListener | null): void {
    this.listener = this.socket.closed ? null : listener;
    if (this.socket.closed) listener?.onClientGone();
  }

  clientDrained(): void {
    this.listener?.onClientDrain?.();
  }

  clientClosed(): void {
    this.notifySettled();
    const listener = this.listener;
    this.listener = null;
    listener?.onClientGone();
  }

  /** Calls `listener` once: when the answer is complete or the client has disconnected. */
  onSettled(listener: () => void): void {
    if (this.socket.destroyed) listener();
    else this.settledListeners.push(listener);
  }

  private notifySettled(): void {
    for (const listener of this.settledListeners.splice(0)) listener();
  }

  /** Hands the connection to the caller, for a protocol other than HTTP. Returns the bytes read ahead. */
  detach(): Buffer {
    this.out.flush();
    const readAhead = this.connection.detach();
    this.notifySettled();
    return readAhead;
  }

  /** Closes the connection after the bytes sent so far: an answer that has begun cannot be replaced by an error. */
  truncate(): void {
    this.out.flush();
    this.socket.destroySoon();
  }
}
