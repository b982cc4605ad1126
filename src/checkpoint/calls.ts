/**
 * The checkpoint calls under way, and the requests they are made from. Bodies and credentials are held here, outside
 * every machine, for as long as a conversation may need them for a call, and no longer.
 */
import { randomUUID } from 'node:crypto';
import type { CallFailureKind, CheckpointCallInput, CheckpointRef } from '../../machines/conversation-events.ts';
import { checkpointId, type ConversationId, type Timestamp, type Tokens } from '../../machines/units.ts';
import { performCheckpointCall } from './call.ts';
import type { CallEnd, CheckpointGate } from './gate.ts';
import { checkpointBody } from './request.ts';
import type { ByteBudget, Reservation } from '../net/byte-budget.ts';
import { CheckpointError, messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Upstream } from '../upstream/http-client.ts';
import type { RawHeaders } from '../wire/headers.ts';
import { coveredBlocks, type Lineage, type Prefix } from '../wire/lineage.ts';
import { refOf, type CheckpointIndex } from './index.ts';
import type { PublishFact } from '../facts.ts';

/** A completed turn's request, as a checkpoint call is made from it. */
export interface CallSource {
  readonly path: string;
  readonly headers: RawHeaders;
  readonly body: Buffer;
  readonly model: string;
  readonly prefix: Prefix;
  /** Tokens in use at the turn's end. */
  readonly used: Tokens;
  /** Tokens that the window has left. */
  readonly room: number;
}

/** What a call summarises. */
interface Subject {
  readonly prefix: Prefix;
  readonly model: string;
}

interface RunningCall extends Subject {
  readonly ended: Promise<unknown>;
}

export interface CheckpointCallsOptions {
  readonly upstream: Upstream;
  readonly gate: CheckpointGate;
  readonly index: CheckpointIndex;
  /** Room for the requests that are held; any amount where it is not given. */
  readonly budget?: ByteBudget;
  readonly log: Log;
  readonly now: () => Timestamp;
  /** A clock that nobody sets, see `src/clock.ts`. */
  readonly steady: () => Timestamp;
  readonly publish: PublishFact;
}

/** Where nobody counts bytes. */
const UNLIMITED: Pick<ByteBudget, 'reserve'> = { reserve: () => ({ grow: () => true, release: () => undefined }) };

/** True when a history begins with what a call is about; after a switch of the model as in `CheckpointIndex.find`. */
function covers(about: Subject, lineage: Lineage, model: string | undefined): boolean {
  if (coveredBlocks(lineage, about.prefix) > 0) return true;
  return model !== undefined && model !== about.model && coveredBlocks(lineage, about.prefix, 'bare') > 0;
}

const failureOf = (error: unknown): CallFailureKind => (error instanceof CheckpointError ? error.failure : 'transient');

export class CheckpointCalls {
  readonly #sources = new Map<ConversationId, CallSource>();
  /** Room that the sources take up. */
  readonly #reservations = new Map<ConversationId, Reservation>();
  /** Conversations whose request there was no room for. */
  readonly #unbuffered = new Set<ConversationId>();
  readonly #running = new Map<ConversationId, RunningCall>();
  /** What the last call of a conversation was about, where it failed. */
  readonly #failed = new Map<ConversationId, Subject>();
  readonly #options: CheckpointCallsOptions;

  constructor(options: CheckpointCallsOptions) {
    this.#options = options;
  }

  /** Calls under way. */
  get size(): number {
    return this.#running.size;
  }

