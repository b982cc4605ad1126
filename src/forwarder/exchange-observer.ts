/** Looks on while a message request and its answer pass, and tells its conversation what they meant. */
import { noSubscriber, type ConversationFact } from '../facts.ts';
import type { AnswerReader } from '../wire/answer-reader.ts';
import type { RawHeaders } from '../wire/headers.ts';
import type { ClientHeaders } from '../wire/identity.ts';
import { tapAnswer, type AnswerTap } from './answer-tap.ts';
import { BodyCopy } from './body-copy.ts';
import type { Exchange } from './exchange.ts';
import {
  conversationOf,
  phaseHeaders,
  classifyStreamed,
  classifyByHeaders,
  parseTiming,
  type MessagesOptions,
  type RequestClassification,
  type ParseTiming,
} from './request-classifier.ts';
import type { RelayObserver } from './relay.ts';

/** Follows the answer to a request whose meaning is known: labels it, and tells the conversation how it ended. */
export class TurnObserver implements RelayObserver {
  protected readonly options: MessagesOptions;
  protected readonly labels: ClientHeaders;
  /** What the request turned out to be; null while that is not known. */
  protected reading: RequestClassification | null;
  /** Headers of an answer that is read along; null for one that says nothing about a conversation. */
  protected answer: RawHeaders | null = null;
  private passing: AnswerTap | null = null;

  constructor(options: MessagesOptions, labels: ClientHeaders, reading: RequestClassification | null) {
    this.options = options;
    this.labels = labels;
    this.reading = reading;
  }

  head(status: number, headers: RawHeaders): readonly string[] {
    const { conversations } = this.options;
    const now = this.readingSoFar();
    if (status === 200 && this.saysSomething(now)) this.answer = headers;
    const conversation = conversationOf(now);
    this.later(() => {
      // Without headers it is an answer of our own to a failure, which `failed` hears of.
      if (headers.length > 0) {
        if (status >= 400) this.options.log.warn('api.error', { conversation, status });
        this.tell({ type: 'api.answered', conversation, status });
      }
      this.headPassed();
    });
    return conversation === null
      ? phaseHeaders('IDLE', 'none')
      : phaseHeaders(conversations.phase(conversation), conversation);
  }

  later(work: () => void): void {
    this.options.deferredWork.add(this.labels.session, work);
  }

  data(bytes: Buffer): void {
    this.answerReader()?.push(bytes);
  }

  end(): void {
    this.answerReader()?.end();
  }

  failed(): void {
    this.later(() => this.tell({ type: 'api.failed', conversation: conversationOf(this.readingSoFar()) }));
  }

  protected readingSoFar(): RequestClassification {
    return (this.reading ??= classifyByHeaders(this.options, this.labels));
  }

  /** True when what the answer says is of interest. */
  protected saysSomething(reading: RequestClassification): boolean {
    return reading.kind !== 'none';
  }

  /** The answer's head has left, a while ago. */
  protected headPassed(): void {
    // Nothing is due.
  }

  /** The answer has ended well, and its request is to be read if it is not yet. */
  protected readAtLast(): void {
    // It is known what it is.
  }

  /** Nothing more will be read. */
  protected giveUp(): void {
    // Nothing is kept.
  }

  /** Made when the first bytes are looked at, which is not on their way. */
  private answerReader(): AnswerTap | null {
    if (this.answer === null) return null;
    this.passing ??= tapAnswer(
      this.answer,
      (reader) => this.ended(reader),
      () => this.giveUp(),
    );
    return this.passing;
  }

  private ended(reader: AnswerReader): void {
    if (!reader.completed) return;
    this.readAtLast();
    const now = this.readingSoFar();
    const { conversations } = this.options;
    if (now.kind === 'turn') conversations.completeTurn(now.turn, reader.usage);
    else if (now.kind === 'compaction') conversations.apiCompactionCompleted(now.conversation);
  }

  private tell(observation: ConversationFact): void {
    (this.options.observe ?? noSubscriber)(observation);
  }
}

/** Follows a request that goes on while it comes in, and its answer: what it means is read when {@link parseTiming} says. */
export class StreamedTurnObserver extends TurnObserver {
  private readonly exchange: Exchange;
  private readonly headers: RawHeaders;
  private readonly copy: BodyCopy;
  private isComplete = false;
  private isRead = false;

  /** @param headers the request's, as requestHeaders (request-head.ts) gives them */
  constructor(options: MessagesOptions, exchange: Exchange, labels: ClientHeaders, headers: RawHeaders) {
    super(options, labels, null);
    this.exchange = exchange;
    this.headers = headers;
    this.copy = new BodyCopy(options.budget, exchange.framing);
  }

  payload(bytes: Buffer): Buffer {
    if (this.copy.add(bytes)) return this.copy.lastSlice(bytes.length) ?? bytes;
    this.copy.release();
    return bytes;
  }

  requestEnd(): void {
    this.isComplete = true;
    // What the answer before has told is known by the time this one's begins: its labels say so, and whose turn it is.
    this.options.deferredWork.runFor(this.labels.session);
    if (this.due() === 'immediate') this.read(false);
  }

  over(whole: boolean): void {
    // What was to be done once the head had left may still wait, and need what is given up here.
    if (!whole) this.later(() => this.copy.release());
    else if (this.answer === null) this.copy.release();
  }

  protected override saysSomething(): boolean {
    return true;
  }

  protected override headPassed(): void {
    if (this.due() !== 'after-answer') this.read(false);
  }

  protected override readAtLast(): void {
    this.read(true);
  }

  protected override giveUp(): void {
    this.copy.release();
  }

  private read(answered: boolean): void {
    if (this.isRead || !this.isComplete || this.copy.hasOverflowed) return;
    this.isRead = true;
    const copy = this.copy;
    const whole = { exchange: this.exchange, labels: this.labels, headers: this.headers, copy, body: copy.toBuffer() };
    this.reading = classifyStreamed(this.options, whole, answered) ?? this.readingSoFar();
  }

  private due(): ParseTiming {
    return parseTiming(this.options, this.exchange, this.labels, conversationOf(this.readingSoFar()));
  }
}
