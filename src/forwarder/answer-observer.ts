/** Observes the answer to a message request: labels it with the conversation, and reports how it ended. */
import { noSubscriber, type ConversationFact } from '../facts.ts';
import type { AnswerReader } from '../wire/answer-reader.ts';
import type { RequestedModel } from '../upstream/model-windows.ts';
import type { RawHeaders } from '../wire/headers.ts';
import type { ClientHeaders } from '../wire/identity.ts';
import { windowInError } from '../wire/windows.ts';
import { tapAnswer, type AnswerTap } from './answer-tap.ts';
import type { Outcome, RelayObserver } from './relay-observer.ts';
import {
  classifyByHeaders,
  conversationOf,
  phaseHeaders,
  type MessagesOptions,
  type RequestClassification,
} from './request-classifier.ts';

/** The request of an observed answer. */
export interface ObservedRequest {
  /** What is known of the request so far. */
  readonly classification: RequestClassification;
  /** False when the answer cannot concern a conversation. */
  readonly needsAnswer: boolean;
  /** Classifies the request for good, now that its answer is complete. */
  finalClassification(): RequestClassification;
  /** What the request asks for; null where its body was not parsed. */
  requestedModel(): RequestedModel | null;
}

/** The model of a turn, from its classification; null for any other request. */
export const modelOf = (classification: RequestClassification): RequestedModel | null =>
  classification.kind === 'turn'
    ? { model: classification.turn.parsed.request.model, headers: classification.turn.parsed.headers }
    : null;

/** A request that is not parsed while its answer arrives: its classification is given, or follows from its headers. */
export class ClassifiedRequest implements ObservedRequest {
  private readonly options: MessagesOptions;
  private readonly labels: ClientHeaders;
  private known: RequestClassification | null;

  /** @param classification null: by headers, when the answer arrives */
  constructor(options: MessagesOptions, labels: ClientHeaders, classification: RequestClassification | null) {
    this.options = options;
    this.labels = labels;
    this.known = classification;
  }

  get classification(): RequestClassification {
    return (this.known ??= classifyByHeaders(this.options, this.labels));
  }

  get needsAnswer(): boolean {
    return this.classification.kind !== 'none';
  }

  finalClassification(): RequestClassification {
    return this.classification;
  }

  requestedModel(): RequestedModel | null {
    return modelOf(this.classification);
  }
}

export class AnswerObserver implements RelayObserver {
  private readonly options: MessagesOptions;
  private readonly labels: ClientHeaders;
  private readonly request: ObservedRequest;
  /** Headers of an answer that is parsed; null for any other. */
  private headers: RawHeaders | null = null;
  private tap: AnswerTap | null = null;

  constructor(options: MessagesOptions, labels: ClientHeaders, request: ObservedRequest) {
    this.options = options;
    this.labels = labels;
    this.request = request;
  }

  onAnswerHead(status: number, headers: RawHeaders): void {
    // A 400 can be the error about a prompt that is too long, which names the model's window.
    if ((status === 200 || status === 400) && this.request.needsAnswer) this.headers = headers;
    const conversation = conversationOf(this.request.classification);
    this.defer(() => {
      if (status >= 400) this.options.log.warn('api.error', { conversation, status });
      this.publish({ type: 'api.answered', conversation, status });
    });
  }

  answerHeaders(): readonly string[] {
    const conversation = conversationOf(this.request.classification);
    if (conversation === null) return phaseHeaders('IDLE', 'none');
    return phaseHeaders(this.options.conversations.actors.phase(conversation), conversation);
  }

  onAnswerBody(bytes: Buffer): void {
    this.answerTap()?.push(bytes);
  }

  onSettled(outcome: Outcome): void {
    if (outcome === 'complete') this.answerTap()?.end();
    else if (outcome === 'failed') {
      this.defer(() => this.publish({ type: 'api.failed', conversation: conversationOf(this.request.classification) }));
    }
  }

  defer(work: () => void): void {
    this.options.deferredWork.add(this.labels.session, work);
  }

  /** The tap is created with the first deferred bytes, off the path of the bytes. */
  private answerTap(): AnswerTap | null {
    if (this.headers === null) return null;
    return (this.tap ??= tapAnswer(this.headers, (reader) => this.onRead(reader)));
  }

  private onRead(reader: AnswerReader): void {
    if (reader.error !== null) this.learnWindow(reader.error.message);
    if (!reader.completed) return;
    const classification = this.request.finalClassification();
    const { compactions, turns } = this.options;
    if (classification.kind === 'turn') turns.complete(classification.turn, reader.contextUsage);
    else if (classification.kind === 'compaction') compactions.completeByApi(classification.conversation);
  }

  private learnWindow(message: string): void {
    const window = windowInError(message);
    const requested = window === null ? null : this.request.requestedModel();
    if (window !== null && requested !== null) this.options.modelWindows.learnLimit(requested, window);
  }

  private publish(fact: ConversationFact): void {
    (this.options.publish ?? noSubscriber)(fact);
  }
}
