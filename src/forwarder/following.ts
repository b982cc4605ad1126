/** Looks on while a message request and its answer pass, and tells its conversation what they meant. */
import { unobserved, type Observation } from '../conversations/observation.ts';
import type { AnswerReader } from '../wire/answer.ts';
import type { RawHeaders } from '../wire/headers.ts';
import type { RequestLabels } from '../wire/speaker.ts';
import { readPassingAnswer, type PassingAnswer } from './answer-observer.ts';
import { BodyCopy } from './body-copy.ts';
import type { Exchange } from './exchange.ts';
import {
  conversationOf,
  labelled,
  read,
  unread,
  whenToRead,
  type MessagesOptions,
  type Reading,
  type WhenToRead,
} from './reading.ts';
import type { RelayObserver } from './relay.ts';

/** Follows the answer to a request whose meaning is known: labels it, and tells the conversation how it ended. */
export class Following implements RelayObserver {
  protected readonly options: MessagesOptions;
  protected readonly labels: RequestLabels;
  /** What the request turned out to be; null while that is not known. */
  protected reading: Reading | null;
  /** Headers of an answer that is read along; null for one that says nothing about a conversation. */
  protected answer: RawHeaders | null = null;
  private passing: PassingAnswer | null = null;

  constructor(options: MessagesOptions, labels: RequestLabels, reading: Reading | null) {
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
    return conversation === null ? labelled('IDLE', 'none') : labelled(conversations.phase(conversation), conversation);
  }

  later(work: () => void): void {
    this.options.afterwards.add(this.labels.session, work);
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

  protected readingSoFar(): Reading {
    return (this.reading ??= unread(this.options, this.labels));
  }

  /** True when what the answer says is of interest. */
  protected saysSomething(reading: Reading): boolean {
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
  private answerReader(): PassingAnswer | null {
    if (this.answer === null) return null;
    this.passing ??= readPassingAnswer(
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
    else if (now.kind === 'compaction') conversations.notePassed(now.conversation);
  }

  private tell(observation: Observation): void {
    (this.options.observe ?? unobserved)(observation);
  }
}

/** Follows a request that goes on while it comes in, and its answer: what it means is read when {@link whenToRead} says. */
export class FollowingBoth extends Following {
  private readonly exchange: Exchange;
  private readonly headers: RawHeaders;
  private readonly copy: BodyCopy;
  private isComplete = false;
  private isRead = false;

  /** @param headers the request's, as requestHeaders (request-head.ts) gives them */
  constructor(options: MessagesOptions, exchange: Exchange, labels: RequestLabels, headers: RawHeaders) {
    super(options, labels, null);
    this.exchange = exchange;
    this.headers = headers;
    this.copy = new BodyCopy(options.budget, exchange.framing);
  }

  payload(bytes: Buffer): Buffer {
    if (this.copy.add(bytes)) return this.copy.tail(bytes.length) ?? bytes;
    this.copy.drop();
    return bytes;
  }

  requestEnd(): void {
    this.isComplete = true;
    // What the answer before has told is known by the time this one's begins: its labels say so, and whose turn it is.
    this.options.afterwards.finish(this.labels.session);
    if (this.due() === 'at once') this.read(false);
  }

  over(whole: boolean): void {
    // What was to be done once the head had left may still wait, and need what is given up here.
    if (!whole) this.later(() => this.copy.drop());
    else if (this.answer === null) this.copy.drop();
  }

  protected override saysSomething(): boolean {
    return true;
  }

  protected override headPassed(): void {
    if (this.due() !== 'at its end') this.read(false);
  }

  protected override readAtLast(): void {
    this.read(true);
  }

  protected override giveUp(): void {
    this.copy.drop();
  }

  private read(answered: boolean): void {
    if (this.isRead || !this.isComplete || this.copy.overflowed) return;
    this.isRead = true;
    const copy = this.copy;
    const whole = { exchange: this.exchange, labels: this.labels, headers: this.headers, copy, body: copy.take() };
    this.reading = read(this.options, whole, answered) ?? this.readingSoFar();
  }

  private due(): WhenToRead {
    return whenToRead(this.options, this.exchange, this.labels, conversationOf(this.readingSoFar()));
  }
}
