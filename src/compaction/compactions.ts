/**
 * A compaction request: answered from a checkpoint of its own history, or left to the API, and why.
 */
import type { ForwardReason } from '../../machines/conversation-events.ts';
import { milliseconds, type ConversationId, type Timestamp, type Tokens } from '../../machines/units.ts';
import type { Config } from '../config/config.ts';
import { recentMessages } from './recent-messages.ts';
import { servedAnswer, type ServedAnswer } from './served-answer.ts';
import { answerText } from './summary-text.ts';
import type { Compaction } from '../wire/compaction.ts';
import { linkKey, messagesAfter, type Lineage } from '../wire/lineage.ts';
import type { CheckpointCalls } from '../checkpoint/calls.ts';
import { refOf, type CheckpointMatch } from '../checkpoint/index.ts';
import type { Conversations } from '../conversations/conversations.ts';
import type { ParsedRequest } from '../conversations/parsed-request.ts';
import type { PublishFact } from '../facts.ts';

/** Recent messages may always take this share of the effective window. */
const MIN_RECENT_SHARE = 0.1;
/** A cautious number, so that what fits the budget in characters does so in tokens. */
const CHARACTERS_PER_TOKEN = 3.5;

/**
 * The share of the effective window that recent messages may take: twice what a checkpoint may age by, because the talk
 * goes on while the newer one is computed, and no more than half of what would be the next checkpoint's threshold.
 */
export const recentShare = (config: Pick<Config, 'checkpointRefresh' | 'thresholds'>): number =>
  Math.max(MIN_RECENT_SHARE, Math.min(2 * config.checkpointRefresh, config.thresholds.checkpoint / 2));

/** How many characters of recent messages follow a summary, at most. */
export const recentBudget = (effective: Tokens, share: number): number =>
  Math.floor(effective * share * CHARACTERS_PER_TOKEN);

export type CompactionOutcome =
  /** The client left while its compaction waited: nobody is there to be answered. */
  | { readonly kind: 'abandoned'; readonly conversation: ConversationId }
  | { readonly kind: 'serve'; readonly conversation: ConversationId; readonly answer: ServedAnswer }
  | { readonly kind: 'forward'; readonly conversation: ConversationId; readonly reason: ForwardReason };

export interface CompactionsOptions {
  readonly conversations: Conversations;
  readonly calls: CheckpointCalls;
  readonly config: Config;
  readonly now: () => Timestamp;
  readonly publish: PublishFact;
}

/** Resolves when `work` has ended or `signal` aborts, and after `ms` at the latest; says whether `work` ended. */
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

  /**
   * Decides what becomes of a compaction. Waits for a running call a bounded time.
   *
   * @param signal aborts when the client has gone
   */
  async decide(seen: ParsedRequest, compaction: Compaction, signal: AbortSignal): Promise<CompactionOutcome> {
    const { calls, config, conversations, now } = this.#options;
    const conversation = conversations.conversationOfCompaction(seen);
    const forward = (reason: ForwardReason): CompactionOutcome => {
      this.#forward(conversation, seen, reason);
      return { kind: 'forward', conversation, reason };
    };
    if (config.passthrough) return forward('passthrough');
    if (compaction.kind !== 'whole') return forward('instructions');

    const began = now();
    const lineage = await conversations.lineageOf(conversation, compaction.history);
    if (lineage === null) return forward('unreadable');
    // The turn before may have crossed the threshold just now.
    await conversations.settled(conversation);
    if (this.#isLooping(conversation)) return forward('loop');
    let covering = this.#find(conversation, lineage, seen.request.model);
    const call = covering === null ? calls.runningCallFor(lineage, seen.request.model) : null;
    if (call !== null) {
      const ended = await endsWithin(call, config.compactionWait, signal);
      if (signal.aborted) return { kind: 'abandoned', conversation };
      if (!ended) return forward('wait_timeout');
      covering = this.#find(conversation, lineage, seen.request.model);
      if (covering === null) return forward('checkpoint_failed');
    }
    if (covering === null) return forward(this.#whyNone(conversation));
    return this.#serve(conversation, seen, compaction, lineage, covering, now() - began) ?? forward('stale');
  }

  /** A compaction that was sent on while it came in, because nothing could have been served. */
  recordStreamedThrough(seen: ParsedRequest, compaction: Compaction): ConversationId {
    const { config, conversations } = this.#options;
    const conversation = conversations.conversationOfCompaction(seen);
    const unavailable = this.#isLooping(conversation) ? 'loop' : this.#whyNone(conversation);
    const reason = config.passthrough ? 'passthrough' : compaction.kind === 'whole' ? unavailable : 'instructions';
    this.#forward(conversation, seen, reason);
    return conversation;
  }

  #forward(conversation: ConversationId, seen: ParsedRequest, reason: ForwardReason): void {
    const { conversations, now, publish } = this.#options;
    publish({ type: 'compaction.forwarded', ...conversations.compactionOf(conversation, seen), reason });
    conversations.send(conversation, { type: 'compaction.forwarded', at: now(), reason });
  }

  #find(conversation: ConversationId, lineage: Lineage, model: string): CheckpointMatch | null {
    const { conversations, now } = this.#options;
    const covering = conversations.covering(lineage, model);
    conversations.send(conversation, {
      type: 'compaction.requested',
      at: now(),
      coveringCheckpoint: covering === null ? null : refOf(covering.checkpoint),
    });
    return covering;
  }

  /** Why there is no checkpoint. */
  #whyNone(conversation: ConversationId): ForwardReason {
    const failure = this.#options.conversations.snapshot(conversation)?.context.failure ?? null;
    return failure === null ? 'no_checkpoint' : 'checkpoint_failed';
  }

  #isLooping(conversation: ConversationId): boolean {
    return this.#options.conversations.snapshot(conversation)?.context.looping ?? false;
  }

  #serve(
    conversation: ConversationId,
    seen: ParsedRequest,
    compaction: Compaction,
    lineage: Lineage,
    covering: CheckpointMatch,
    waited: number,
  ): CompactionOutcome | null {
    const { config, conversations, publish } = this.#options;
    const { checkpoint, blocks } = covering;
    const after = messagesAfter(compaction.history, lineage, blocks);
    const budget = recentBudget(conversations.effectiveWindowOf(seen), recentShare(config));
    const recent = recentMessages(after, budget);
    if (recent === null) return null;
    const answer = servedAnswer({
      text: answerText(checkpoint.summary, recent),
      model: seen.request.model,
      stream: seen.request.stream,
      key: linkKey(lineage, lineage.length),
    });
    const saved = Math.max(0, checkpoint.duration - waited);
    const counts = { messages: compaction.history.length, recentMessages: after.length, recentChars: recent.length };
    const times = { waited: milliseconds(waited), saved: milliseconds(saved) };
    const compacted = conversations.compactionOf(conversation, seen);
    conversations.markServed(conversation, checkpoint);
    publish({ type: 'compaction.served', ...compacted, checkpoint, ...counts, ...times });
    return { kind: 'serve', conversation, answer };
  }
}
