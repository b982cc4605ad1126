/** Sends one answer at its pace, and applies its faults. */
import { apiError, errorBody, promptTooLong, type ApiError } from './api-errors.ts';
import { type BreakingFault, type RawAnswer, type Speed } from './behaviour.ts';
import { formatEvent, type StreamEvent } from './events.ts';
import { modifier, type FaultPlan } from './faults.ts';
import { GARBAGE_HTTP, GARBAGE_SSE, noise } from './noise.ts';
import { AnswerAborted, type OutgoingResponse } from './outgoing.ts';

/** Events that are sent before a fault in mid-stream where it does not say. */
const DEFAULT_AFTER_EVENTS = 3;

const STREAM_HEADERS = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' };

type Headers = Readonly<Record<string, string>>;

/** An answer and its faults. */
export class Delivery {
  readonly #out: OutgoingResponse;
  readonly #requestId: string;
  #plan: FaultPlan = { breaking: undefined, modifying: [] };

  constructor(out: OutgoingResponse, requestId: string) {
    this.#out = out;
    this.#requestId = requestId;
  }

  /** The faults to apply; later ones are added to earlier ones. */
  misbehave(plan: FaultPlan): void {
    const breaking = this.#plan.breaking ?? plan.breaking;
    this.#plan = { breaking, modifying: [...this.#plan.modifying, ...plan.modifying] };
    this.#out.mode = {
      chunking: modifier(this.#plan, 'chunking'),
      compression: modifier(this.#plan, 'compression'),
    };
  }

  /** A speed after the faults that change it. */
  slowed(speed: Speed): Speed {
    const { firstByteMs = speed.firstByteMs ?? 0, tokensPerSecond = speed.tokensPerSecond ?? Infinity } =
      modifier(this.#plan, 'slow') ?? {};
    return { firstByteMs, tokensPerSecond };
  }

  /** Applies a fault that replaces the ordinary answer. */
  async strikeBeforeHead(): Promise<void> {
    const fault = this.#plan.breaking;
    switch (fault?.kind) {
      case 'status':
        await this.#faultyStatus(fault);
        throw new AnswerAborted(fault.kind);
      case 'prompt_too_long': {
        const { tokens = 200_001, maximum = 200_000 } = fault;
        await this.pause(this.slowed({}).firstByteMs ?? 0);
        await this.error(promptTooLong(tokens, maximum));
        throw new AnswerAborted(fault.kind);
      }
      case 'garbage_http':
        return this.#out.garbage(fault.bytes ?? GARBAGE_HTTP);
      case 'disconnect':
      case 'silence':
        if (fault.at === 'before_head' || fault.at === 'upload') await this.#strike(fault);
        return;
      default:
    }
  }

  /** Sends a JSON answer in one piece. */
  async json(status: number, body: string, headers: Headers = {}): Promise<void> {
    const bytes = Buffer.from(body);
    const length = this.#out.encoding === undefined ? { 'content-length': String(bytes.length) } : {};
    await this.#head(status, { 'content-type': 'application/json', ...length, ...headers });
    const fault = this.#plan.breaking;
    const half = bytes.length / 2;
    await this.#out.send(bytes.subarray(0, half));
    if (fault !== undefined && inMidStream(fault)) await this.#strike(fault);
    await this.#out.send(bytes.subarray(half));
    await this.#out.end();
  }

  /** Sends the API's answer to a request that it refuses. */
  async error(error: ApiError, headers: Headers = {}): Promise<void> {
    const retry = { 'x-should-retry': String(error.status === 429 || error.status >= 500) };
    await this.json(error.status, errorBody(error, this.#requestId), { ...retry, ...headers });
  }

  /** Sends a stream of events at a given speed. `begun` is called when the head goes out. */
  async stream(events: Iterable<StreamEvent>, speed: Speed, headers: Headers, begun: () => void): Promise<void> {
    await this.pause(speed.firstByteMs ?? 0);
    begun();
    await this.#head(200, { ...STREAM_HEADERS, ...headers });
    const fault = this.#plan.breaking;
    let strikeAt = fault !== undefined && inMidStream(fault) ? (fault.afterEvents ?? DEFAULT_AFTER_EVENTS) : -1;
    const noisy = modifier(this.#plan, 'noise') !== undefined;
    const start = performance.now();
    let count = 0;
    let tokens = 0;
    for (const event of events) {
      const text = formatEvent(event);
      if (count === strikeAt) {
        strikeAt = -1;
        await this.#strike(fault, text);
      }
      tokens += event.tokens;
      // By the clock instead of the last event, so that delays do not add up.
      await this.pause(start + (tokens * 1000) / (speed.tokensPerSecond ?? Infinity) - performance.now());
      await this.#out.send(Buffer.from(noisy ? noise(count) + text : text));
      count += 1;
    }
    if (strikeAt !== -1) await this.#strike(fault);
    await this.#out.end();
  }

  /** Sends a scripted answer byte for byte. */
  async raw(answer: RawAnswer): Promise<void> {
    await this.#head(answer.status ?? 200, { ...STREAM_HEADERS, ...answer.headers });
    for (const chunk of answer.chunks) {
      if (typeof chunk === 'number') await this.pause(chunk);
      else await this.#out.send(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
    }
    if (answer.ending === 'cut') await this.#out.breakOff('cut');
    if (answer.ending === 'silence') await this.#out.silence();
    await this.#out.end();
  }

  /** Waits; throws when the client disconnects. */
  pause(ms: number): Promise<void> {
    return this.#out.pause(ms);
  }

  /** Awaits `work`; throws when the client disconnects before. */
  unlessGone<Result>(work: Promise<Result>): Promise<Result> {
    return this.#out.raceWithAbort(work);
  }

  async #head(status: number, headers: Headers): Promise<void> {
    this.#out.head(status, headers);
    const fault = this.#plan.breaking;
    if ((fault?.kind === 'disconnect' || fault?.kind === 'silence') && fault.at === 'after_head') {
      this.#out.flushHead();
      await this.#strike(fault);
    }
  }

  /** Applies a fault; `next` is the event that would have been sent. */
  async #strike(fault: BreakingFault | undefined, next = ''): Promise<void> {
    switch (fault?.kind) {
      case 'error_event': {
        const { type, message } = apiError(529, fault.message, fault.type);
        const data = { type: 'error', error: { type, message }, request_id: this.#requestId };
        await this.#out.send(Buffer.from(formatEvent({ name: 'error', data })));
        await this.#out.end();
        throw new AnswerAborted(fault.kind);
      }
      case 'garbage_sse':
        return this.#out.send(Buffer.from(fault.text ?? GARBAGE_SSE));
      case 'disconnect':
        if (fault.partial === true) await this.#sendHalf(next);
        return this.#out.breakOff(fault.how ?? 'cut');
      case 'silence':
        if (fault.partial === true) await this.#sendHalf(next);
        return this.#out.silence();
      default:
    }
  }

  async #sendHalf(text: string): Promise<void> {
    await this.#out.send(Buffer.from(text.slice(0, text.length / 2)));
  }

  async #faultyStatus(fault: Extract<BreakingFault, { kind: 'status' }>): Promise<void> {
    await this.pause(this.slowed({}).firstByteMs ?? 0);
    const retry = fault.retryAfter === undefined ? {} : { 'retry-after': String(fault.retryAfter) };
    const headers = { ...retry, ...fault.headers };
    if (fault.body === undefined) await this.error(apiError(fault.status, fault.message, fault.type), headers);
    else await this.json(fault.status, fault.body, headers);
  }
}

type MidStreamFault = Extract<BreakingFault, { afterEvents?: number }>;

function inMidStream(fault: BreakingFault): fault is MidStreamFault {
  if (fault.kind === 'disconnect' || fault.kind === 'silence') return fault.at === 'mid_stream';
  return fault.kind === 'error_event' || fault.kind === 'garbage_sse';
}
