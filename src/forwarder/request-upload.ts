/** The upload of a relay: sends a request's head to the upstream, then the body as it arrives from the client. */
import type { BatchWriter } from '../http1/batch-writer.ts';
import type { Lease } from '../upstream/connections.ts';
import type { RawHeaders } from '../wire/headers.ts';
import type { BodySink, Exchange } from './exchange.ts';
import type { ObserverNotifier } from './relay-observer.ts';
import { requestHead, type UpstreamName } from './request-head.ts';

export interface RelayRequest {
  /** The request's headers to send, except `Host` and framing (request-head.ts). */
  readonly headers: RawHeaders;
  /** Bytes of the body that have already been read, framing included. */
  readonly early?: readonly Buffer[];
  /** True when `early` is the whole body. */
  readonly complete?: boolean;
}

export class RequestUpload implements BodySink {
  /** True once the whole request has been handed to the connection. */
  isComplete = false;
  private readonly exchange: Exchange;
  private readonly request: RelayRequest;
  private readonly notifier: ObserverNotifier;
  private readonly isSized: boolean;
  /** Null before the start and after the end of the relay; the body is dropped then. */
  private out: BatchWriter | null = null;

  constructor(exchange: Exchange, request: RelayRequest, notifier: ObserverNotifier) {
    this.exchange = exchange;
    this.request = request;
    this.notifier = notifier;
    this.isSized = exchange.framing.kind === 'sized';
  }

  /** Sends the request over a connection, again over another one when the first has sent nothing. */
  start({ out, socket }: Lease, upstream: UpstreamName): void {
    const { early = [], complete = false, headers } = this.request;
    this.out = out;
    socket.cork();
    out.write(requestHead(upstream, this.exchange, headers));
    for (const bytes of early) out.write(bytes);
    if (complete) this.end();
    else this.exchange.readBody(this);
    // The head leaves together with the first bytes of the body.
    out.flush();
    socket.uncork();
  }

  /** Drops the rest of the body. */
  stop(): void {
    this.out = null;
  }

  onPayload(bytes: Buffer): void {
    this.notifier.requestBody(bytes);
  }

  write(bytes: Buffer): boolean {
    if (this.out === null) return true;
    return this.out.write(this.isSized ? this.notifier.requestBody(bytes) : bytes);
  }

  end(): void {
    this.out?.flush();
    this.isComplete = true;
    this.notifier.requestEnd();
  }
}
