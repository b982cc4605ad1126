/**
 * One exchange on its way:
 *
 *   client ──request──▶ upstream        bytes as they come, held back as fast as the upstream reads
 *   client ◀──answer─── upstream        bytes as they come, held back as fast as the client reads
 *
 * Bodies pass with their framing, chunk by chunk and trailers included; of the heads only hop-by-hop headers change.
 * An observer may look on; it never holds anything up.
 */
import { answerFor } from '../error-responses.ts';
import { messageOf, UpstreamProtocolError, UpstreamUnreachableError } from '../errors.ts';
import {
  bodyReader,
  keepsAlive,
  responseFraming,
  type BodyReader,
  type BodySlice,
  type Framing,
} from '../http1/framing.ts';
import {
  endOfHead,
  formatResponseHead,
  MalformedHead,
  MAX_HEAD_BYTES,
  parseResponseHead,
  type ResponseHead,
} from '../http1/head.ts';
import type { Log } from '../log.ts';
import { join } from '../net/tunnel.ts';
import type { ConnectionListener, Lease, UpstreamConnections } from '../upstream/connections.ts';
import { endToEnd, isNamed, type RawHeaders } from '../wire/headers.ts';
import type { BodySink, ClientListener, Exchange } from './exchange.ts';
import { requestHead, type UpstreamName } from './request-head.ts';
import { DeferredBody } from './deferred-body.ts';

/** Looks on while an exchange passes. A throw in it is logged and changes nothing. */
export interface RelayObserver {
  /**
   * The request's body without framing. Returns the same bytes, in the place from where they are to go on: one that lies
   * behind that of the bytes before, and does not change any more, spares putting them together.
   */
  readonly payload?: (bytes: Buffer) => Buffer;
  /** The request has come in whole: told once its bytes have left, but before the answer's end, and before `over`. */
  readonly requestEnd?: () => void;
  /** Headers to add to the answer. */
  readonly head?: (status: number, headers: RawHeaders) => readonly string[];
  /** The answer's body without framing: not at once, but before its end is told. */
  readonly data?: (bytes: Buffer) => void;
  /** Does what is to be done once the answer's last bytes are on their way: tell of its end. Default: `setImmediate`. */
  readonly later?: (work: () => void) => void;
  /** The answer has been passed on whole. */
  readonly end?: () => void;
  /** There will be no answer, or no more of it: the upstream could not be reached, or broke off. */
  readonly failed?: () => void;
  /** The exchange is over, once, in whatever way; `whole` when `end` was told before. Only `failed` may follow it. */
  readonly over?: (whole: boolean) => void;
}

export interface RelayOptions extends UpstreamName {
  readonly connections: UpstreamConnections;
  readonly log: Log;
}

export interface RelayRequest {
  /** The request's headers as they go out, but for `Host` and framing; see request-head.ts. */
  readonly headers: RawHeaders;
  /** Bytes of the body that were read already, framed as they came. */
  readonly early?: readonly Buffer[];
  /** True when `early` is all of it. */
  readonly complete?: boolean;
}

/** Sends a request on and its answer back. */
export function relay(
  options: RelayOptions,
  exchange: Exchange,
  request: RelayRequest,
  observer: RelayObserver = {},
): void {
  new Relay(options, exchange, request, observer).start();
}

class Relay implements BodySink, ClientListener, ConnectionListener {
  private readonly options: RelayOptions;
  private readonly exchange: Exchange;
  private readonly request: RelayRequest;
  private readonly observer: RelayObserver;
  private lease: Lease | null = null;
  private requestDone = false;
  private requestEndNotified = false;
  private head: ResponseHead | null = null;
  /** How the answer's body is delimited, once its head is here. */
  private framing: Framing | null = null;
  private headBytes: Buffer | null = null;
  private body: BodyReader | null = null;
  /** How the answer's body goes out, where it cannot go as it came. */
  private reencoding: 'chunked' | 'plain' | null = null;
  private over = false;
  /** Of an answer that has come in whole: whether the upstream sent more than that. */
  private whole: { readonly surplus: boolean } | null = null;
  /** Of the answer's body, for the observer; null where it does not look. */
  private unseen: DeferredBody | null = null;

  constructor(options: RelayOptions, exchange: Exchange, request: RelayRequest, observer: RelayObserver) {
    this.options = options;
    this.exchange = exchange;
    this.request = request;
    this.observer = observer;
  }

  start(): void {
    this.exchange.setListener(this);
    if (!this.over) this.connect(false);
  }

  private connect(fresh: boolean): void {
    const lease = this.options.connections.lease(fresh);
    if (!(lease instanceof Promise)) this.sendOrFail(lease);
    else {
      lease.then(
        (made) => {
          if (this.over) made.release();
          else this.sendOrFail(made);
        },
        (error: unknown) => this.fail(error),
      );
    }
  }

  private sendOrFail(lease: Lease): void {
    try {
      this.send(lease);
    } catch (error) {
      this.fail(error);
    }
  }

