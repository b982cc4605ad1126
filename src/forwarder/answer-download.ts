/** The download of a relay: sends the upstream's answer to the client as it arrives, with its framing. */
import { bodyReader, keepsAlive, responseFraming, type BodyReader } from '../http1/framing.ts';
import { endOfHead, formatResponseHead, MAX_HEAD_BYTES, parseResponseHead, type ResponseHead } from '../http1/head.ts';
import { endToEnd, hasName } from '../wire/headers.ts';
import type { Exchange } from './exchange.ts';
import type { ObserverNotifier } from './relay-observer.ts';

/** How a body is sent that the client cannot get as received; null: as received. */
type Reencoding = 'chunked' | 'plain' | null;

type AnswerState =
  /** `bytes` is the received part of the head; null when nothing of it has arrived. */
  | { readonly kind: 'head'; readonly bytes: Buffer | null }
  | {
      readonly kind: 'body';
      readonly reader: BodyReader;
      readonly reencoding: Reencoding;
      /** True when the body ends with the connection. */
      readonly endsWithConnection: boolean;
      readonly keepsAlive: boolean;
    }
  /** All of the answer has been passed on. */
  | { readonly kind: 'complete'; readonly isConnectionReusable: boolean }
  /** The upstream switches protocols; `rest` is the beginning of the new one. */
  | { readonly kind: 'upgrade'; readonly head: ResponseHead; readonly rest: Buffer };

export class AnswerDownload {
  private readonly exchange: Exchange;
  private readonly notifier: ObserverNotifier;
  private current: AnswerState = { kind: 'head', bytes: null };

  constructor(exchange: Exchange, notifier: ObserverNotifier) {
    this.exchange = exchange;
    this.notifier = notifier;
  }

  get state(): AnswerState {
    return this.current;
  }

  /**
   * Passes on the next bytes.
   *
   * @param isRequestComplete false for an answer before its request's end, whose rest is not read
   * @throws Error, MalformedHead when the bytes cannot be read as HTTP
   */
  push(chunk: Buffer, isRequestComplete: boolean): void {
    if (this.current.kind === 'head') this.readHead(this.current.bytes, chunk, isRequestComplete);
    else if (this.current.kind === 'body') this.readBody(this.current, chunk);
    if (this.current.kind === 'complete') this.exchange.out.flush();
  }

  /** Ends a body that ends with the connection. Returns false for any other. */
  endWithConnection(): boolean {
    const { current } = this;
    if (current.kind !== 'body' || !current.endsWithConnection) return false;
    this.complete(current.reencoding, false);
    return true;
  }

  private readHead(before: Buffer | null, chunk: Buffer, isRequestComplete: boolean): void {
    let bytes = before === null ? chunk : Buffer.concat([before, chunk]);
    while (bytes.length > 0) {
      const end = endOfHead(bytes);
      if (end < 0) {
        if (bytes.length > MAX_HEAD_BYTES) throw new Error('its header is too large');
        this.current = { kind: 'head', bytes };
        return;
      }
      const head = parseResponseHead(bytes.subarray(0, end));
      bytes = bytes.subarray(end);
      if (head.status === 101) {
        this.current = { kind: 'upgrade', head, rest: bytes };
        return;
      }
      if (head.status >= 200) {
        this.begin(head, bytes, isRequestComplete);
        return;
      }
      const { status, reason } = head;
      this.exchange.out.write(formatResponseHead({ status, reason, headers: endToEnd(head.headers) }));
    }
    this.current = { kind: 'head', bytes: null };
  }

  private begin(head: ResponseHead, rest: Buffer, isRequestComplete: boolean): void {
    const { exchange } = this;
    const framing = responseFraming(head, exchange.head.method);
    const isChunked = framing.kind === 'chunked';
    const endsWithConnection = framing.kind === 'close';
    const isOldClient = exchange.head.version === 'HTTP/1.0';
    let reencoding: Reencoding = null;
    if (isOldClient && (isChunked || endsWithConnection)) reencoding = 'plain';
    else if (endsWithConnection) reencoding = 'chunked';
    const reader = bodyReader(
      framing,
      reencoding === null ? undefined : (bytes) => this.sendReencoded(bytes, reencoding),
    );
    const state = { kind: 'body', reader, reencoding, endsWithConnection, keepsAlive: keepsAlive(head) } as const;
    this.current = state;
    const added = this.notifier.answerHead(head.status, head.headers, framing);
    // Chunks take precedence over a length, which may not be forwarded beside them (RFC 9112, 6.3).
    const headers = endToEnd(head.headers, (name) => isChunked && hasName(name, 'content-length'));
    if (reencoding === 'chunked' || (isChunked && !isOldClient)) headers.push('Transfer-Encoding', 'chunked');
    headers.push(...added);
    exchange.sendHead(head.status, head.reason, headers, reencoding === 'plain' || !isRequestComplete);
    if (reader.done) this.complete(reencoding, state.keepsAlive && rest.length === 0);
    else if (rest.length > 0) this.readBody(state, rest);
    exchange.out.flush();
  }

  private readBody(state: Extract<AnswerState, { kind: 'body' }>, chunk: Buffer): void {
    const { reader, reencoding } = state;
    const { out } = this.exchange;
    let slice;
    try {
      slice = reader.read(chunk);
    } catch (error) {
      // The client gets what has arrived and judges for itself.
      if (reencoding === null) out.write(chunk);
      throw error;
    }
    const body = slice.taken === chunk.length ? chunk : chunk.subarray(0, slice.taken);
    if (reencoding === null && body.length > 0) out.write(body);
    this.notifier.addAnswerBody(body);
    // More bytes than the answer has make the connection unusable.
    if (slice.done) this.complete(reencoding, state.keepsAlive && body.length === chunk.length);
  }

  private complete(reencoding: Reencoding, isConnectionReusable: boolean): void {
    if (reencoding === 'chunked') this.exchange.out.write(Buffer.from('0\r\n\r\n'));
    this.current = { kind: 'complete', isConnectionReusable };
  }

  private sendReencoded(bytes: Buffer, reencoding: Reencoding): void {
    if (bytes.length === 0) return;
    const { out } = this.exchange;
    if (reencoding === 'plain') out.write(bytes);
    else out.write(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]));
  }
}
