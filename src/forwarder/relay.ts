/**
 * Relays one exchange:
 *
 *   client ──request──▶ upstream        request-upload.ts
 *   client ◀──answer─── upstream        answer-download.ts
 *
 * Both directions forward bytes as they arrive, with backpressure. Bodies keep their framing, chunk by chunk and with
 * trailers; of the heads only hop-by-hop headers change. This file connects the two and decides how the exchange ends.
 */
import { answerFor } from '../error-responses.ts';
import { messageOf, UpstreamProtocolError, UpstreamUnreachableError } from '../errors.ts';
import { formatResponseHead, type ResponseHead } from '../http1/head.ts';
import type { Log } from '../log.ts';
import { join } from '../net/tunnel.ts';
import type { ConnectionListener, Lease, UpstreamConnections } from '../upstream/connections.ts';
import { AnswerDownload } from './answer-download.ts';
import type { ClientListener, Exchange } from './exchange.ts';
import { ObserverNotifier, type Outcome, type RelayObserver } from './relay-observer.ts';
import type { UpstreamName } from './request-head.ts';
import { RequestUpload, type RelayRequest } from './request-upload.ts';

export interface RelayOptions extends UpstreamName {
  readonly connections: UpstreamConnections;
  readonly log: Log;
}

/** Forwards a request and its answer. */
export function relay(
  options: RelayOptions,
  exchange: Exchange,
  request: RelayRequest,
  observer: RelayObserver = {},
): void {
  new Relay(options, exchange, request, observer).start();
}

class Relay implements ClientListener, ConnectionListener {
  private readonly options: RelayOptions;
  private readonly exchange: Exchange;
  private readonly notifier: ObserverNotifier;
  private readonly upload: RequestUpload;
  private readonly download: AnswerDownload;
  /** Null while connecting. */
  private lease: Lease | null = null;
  private isSettled = false;

  constructor(options: RelayOptions, exchange: Exchange, request: RelayRequest, observer: RelayObserver) {
    this.options = options;
    this.exchange = exchange;
    this.notifier = new ObserverNotifier(observer, options.log);
    this.upload = new RequestUpload(exchange, request, this.notifier);
    this.download = new AnswerDownload(exchange, this.notifier);
  }

  start(): void {
    this.exchange.setListener(this);
    if (!this.isSettled) this.connect(false);
  }

  private connect(forceNew: boolean): void {
    const lease = this.options.connections.lease(forceNew);
    if (!(lease instanceof Promise)) this.send(lease);
    else {
      lease.then(
        (opened) => {
          if (this.isSettled) opened.release();
          else this.send(opened);
        },
        (error: unknown) => this.fail(error),
      );
    }
  }

  private send(lease: Lease): void {
    this.lease = lease;
    lease.setListener(this);
    try {
      this.upload.start(lease, this.options);
    } catch (error) {
      this.fail(error);
    }
  }

  onClientDrain(): void {
    this.lease?.socket.resume();
  }

  onClientGone(): void {
    if (!this.isSettled) this.abort('aborted');
  }

  onDrain(): void {
    this.exchange.resumeBody();
  }

  onData(chunk: Buffer): void {
    const { socket } = this.exchange;
    // An answer's head leaves together with the bytes that arrived behind it.
    socket.cork();
    try {
      this.download.push(chunk, this.upload.isComplete);
    } catch (error) {
      const message = messageOf(error);
      this.fail(new UpstreamProtocolError(`the API's answer cannot be read as HTTP (${message})`, { cause: error }));
    } finally {
      socket.uncork();
    }
    if (this.isSettled) return;
    const { state } = this.download;
    if (state.kind === 'complete') this.complete(state.isConnectionReusable);
    else if (state.kind === 'upgrade') this.upgrade(state.head, state.rest);
    else {
      if (this.exchange.out.isFull) this.lease?.socket.pause();
      this.notifier.scheduleAnswerBody();
    }
  }

  /** @param broken true after a reset: it does not say that an answer is complete */
  onClose(broken: boolean): void {
    if (this.isSettled) return;
    const { lease } = this;
    const { state } = this.download;
    if (!broken && this.download.endWithConnection()) this.complete(false);
    else if (state.kind !== 'head') {
      this.abort('failed');
      this.exchange.truncate(); // as the upstream's own connection was
    } else if (lease?.reused === true && lease.nothingSent && state.bytes === null) {
      // The upstream had closed the idle connection before it was used.
      this.connect(true);
    } else {
      const cause = 'the connection was closed before an answer came';
      this.fail(new UpstreamUnreachableError(`${cause}; try again`));
    }
  }

  private complete(isConnectionReusable: boolean): void {
    const { lease } = this;
    this.settle();
    if (isConnectionReusable && this.upload.isComplete) lease?.release();
    else lease?.socket.destroy();
    this.exchange.out.flush();
    // Before `finish`: the next request may be buffered already, and depends on this one.
    this.notifier.settle('complete');
    this.exchange.finish();
  }

  private upgrade({ headers, reason, status }: ResponseHead, rest: Buffer): void {
    const { exchange, lease } = this;
    if (lease === null) return;
    this.settle();
    exchange.out.write(formatResponseHead({ status, reason, headers }));
    const ahead = exchange.detach();
    const upstream = lease.detach();
    // From now on either side may end before the other.
    for (const socket of [upstream, exchange.socket]) socket.allowHalfOpen = true;
    if (rest.length > 0) exchange.socket.write(rest);
    join(exchange.socket, upstream, ahead);
    this.notifier.settle('aborted');
  }

  private fail(error: unknown): void {
    if (this.isSettled) return;
    const begun = this.exchange.answered;
    this.options.log.warn('upstream.failed', { message: messageOf(error), begun });
    this.abort('failed');
    // An answer that has begun can only be truncated.
    if (begun) this.exchange.truncate();
    else this.exchange.refuse(answerFor(error), this.notifier.answerHeaders());
  }

  /** Ends an exchange whose answer is not complete. */
  private abort(outcome: Outcome): void {
    this.settle();
    this.lease?.socket.destroy();
    this.notifier.settle(outcome);
  }

  /** Stops both directions. */
  private settle(): void {
    this.isSettled = true;
    this.upload.stop();
    this.lease?.setListener(null);
    this.exchange.setListener(null);
  }
}