  private send(lease: Lease): void {
    const { early = [], complete = false, headers } = this.request;
    const { out, socket } = lease;
    this.lease = lease;
    lease.setListener(this);
    socket.cork();
    out.write(requestHead(this.options, this.exchange, headers));
    for (const bytes of early) out.write(bytes);
    if (complete) this.end();
    else this.exchange.readBody(this);
    // The head leaves together with the first bytes of the body.
    out.flush();
    socket.uncork();
  }

  // The request's body.

  onPayload(bytes: Buffer): void {
    this.observeBody(bytes);
  }

  write(bytes: Buffer): boolean {
    if (this.over || this.lease === null) return true;
    const isPayload = this.exchange.framing.kind === 'sized';
    return this.lease.out.write(isPayload ? (this.observeBody(bytes) ?? bytes) : bytes);
  }

  /** Returns the observer's view of the bytes, if it has one. */
  private observeBody(bytes: Buffer): Buffer | undefined {
    if (this.over || this.observer.payload === undefined) return undefined;
    return this.observe(() => this.observer.payload?.(bytes));
  }

  /** The request has come in whole. */
  end(): void {
    this.lease?.out.flush();
    this.requestDone = true;
    // What was flushed may wait for the end of this round, because the socket still writes.
    if (this.observer.requestEnd !== undefined) setImmediate(() => this.tellRequestEnd());
  }

  /** Once, and before its answer's head, where that does not come before it. */
  private tellRequestEnd(): void {
    if (!this.requestDone || this.requestEndNotified || this.over) return;
    this.requestEndNotified = true;
    this.observe(() => this.observer.requestEnd?.());
  }

  // The client.

  onClientDrain(): void {
    this.lease?.socket.resume();
  }

  onClientGone(): void {
    this.stop();
  }

  // The connection to the upstream.

  onDrain(): void {
    this.exchange.resumeBody();
  }

  onData(chunk: Buffer): void {
    const { socket } = this.exchange;
    // What comes together leaves together: an answer's head with what is behind it.
    socket.cork();
    try {
      if (this.body === null) this.takeHead(chunk);
      else this.takeBody(chunk);
      if (this.whole !== null) this.exchange.out.flush();
    } catch (error) {
      const message = messageOf(error);
      this.fail(new UpstreamProtocolError(`the API's answer cannot be read as HTTP (${message})`, { cause: error }));
    } finally {
      socket.uncork();
    }
    // The bytes have left. Now for all else.
    if (this.whole === null) this.unseen?.scheduleFlush();
    else if (!this.over) this.complete(this.whole.surplus);
  }

  onClose(broken: boolean): void {
    if (this.over) return;
    const lease = this.lease;
    // A connection that broke, by a reset say, has not told that the answer is whole.
    if (this.closes && !broken) {
      this.complete();
    } else if (this.head !== null) {
      this.stop();
      this.observe(() => this.observer.failed?.());
      this.exchange.truncate(); // as the API's own connection was
    } else if (lease?.reused === true && lease.nothingSent && this.headBytes === null) {
      // Nothing was sent: the connection had been closed before it was used.
      this.connect(true);
    } else {
      const cause = 'the connection was closed before an answer came';
      this.fail(new UpstreamUnreachableError(`${cause}; try again`));
    }
  }

  /** True when the connection's end is the answer's end. */
  private get closes(): boolean {
    return this.framing?.kind === 'close';
  }

  private takeHead(chunk: Buffer): void {
    let bytes = this.headBytes === null ? chunk : Buffer.concat([this.headBytes, chunk]);
    for (;;) {
      const end = endOfHead(bytes);
      if (end < 0) {
        if (bytes.length > MAX_HEAD_BYTES) throw new Error('its header is too large');
        this.headBytes = bytes;
        return;
      }
      const head = parseResponseHead(bytes.subarray(0, end));
      bytes = bytes.subarray(end);
      this.headBytes = null;
      if (head.status === 101) {
        this.upgrade(head, bytes);
        return;
      }
      if (head.status >= 200) {
        this.begin(head, bytes);
        return;
      }
      const { status, reason } = head;
      this.exchange.out.write(formatResponseHead({ status, reason, headers: endToEnd(head.headers) }));
      if (bytes.length === 0) return;
    }
  }

