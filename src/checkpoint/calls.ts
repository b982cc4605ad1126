/**
 * The checkpoint calls and the requests that they are made from. Bodies and credentials are kept here, outside every
 * machine, only as long as the conversation may need them for a call.
 */
import { randomUUID } from 'node:crypto';
import type { CallFailureKind, CheckpointCallInput, CheckpointRef } from '../../machines/conversation-events.ts';
import { checkpointId, type ConversationId, type Timestamp, type Tokens } from '../../machines/units.ts';
import { performCheckpointCall } from './call.ts';
import type { CallEnd, CheckpointGate } from './gate.ts';
import { checkpointBody } from './request.ts';
import type { ByteBudget, Reservation } from '../net/byte-budget.ts';
import { CheckpointError, messageOf } from '../errors.ts';
import type { HttpClient } from '../upstream/http-client.ts';
import type { RawHeaders } from '../wire/headers.ts';
import { coveredBlocks, type Lineage, type Prefix } from '../wire/lineage.ts';
import { refOf, type CheckpointIndex } from './index.ts';
import type { PublishFact } from '../facts.ts';

/** The request of a completed turn, from which a checkpoint call is made. */
export interface CallSource {
  readonly path: string;
  readonly headers: RawHeaders;
  readonly body: Buffer;
  readonly model: string;
  readonly prefix: Prefix;
  /** Tokens in use at the end of the turn. */
  readonly used: Tokens;
  /** Tokens that are free in the context window. */
  readonly freeTokens: number;
}

/** What a call summarises. */
type CallSubject = Pick<CallSource, 'model' | 'prefix'>;

interface RunningCall {
  readonly subject: CallSubject;
  /** Resolves when the call has ended, in any way. */
  readonly ended: Promise<unknown>;
}

/** A request with the memory that is reserved for it. */
interface BufferedRequest {
  readonly source: CallSource;
  readonly reservation: Reservation;
}

/** The calls of one conversation. The three fields are independent: a retry runs with its request kept after a failure. */
interface CallState {
  /** The request for the next call. `unbuffered`: there was no memory for it, so that call is skipped. */
  readonly request: BufferedRequest | 'unbuffered' | null;
  readonly running: RunningCall | null;
  /** What the last call that failed was about; null once a call has succeeded. */
  readonly failed: CallSubject | null;
}

const NO_CALL: CallState = { request: null, running: null, failed: null };

export interface CheckpointCallsOptions {
  readonly upstream: HttpClient;
  readonly gate: CheckpointGate;
  readonly index: CheckpointIndex;
  /** Memory for the requests; unlimited when left out. */
  readonly budget?: ByteBudget;
  readonly now: () => Timestamp;
  /** A monotonic clock, see `src/clock.ts`. */
  readonly monotonicNow: () => Timestamp;
  readonly publish: PublishFact;
}

const UNLIMITED: Pick<ByteBudget, 'reserve'> = { reserve: () => ({ grow: () => true, release: () => undefined }) };

/** True when a history begins with the subject of a call; after a switch of the model as in `CheckpointIndex.find`. */
function beginsWith(lineage: Lineage, subject: CallSubject, model: string | undefined): boolean {
  if (coveredBlocks(lineage, subject.prefix) > 0) return true;
  return model !== undefined && model !== subject.model && coveredBlocks(lineage, subject.prefix, 'without-system') > 0;
}

const failureOf = (error: unknown): CallFailureKind => (error instanceof CheckpointError ? error.failure : 'transient');

export class CheckpointCalls {
  /** Only conversations whose state differs from {@link NO_CALL}. */
  readonly #states = new Map<ConversationId, CallState>();
  readonly #options: CheckpointCallsOptions;

  constructor(options: CheckpointCallsOptions) {
    this.#options = options;
  }