  /** Room for a request of so many bytes, to be given to {@link hold} or back; null where there is none. */
  reserve(bytes: number): Reservation | null {
    const room = (this.#options.budget ?? UNLIMITED).reserve();
    return room.grow(bytes) ? room : null;
  }

  /**
   * Keeps a request for the call that its conversation may want now. Where there is no room, that call is skipped.
   *
   * @param made the room that was made for it; null where there was none as long as its predecessor was held
   */
  hold(conversation: ConversationId, source: CallSource, made: Reservation | null = null): void {
    this.release(conversation);
    const room = made ?? this.reserve(source.body.length);
    if (room === null) {
      this.#options.log.debug('checkpoint.unheld', { conversation, bytes: source.body.length });
      this.#unbuffered.add(conversation);
      return;
    }
    this.#reservations.set(conversation, room);
    this.#sources.set(conversation, source);
  }

  /** Lets go of the request kept for a conversation. */
  release(conversation: ConversationId): void {
    this.#sources.delete(conversation);
    this.#reservations.get(conversation)?.release();
    this.#reservations.delete(conversation);
    this.#unbuffered.delete(conversation);
  }

  /** Lets go of the request kept for a conversation, and of what its last call failed for. */
  forget(conversation: ConversationId): void {
    this.release(conversation);
    this.#failed.delete(conversation);
  }

  /** True while a conversation's request, body and credentials included, is kept. */
  holds(conversation: ConversationId): boolean {
    return this.#sources.has(conversation);
  }

  /** True while a conversation has a call under way, a request kept for the next try, or one that failed. */
  hasStateFor(conversation: ConversationId): boolean {
    return this.#running.has(conversation) || this.#sources.has(conversation) || this.#failed.has(conversation);
  }

  /** False when a conversation's call, running, about to be tried again or failed, is about a history that `lineage` has left. */
  matchesCall(conversation: ConversationId, lineage: Lineage, model?: string): boolean {
    const about = this.#running.get(conversation) ?? this.#sources.get(conversation) ?? this.#failed.get(conversation);
    return about === undefined || covers(about, lineage, model);
  }

  /** The end of the running call that is worth waiting for: any that summarises a beginning of `lineage`; else null. */
  runningCallFor(lineage: Lineage, model?: string): Promise<unknown> | null {
    for (const call of this.#running.values()) if (covers(call, lineage, model)) return call.ended;
    return null;
  }

  /**
   * Computes a checkpoint for a conversation from the request held for it, and adds it to the index. Sends nothing
   * where the gate does not let it through: then it was skipped.
   *
   * @throws CheckpointError
   */
  async compute(input: CheckpointCallInput, signal: AbortSignal): Promise<CheckpointRef> {
    const source = this.#sources.get(input.conversation);
    if (source === undefined) {
      if (this.#unbuffered.has(input.conversation)) throw this.#skipped(input, 'no room to hold the request');
      throw new CheckpointError('rejected', 'there is no request to make the checkpoint from');
    }
    const pass = this.#options.gate.acquire();
    if (typeof pass === 'string') throw this.#skipped(input, pass);
    const work = this.#perform(input, source, signal);
    const call = { prefix: source.prefix, model: source.model, ended: work.catch(() => undefined) };
    this.#running.set(input.conversation, call);
    let end: CallEnd = 'completed';
    try {
      return await work;
    } catch (error) {
      end = signal.aborted ? 'aborted' : failureOf(error);
      throw error;
    } finally {
      pass.release(end);
      if (this.#running.get(input.conversation) === call) this.#running.delete(input.conversation);
    }
  }

  #skipped({ conversation, attempt }: CheckpointCallInput, reason: string): CheckpointError {
    this.#options.publish({ type: 'checkpoint.skipped', conversation, attempt, reason });
    return new CheckpointError('skipped', `the checkpoint call was not made (${reason})`);
  }

  async #perform(input: CheckpointCallInput, source: CallSource, signal: AbortSignal): Promise<CheckpointRef> {
    const { index, now, publish, steady, upstream } = this.#options;
    const { conversation, attempt, replaces } = input;
    const { messages } = source.prefix;
    publish({ type: 'checkpoint.started', conversation, attempt, model: source.model, messages, replaces });
    try {
      const body = checkpointBody(source.body, source.room);
      if (body === null) throw new CheckpointError('rejected', 'the request could not be read a second time');
      const { path, headers, prefix, model } = source;
      const { summary, usage, duration } = await performCheckpointCall(upstream, { path, headers, body }, signal);
      signal.throwIfAborted();
      const createdAt = now();
      const id = checkpointId(randomUUID());
      const anchorTokens = source.used;
      const checkpoint = { id, conversation, prefix, anchorTokens, summary, model, usage, duration, createdAt };
      index.add(checkpoint, steady());
      this.#failed.delete(conversation);
      publish({ type: 'checkpoint.completed', conversation, checkpoint });
      return refOf(checkpoint);
    } catch (error) {
      if (signal.aborted) publish({ type: 'checkpoint.aborted', conversation, attempt });
      else {
        this.#failed.set(conversation, { prefix: source.prefix, model: source.model });
        const failure = failureOf(error);
        const message = messageOf(error);
        publish({ type: 'checkpoint.failed', conversation, attempt, failure, message });
      }
      throw error;
    }
  }
}