  private begin(head: ResponseHead, rest: Buffer): void {
    const exchange = this.exchange;
    const framing = responseFraming(head, exchange.head.method);
    this.head = head;
    this.framing = framing;
    this.tellRequestEnd();
    const added = this.observe(() => this.observer.head?.(head.status, head.headers)) ?? [];
    const old = exchange.head.version === 'HTTP/1.0';
    if (framing.kind === 'close') this.reencoding = old ? 'plain' : 'chunked';
    else if (framing.kind === 'chunked' && old) this.reencoding = 'plain';
    this.body = bodyReader(framing, this.reencoding === null ? undefined : (bytes) => this.sendReframed(bytes));
    const observer = this.observer;
    if (observer.data !== undefined)
      this.unseen = new DeferredBody(framing, (bytes) => this.observe(() => observer.data?.(bytes)));
    const chunked = this.reencoding === 'chunked' || (framing.kind === 'chunked' && !old);
    // Of a length beside chunks the chunks hold, and the length may not go on (RFC 9112, 6.3).
    const kept = endToEnd(head.headers, (name) => framing.kind === 'chunked' && isNamed(name, 'content-length'));
    if (chunked) kept.push('Transfer-Encoding', 'chunked');
    kept.push(...added);
    // An answer before the request's end: what is left of that will not be read.
    exchange.sendHead(head.status, head.reason, kept, this.reencoding === 'plain' || !this.requestDone);
    if (this.body.done) this.whole = { surplus: rest.length > 0 };
    else if (rest.length > 0) this.takeBody(rest);
    exchange.out.flush();
  }

  private takeBody(chunk: Buffer): void {
    const body = this.body;
    if (body === null) return;
    const slice = this.follow(body, chunk);
    if (slice === null) return;
    const mine = slice.taken === chunk.length ? chunk : chunk.subarray(0, slice.taken);
    if (this.reencoding === null && mine.length > 0) this.exchange.out.write(mine);
    this.unseen?.add(mine);
    if (slice.done) this.whole = { surplus: slice.taken < chunk.length };
    else if (this.exchange.out.isFull) this.lease?.socket.pause();
  }

  /** Null when the answer's framing is broken: the client gets what came, and judges for itself. */
  private follow(body: BodyReader, chunk: Buffer): BodySlice | null {
    try {
      return body.read(chunk);
    } catch (error) {
      if (!(error instanceof MalformedHead)) throw error;
      if (this.reencoding === null) this.exchange.out.write(chunk);
      this.fail(new UpstreamProtocolError(`the API's answer cannot be read as HTTP (${error.message})`));
      return null;
    }
  }

  private sendReframed(bytes: Buffer): void {
    if (bytes.length === 0) return;
    const { out } = this.exchange;
    if (this.reencoding === 'plain') out.write(bytes);
    else out.write(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]));
  }

  /** @param surplus true when the upstream has sent more than its answer: that connection is good for nothing */
  private complete(surplus = false): void {
    if (this.reencoding === 'chunked') this.exchange.out.write(Buffer.from('0\r\n\r\n'));
    const lease = this.lease;
    this.tellRequestEnd();
    const reusable = this.head !== null && keepsAlive(this.head) && !this.closes && this.requestDone && !surplus;
    this.over = true;
    this.detachListeners();
    if (reusable) lease?.release();
    else lease?.socket.destroy();
    this.exchange.out.flush();
    const tell = (): void => {
      this.unseen?.flush();
      this.observe(() => this.observer.end?.());
      this.observe(() => this.observer.over?.(true));
    };
    this.later(tell);
    // The next request may be here already, and builds on that.
    this.exchange.finish();
  }

  private upgrade(head: ResponseHead, rest: Buffer): void {
    const lease = this.lease;
    if (lease === null) return;
    this.tellRequestEnd();
    this.over = true;
    this.detachListeners();
    const { status, reason, headers } = head;
    this.exchange.out.write(formatResponseHead({ status, reason, headers }));
    const ahead = this.exchange.detach();
    // From now on either side may end before the other.
    const upstream = lease.detach();
    for (const socket of [upstream, this.exchange.socket]) socket.allowHalfOpen = true;
    if (rest.length > 0) this.exchange.socket.write(rest);
    join(this.exchange.socket, upstream, ahead);
    this.observe(() => this.observer.over?.(false));
  }

  private fail(error: unknown): void {
    if (this.over) return;
    const begun = this.exchange.answered;
    const message = messageOf(error);
    this.options.log.warn('upstream.failed', { message, begun });
    this.stop();
    this.observe(() => this.observer.failed?.());
    // What had begun can only be cut off.
    if (begun) this.exchange.truncate();
    else this.exchange.refuse(answerFor(error), this.observe(() => this.observer.head?.(502, [])) ?? []);
  }

  /** Ends the exchange in the middle. */
  private stop(): void {
    if (this.over) return;
    this.tellRequestEnd();
    this.over = true;
    this.detachListeners();
    this.lease?.socket.destroy();
    // Before the end is told: nothing may be shown after it.
    this.unseen?.flush();
    this.observe(() => this.observer.over?.(false));
  }

  private detachListeners(): void {
    this.lease?.setListener(null);
    this.exchange.setListener(null);
  }

  private later(work: () => void): void {
    if (this.observer.later === undefined) setImmediate(work);
    else this.observer.later(work);
  }

  private observe<T>(look: () => T): T | undefined {
    try {
      return look();
    } catch (error) {
      this.options.log.error('observer.failed', { message: messageOf(error) });
      return undefined;
    }
  }
}
