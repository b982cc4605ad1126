/** Decides on each compaction request: serve it from a checkpoint of its history, or forward it to the API, and why. */
import type { ForwardReason } from '../../machines/conversation-events.ts';
import { milliseconds, tokens, type ConversationId, type Milliseconds, type Timestamp } from '../../machines/units.ts';
import type { CheckpointCalls } from '../checkpoint/calls.ts';
import { refOf, type CheckpointIndex, type CheckpointMatch } from '../checkpoint/index.ts';
import type { Config } from '../config/config.ts';
import type { Conversations } from '../conversations/conversations.ts';
import type { ParsedRequest } from '../conversations/parsed-request.ts';
import type { RequestWindows } from '../conversations/request-windows.ts';
import type { Turns } from '../conversations/turns.ts';
import type { PublishFact } from '../facts.ts';
import type { Compaction } from '../wire/compaction.ts';
import { recentBudget, recentShare, serve, type Served } from './serve.ts';
import type { ServedAnswer } from './served-answer.ts';

export type CompactionOutcome =
  /** The client disconnected while its compaction waited: no answer is sent. */
  | { readonly kind: 'abandoned'; readonly conversation: ConversationId }
  | { readonly kind: 'serve'; readonly conversation: ConversationId; readonly answer: ServedAnswer }
  | { readonly kind: 'forward'; readonly conversation: ConversationId; readonly reason: ForwardReason };

export interface CompactionsOptions {
  readonly conversations: Conversations;
  readonly turns: Turns;
  readonly calls: CheckpointCalls;
  readonly index: CheckpointIndex;
  readonly windows: RequestWindows;
  readonly config: Config;
  readonly now: () => Timestamp;
  /** A monotonic clock, see `src/clock.ts`. */
  readonly monotonicNow: () => Timestamp;
  readonly publish: PublishFact;
}

/** Resolves with true when `work` has ended; with false when `signal` aborts or `ms` have passed before. */
async function endsWithin(work: Promise<unknown>, ms: number, signal: AbortSignal): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  let stop: (() => void) | undefined;
  const limit = new Promise<false>((resolve) => {
    stop = () => resolve(false);
    timer = setTimeout(stop, ms);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
  });
  try {
    return await Promise.race([work.then(() => true), limit]);
  } finally {
    clearTimeout(timer);
    if (stop) signal.removeEventListener('abort', stop);
  }
}

export class Compactions {
  readonly #options: CompactionsOptions;

  constructor(options: CompactionsOptions) {
    this.#options = options;
  }

  /** True when a compaction could be served, now or soon: only then is a request buffered before it is forwarded. */
  get canServe(): boolean {
    const { calls, config, index, turns } = this.#options;
    return !config.passthrough && (index.size > 0 || calls.size > 0 || turns.isReading);
  }

