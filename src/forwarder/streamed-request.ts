/** A message request that is forwarded while it arrives: its body is copied, and parsed when {@link parseTiming} says. */
import type { RawHeaders } from '../wire/headers.ts';
import type { ClientHeaders } from '../wire/identity.ts';
import type { RequestedModel } from '../upstream/model-windows.ts';
import { readMessageRequest } from '../wire/message-request.ts';
import { BodyCopy, decodeBody } from './body-copy.ts';
import type { Exchange } from './exchange.ts';
import { modelOf, type ObservedRequest } from './answer-observer.ts';
import {
  classifyByHeaders,
  classifyStreamed,
  conversationOf,
  parseTiming,
  type MessagesOptions,
  type ParseTiming,
  type RequestClassification,
} from './request-classifier.ts';

export class StreamedRequest implements ObservedRequest {
  /** Only parsing tells whether the answer concerns a conversation. */
  readonly needsAnswer = true;
  private readonly options: MessagesOptions;
  private readonly exchange: Exchange;
  private readonly labels: ClientHeaders;
  private readonly headers: RawHeaders;
  private readonly copy: BodyCopy;
  private known: RequestClassification | null = null;
  private state: 'incomplete' | 'complete' | 'parsed' = 'incomplete';

  /** @param headers from requestHeaders (request-head.ts) */
  constructor(options: MessagesOptions, exchange: Exchange, labels: ClientHeaders, headers: RawHeaders) {
    this.options = options;
    this.exchange = exchange;
    this.labels = labels;
    this.headers = headers;
    this.copy = new BodyCopy(options.budget, exchange.framing);
  }

  get classification(): RequestClassification {
    return (this.known ??= classifyByHeaders(this.options, this.labels));
  }

  /** Copies payload. Returns the same bytes, as a view into the copy where possible. */
  add(bytes: Buffer): Buffer {
    if (this.copy.add(bytes)) return this.copy.lastSlice(bytes.length) ?? bytes;
    this.copy.release();
    return bytes;
  }

  end(): void {
    this.state = 'complete';
    // The classification and the phase of this request depend on the session's previous answer.
    this.options.deferredWork.runFor(this.labels.session);
    if (this.timing === 'immediate') this.parse(false);
  }

  afterAnswerHead(): void {
    if (this.timing !== 'after-answer') this.parse(false);
  }

  finalClassification(): RequestClassification {
    this.parse(true);
    return this.classification;
  }

  requestedModel(): RequestedModel | null {
    if (this.state !== 'complete' || this.copy.hasOverflowed) return modelOf(this.classification);
    const body = decodeBody(this.headers, this.copy.toBuffer());
    const request = body === null ? null : readMessageRequest(body);
    return request === null ? null : { model: request.model, headers: this.headers };
  }

  /** Releases the copy: the request is not parsed after this. */
  release(): void {
    this.copy.release();
  }

  private get timing(): ParseTiming {
    return parseTiming(this.options, this.exchange, this.labels, conversationOf(this.classification));
  }

  private parse(answered: boolean): void {
    if (this.state !== 'complete' || this.copy.hasOverflowed) return;
    this.state = 'parsed';
    const { copy, exchange, headers, labels } = this;
    const request = { exchange, labels, headers, copy, body: copy.toBuffer() };
    this.known = classifyStreamed(this.options, request, answered) ?? this.classification;
  }
}