  /** Number of running calls. */
  get size(): number {
    let running = 0;
    for (const state of this.#states.values()) if (state.running !== null) running += 1;
    return running;
  }

  /** Reserves memory for a request, to be passed to {@link keep} or released; null when the budget is exhausted. */
  reserve(bytes: number): Reservation | null {
    const reservation = (this.#options.budget ?? UNLIMITED).reserve();
    return reservation.grow(bytes) ? reservation : null;
  }

  /**
   * Keeps a request for the next call of its conversation. Without memory for it that call is skipped.
   *
   * @param reserved what {@link reserve} returned; null when it found no memory, which the request before may free now
   */
  keep(conversation: ConversationId, source: CallSource, reserved: Reservation | null = null): void {
    this.release(conversation);
    const bytes = source.body.length;
    const reservation = reserved ?? this.reserve(bytes);
    if (reservation === null) this.#options.publish({ type: 'checkpoint.not_buffered', conversation, bytes });
    this.#change(conversation, { request: reservation === null ? 'unbuffered' : { source, reservation } });
  }

  /** Drops the request that is kept for a conversation. */
  release(conversation: ConversationId): void {
    const { request } = this.#stateOf(conversation);
    if (request === null) return;
    if (request !== 'unbuffered') request.reservation.release();
    this.#change(conversation, { request: null });
  }

  /** Drops the request that is kept for a conversation, and what its last call failed for. */
  forget(conversation: ConversationId): void {
    this.release(conversation);
    this.#change(conversation, { failed: null });
  }

  /** True while a request of the conversation is kept, with body and credentials. */
  hasRequest(conversation: ConversationId): boolean {
    return this.#sourceOf(conversation) !== null;
  }

  /** True while a conversation has a running call, a request for the next one, or one that failed. */
  hasStateFor(conversation: ConversationId): boolean {
    return this.#subjectOf(conversation) !== null;
  }

  /** False when `lineage` does not begin with what the conversation's call is about: running, next or failed. */
  matchesCall(conversation: ConversationId, lineage: Lineage, model?: string): boolean {
    const subject = this.#subjectOf(conversation);
    return subject === null || beginsWith(lineage, subject, model);
  }

  /** Resolves with the end of a running call that summarises a beginning of `lineage`; null when there is none. */
  runningCallFor(lineage: Lineage, model?: string): Promise<unknown> | null {
    for (const { running } of this.#states.values()) {
      if (running !== null && beginsWith(lineage, running.subject, model)) return running.ended;
    }
    return null;
  }

  /**
   * Computes a checkpoint from the request that is kept for a conversation, and adds it to the index. Sends nothing when
   * the gate does not admit the call: the call is skipped then.
   *
   * @throws CheckpointError
   */
  async compute(input: CheckpointCallInput, signal: AbortSignal): Promise<CheckpointRef> {
    const { conversation } = input;
    const { request } = this.#stateOf(conversation);
    if (request === 'unbuffered') throw this.#skipped(input, 'no memory for the request');
    if (request === null) throw new CheckpointError('rejected', 'there is no request to make the checkpoint from');
    const permit = this.#options.gate.acquire();
    if (typeof permit === 'string') throw this.#skipped(input, permit);
    const { model, prefix } = request.source;
    const subject = { model, prefix };
    const work = this.#perform(input, request.source, signal);
    const running = { subject, ended: work.catch(() => undefined) };
    this.#change(conversation, { running });
    let end: CallEnd = 'completed';
    try {
      return await work;
    } catch (error) {
      end = signal.aborted ? 'aborted' : failureOf(error);
      throw error;
    } finally {
      permit.release(end);
      // A newer call of the conversation may have taken the place of an aborted one.
      if (this.#stateOf(conversation).running === running) {
        this.#change(conversation, { running: null });
        if (end !== 'aborted') this.#change(conversation, { failed: end === 'completed' ? null : subject });
      }
    }
  }

  #stateOf(conversation: ConversationId): CallState {
    return this.#states.get(conversation) ?? NO_CALL;
  }

  #change(conversation: ConversationId, change: Partial<CallState>): void {
    const state = { ...this.#stateOf(conversation), ...change };
    if (Object.values(state).every((value) => value === null)) this.#states.delete(conversation);
    else this.#states.set(conversation, state);
  }

  #sourceOf(conversation: ConversationId): CallSource | null {
    const { request } = this.#stateOf(conversation);
    return request === null || request === 'unbuffered' ? null : request.source;
  }

  /** What the running call is about, else the next one, else the one that failed. */
  #subjectOf(conversation: ConversationId): CallSubject | null {
    const { failed, running } = this.#stateOf(conversation);
    return running?.subject ?? this.#sourceOf(conversation) ?? failed;
  }

  #skipped({ conversation, attempt }: CheckpointCallInput, reason: string): CheckpointError {
    this.#options.publish({ type: 'checkpoint.skipped', conversation, attempt, reason });
    return new CheckpointError('skipped', `the checkpoint call was not made (${reason})`);
  }

  async #perform(input: CheckpointCallInput, source: CallSource, signal: AbortSignal): Promise<CheckpointRef> {
    const { index, monotonicNow, now, publish, upstream } = this.#options;
    const { conversation, attempt, replaces } = input;
    const { messages } = source.prefix;
    publish({ type: 'checkpoint.started', conversation, attempt, model: source.model, messages, replaces });
    try {
      const body = checkpointBody(source.body, source.freeTokens);
      if (body === null) throw new CheckpointError('rejected', 'the request could not be read a second time');
      const { path, headers, prefix, model } = source;
      const { summary, usage, duration } = await performCheckpointCall(upstream, { path, headers, body }, signal);
      signal.throwIfAborted();
      const createdAt = now();
      const id = checkpointId(randomUUID());
      const anchorTokens = source.used;
      const checkpoint = { id, conversation, prefix, anchorTokens, summary, model, usage, duration, createdAt };
      index.add(checkpoint, monotonicNow());
      publish({ type: 'checkpoint.completed', conversation, checkpoint });
      return refOf(checkpoint);
    } catch (error) {
      if (signal.aborted) publish({ type: 'checkpoint.aborted', conversation, attempt });
      else {
        const failure = failureOf(error);
        const message = messageOf(error);
        publish({ type: 'checkpoint.failed', conversation, attempt, failure, message });
      }
      throw error;
    }
  }
}