  /**
   * Decides on a compaction. Waits for a running checkpoint call for `DBPROXY_COMPACTION_WAIT` at most.
   *
   * @param signal aborts when the client disconnects
   */
  async decide(parsed: ParsedRequest, compaction: Compaction, signal: AbortSignal): Promise<CompactionOutcome> {
    const { calls, config, conversations, index, monotonicNow, now, turns, windows } = this.#options;
    const { model, stream } = parsed.request;
    const { history } = compaction;
    const conversation = conversations.ofCompaction(parsed);
    const forward = (reason: ForwardReason): CompactionOutcome => {
      this.#forward(conversation, parsed, reason);
      return { kind: 'forward', conversation, reason };
    };
    if (config.passthrough) return forward('passthrough');
    if (compaction.kind !== 'whole') return forward('instructions');

    const began = now();
    const lineage = await conversations.lineages.read(conversation, history);
    if (lineage === null) return forward('unreadable');
    // The turn before may have crossed the threshold just now.
    await turns.settled(conversation);
    if (this.#isLooping(conversation)) return forward('loop');
    let match = index.find(lineage, monotonicNow(), model);
    this.#sendRequested(conversation, match);
    const call = match === null ? calls.runningCallFor(lineage, model) : null;
    if (call !== null) {
      const ended = await endsWithin(call, config.compactionWait, signal);
      if (signal.aborted) return { kind: 'abandoned', conversation };
      if (!ended) return forward('wait_timeout');
      match = index.find(lineage, monotonicNow(), model);
      // Sent again: the call may be another conversation's, whose checkpoint this actor does not know yet.
      this.#sendRequested(conversation, match);
      if (match === null) return forward('checkpoint_failed');
    }
    if (match === null) return forward(this.#whyUncovered(conversation));
    const waited = milliseconds(now() - began);
    const budget = recentBudget(windows.effective(parsed), recentShare(config));
    const served = serve({ history, lineage, match, model, stream, budget });
    if (served === null) return forward('stale');
    this.#recordServed(conversation, parsed, { ...served, match, waited });
    return { kind: 'serve', conversation, answer: served.answer };
  }

  /** Records a compaction that was forwarded while it was received, because none could be served. */
  recordStreamedThrough(parsed: ParsedRequest, compaction: Compaction): ConversationId {
    const { config, conversations } = this.#options;
    const conversation = conversations.ofCompaction(parsed);
    const unavailable = this.#isLooping(conversation) ? 'loop' : this.#whyUncovered(conversation);
    const reason = config.passthrough ? 'passthrough' : compaction.kind === 'whole' ? unavailable : 'instructions';
    this.#forward(conversation, parsed, reason);
    return conversation;
  }

  /** The API's own summary has reached the client. */
  completeByApi(conversation: ConversationId): void {
    const { conversations, now } = this.#options;
    conversations.actors.send(conversation, { type: 'compaction.completed_by_api', at: now() });
  }

  #forward(conversation: ConversationId, parsed: ParsedRequest, reason: ForwardReason): void {
    const { conversations, now, publish } = this.#options;
    publish({ type: 'compaction.forwarded', ...this.#compacted(conversation, parsed), reason });
    conversations.actors.send(conversation, { type: 'compaction.forwarded', at: now(), reason });
  }

  #recordServed(
    conversation: ConversationId,
    parsed: ParsedRequest,
    served: Served & { readonly match: CheckpointMatch; readonly waited: Milliseconds },
  ): void {
    const { conversations, now, publish } = this.#options;
    const { recentChars, recentMessages, waited } = served;
    const { checkpoint } = served.match;
    const compacted = this.#compacted(conversation, parsed);
    conversations.servedSummaries.add(conversation, checkpoint);
    conversations.actors.send(conversation, {
      type: 'compaction.served',
      at: now(),
      checkpoint: refOf(checkpoint),
    });
    publish({
      type: 'compaction.served',
      ...compacted,
      checkpoint,
      messages: parsed.history.length,
      recentMessages,
      recentChars,
      waited,
      saved: milliseconds(Math.max(0, checkpoint.duration - waited)),
    });
  }

  /** What the facts about a compaction have in common. */
  #compacted(conversation: ConversationId, { request }: ParsedRequest) {
    const { used = tokens(0) } = this.#context(conversation) ?? {};
    return { conversation, model: request.model, tokensBefore: used };
  }

  #sendRequested(conversation: ConversationId, match: CheckpointMatch | null): void {
    const { conversations, now } = this.#options;
    const coveringCheckpoint = match === null ? null : refOf(match.checkpoint);
    conversations.actors.send(conversation, { type: 'compaction.requested', at: now(), coveringCheckpoint });
  }

  /** Why no checkpoint covers the history. */
  #whyUncovered(conversation: ConversationId): ForwardReason {
    return (this.#context(conversation)?.failure ?? null) === null ? 'no_checkpoint' : 'checkpoint_failed';
  }

  #isLooping(conversation: ConversationId): boolean {
    return this.#context(conversation)?.looping ?? false;
  }

  #context(conversation: ConversationId) {
    return this.#options.conversations.actors.snapshot(conversation)?.context;
  }
}
