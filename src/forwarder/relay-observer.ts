/** The observer of a relayed exchange, and the order of its notifications. */
import { messageOf } from '../errors.ts';
import type { Framing } from '../http1/framing.ts';
import type { Log } from '../log.ts';
import type { RawHeaders } from '../wire/headers.ts';
import { DeferredBody } from './deferred-body.ts';

/**
 * How an exchange ended:
 * - `complete`: the whole answer was sent to the client;
 * - `failed`: the upstream could not be reached, or broke off;
 * - `aborted`: the client disconnected, or both sides switched to another protocol.
 */
export type Outcome = 'complete' | 'failed' | 'aborted';

/** Observes an exchange without delaying it. An error that it throws is logged and has no other effect. */
export interface RelayObserver {
  /**
   * Receives payload of the request's body. Returns the bytes to forward: a view into the observer's own contiguous copy
   * lets the writer merge adjacent views without copying.
   */
  readonly onRequestBody?: (bytes: Buffer) => Buffer;
  /** The request is complete and its last bytes have been written. */
  readonly onRequestEnd?: () => void;
  /** The head of the upstream's answer has arrived. */
  readonly onAnswerHead?: (status: number, headers: RawHeaders) => void;
  /** Headers to add to the upstream's answer, or to the proxy's own error in its place. */
  readonly answerHeaders?: () => readonly string[];
  /** Receives payload of the answer's body, in batches. */
  readonly onAnswerBody?: (bytes: Buffer) => void;
  /** Called once, last. */
  readonly onSettled?: (outcome: Outcome) => void;
  /** Runs work after the answer's last bytes have been sent. Default: `setImmediate`. */
  readonly defer?: (work: () => void) => void;
}

/**
 * Notifies an observer in this order:
 *
 *   onRequestBody* ─▶ onRequestEnd ─┐
 *                                   ├─▶ onSettled
 *   onAnswerHead ─▶ onAnswerBody* ──┘
 *
 * The end of a request precedes the answer's head if the request was complete by then.
 */
export class ObserverNotifier {
  private readonly observer: RelayObserver;
  private readonly log: Log;
  private request: 'incomplete' | 'complete' | 'notified' = 'incomplete';
  private answerBody: DeferredBody | null = null;
  private isSettled = false;

  constructor(observer: RelayObserver, log: Log) {
    this.observer = observer;
    this.log = log;
  }

  /** Returns the bytes to forward. */
  requestBody(bytes: Buffer): Buffer {
    if (this.isSettled || this.observer.onRequestBody === undefined) return bytes;
    try {
      return this.observer.onRequestBody(bytes);
    } catch (error) {
      this.logError(error);
      return bytes;
    }
  }

  /** Schedules the notification, once: the socket may write the last bytes only at the end of this round of the event loop. */
  requestEnd(): void {
    if (this.request !== 'incomplete') return;
    this.request = 'complete';
    if (this.observer.onRequestEnd !== undefined) setImmediate(() => this.notifyRequestEnd());
  }

  /** Returns the headers to add to the answer. */
  answerHead(status: number, headers: RawHeaders, framing: Framing): readonly string[] {
    this.notifyRequestEnd();
    const { observer } = this;
    this.contain(() => observer.onAnswerHead?.(status, headers));
    if (observer.onAnswerBody !== undefined) {
      this.answerBody = new DeferredBody(framing, (bytes) => this.contain(() => observer.onAnswerBody?.(bytes)));
    }
    return this.answerHeaders();
  }

  answerHeaders(): readonly string[] {
    return this.contain(() => this.observer.answerHeaders?.()) ?? [];
  }

  /** Adds bytes of the answer's body, framing included. */
  addAnswerBody(bytes: Buffer): void {
    this.answerBody?.add(bytes);
  }

  scheduleAnswerBody(): void {
    this.answerBody?.scheduleFlush();
  }

  /** A complete exchange settles later, because its last bytes are sent first; the others settle now. */
  settle(outcome: Outcome): void {
    if (this.isSettled) return;
    this.notifyRequestEnd();
    this.isSettled = true;
    const notify = (): void => {
      this.answerBody?.flush();
      this.contain(() => this.observer.onSettled?.(outcome));
    };
    if (outcome !== 'complete') notify();
    else if (this.observer.defer === undefined) setImmediate(notify);
    else this.observer.defer(notify);
  }

  private notifyRequestEnd(): void {
    if (this.request !== 'complete' || this.isSettled) return;
    this.request = 'notified';
    this.contain(() => this.observer.onRequestEnd?.());
  }

  private contain<T>(notify: () => T): T | undefined {
    try {
      return notify();
    } catch (error) {
      this.logError(error);
      return undefined;
    }
  }

  private logError(error: unknown): void {
    this.log.error('observer.failed', { message: messageOf(error) });
  }
}
