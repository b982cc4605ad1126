/** Observes a message request that is forwarded while it arrives, together with its answer. */
import type { RawHeaders } from '../wire/headers.ts';
import type { AnswerObserver } from './answer-observer.ts';
import type { Outcome, RelayObserver } from './relay-observer.ts';
import type { StreamedRequest } from './streamed-request.ts';

export class ExchangeObserver implements RelayObserver {
  private readonly request: StreamedRequest;
  private readonly answer: AnswerObserver;

  constructor(request: StreamedRequest, answer: AnswerObserver) {
    this.request = request;
    this.answer = answer;
  }

  onRequestBody(bytes: Buffer): Buffer {
    return this.request.add(bytes);
  }

  onRequestEnd(): void {
    this.request.end();
  }

  onAnswerHead(status: number, headers: RawHeaders): void {
    this.answer.onAnswerHead(status, headers);
    this.defer(() => this.request.afterAnswerHead());
  }

  answerHeaders(): readonly string[] {
    return this.answer.answerHeaders();
  }

  onAnswerBody(bytes: Buffer): void {
    this.answer.onAnswerBody(bytes);
  }

  onSettled(outcome: Outcome): void {
    try {
      this.answer.onSettled(outcome);
    } finally {
      // Deferred work of an incomplete exchange may still need the copy.
      if (outcome === 'complete') this.request.release();
      else this.defer(() => this.request.release());
    }
  }

  defer(work: () => void): void {
    this.answer.defer(work);
  }
}
