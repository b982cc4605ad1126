/**
 * The turns of conversations: what a request and its answer mean for their conversation, sent to its actor as events.
 * Histories are read only when a checkpoint may be served, computed or lost, because that takes time.
 */
import { tokens, turnId, type ConversationId, type Timestamp, type Tokens, type TurnId } from '../../machines/units.ts';
import type { CheckpointCalls } from '../checkpoint/calls.ts';
import { refOf, type CheckpointIndex } from '../checkpoint/index.ts';
import type { Config } from '../config/config.ts';
import type { PublishFact } from '../facts.ts';
import { usedTokens, type Usage } from '../wire/answer-reader.ts';
import { continuationText } from '../wire/compaction.ts';
import { fullPrefix, type Lineage } from '../wire/lineage.ts';
import { estimateTokens } from '../wire/token-estimate.ts';
import { effectiveWindow } from '../wire/windows.ts';
import { needsRequest, type Conversations } from './conversations.ts';
import { KeyedTaskQueue } from './keyed-task-queue.ts';
import type { ParsedRequest } from './parsed-request.ts';
import type { RequestWindows } from './request-windows.ts';
import { entriesAfter } from './write-ahead-log.ts';

/** One turn whose answer has not ended yet. */
export interface Turn {
  readonly id: TurnId;
  readonly conversation: ConversationId;
  readonly parsed: ParsedRequest;
  /** The history, which is read at most once; null until it is needed. */
  lineage: Promise<Lineage | null> | null;
}

export interface TurnsOptions {
  readonly config: Config;
  readonly conversations: Conversations;
  readonly index: CheckpointIndex;
  readonly calls: CheckpointCalls;
  readonly windows: RequestWindows;
  readonly now: () => Timestamp;
  /** A monotonic clock, see `src/clock.ts`. */
  readonly monotonicNow: () => Timestamp;
  readonly publish: PublishFact;
}

export class Turns {
  readonly #options: TurnsOptions;
  /** Histories that are being read. */
  readonly #reading: KeyedTaskQueue;
  #count = 0;

  constructor(options: TurnsOptions) {
    this.#options = options;
    this.#reading = new KeyedTaskQueue((conversation, error) =>
      options.publish({ type: 'history.read_failed', conversation, message: String(error) }),
    );
  }

  /** True while a history is being read. A checkpoint call may follow. */
  get isReading(): boolean {
    return this.#reading.size > 0;
  }

  /**
   * Begins a turn.
   *
   * @param answered true when its answer has already ended well, so that {@link complete} follows at once
   */
  begin(parsed: ParsedRequest, answered = false): Turn {
    const { conversations, now, publish } = this.#options;
    const { actors, servedSummaries } = conversations;
    const { labels, history } = parsed;
    const summary = continuationText(history);
    const continuation = labels.compacted || summary !== null;
    const { id: conversation, replaced } = conversations.ofTurn(parsed, continuation);
    const confirmed = servedSummaries.isServedSummary(conversation, summary);
    // `replaced` is false when the new summary begins like the one before: both histories have the same root then.
    if (replaced || labels.compacted || confirmed) {
      publish({ type: 'history.replaced', conversation, confirmed });
      if (servedSummaries.replaceHistory(conversation))
        publish({ type: 'compaction.resolved', conversation, confirmed });
      actors.send(conversation, { type: 'history.replaced', at: now(), confirmed });
    } else if (!continuation && servedSummaries.pendingFor(conversation) !== null) {
      publish({ type: 'compaction.resolved', conversation, confirmed: false });
    }
    this.#count += 1;
    const turn: Turn = { id: turnId(this.#count), conversation, parsed, lineage: null };
    if (this.hasCheckpointAtStake(conversation)) this.#reading.add(conversation, this.#readHistory(turn));
    // The start of an answered turn changes something only where a summary was made or served.
    else if (!answered || actors.snapshot(conversation)?.matches({ alive: { buffer: 'empty' } }) === false) {
      this.#sendStarted(turn, null);
    }
    return turn;
  }

  /** True when a conversation has a checkpoint, or a call for one, that its next request may make useless. */
  hasCheckpointAtStake(conversation: ConversationId): boolean {
    const { calls, conversations } = this.#options;
    const context = conversations.actors.snapshot(conversation)?.context;
    return (context !== undefined && context.checkpoint !== null) || calls.hasStateFor(conversation);
  }

  /**
   * Ends a turn whose answer has ended well. From the checkpoint threshold on its history is read, and a checkpoint call
   * may start.
   *
   * @param usage tokens in the context; only zeros, as some gateways report, are replaced by an estimate
   */
  complete(turn: Turn, usage: Usage): void {
    const { config, publish, windows } = this.#options;
    const { conversation, parsed } = turn;
    const reported = usedTokens(usage);
    const window = windows.window(parsed, reported);
    const used = reported > 0 ? reported : tokens(Math.min(window, estimateTokens(parsed.body)));
    if (reported === 0) publish({ type: 'usage.estimated', conversation, used });
    const effective = effectiveWindow(window, parsed.request.maxTokens);
    const { checkpoint } = windows.thresholds(parsed, effective);
    const crossed = used >= effective * checkpoint && !config.passthrough;
    if (!crossed) this.#sendCompleted(turn, used, effective);
    else this.#reading.add(conversation, this.#completeCrossed(turn, used, window, effective));
  }

  /** Resolves when the actor of a conversation has received every event of its turns so far. */
  settled(conversation: ConversationId): Promise<void> {
    return this.#reading.settled(conversation);
  }

  async #completeCrossed(turn: Turn, used: Tokens, window: Tokens, effective: Tokens): Promise<void> {
    const { calls, conversations } = this.#options;
    const { conversation, parsed } = turn;
    // Reserved here, because the forwarder releases its own reservation for the body now.
    const reservation = calls.reserve(parsed.body.length);
    const lineage = await this.#readHistory(turn).catch((error: unknown) => {
      reservation?.release();
      throw error;
    });
    if (lineage !== null) {
      const { path, headers, body, request } = parsed;
      const { model } = request;
      const prefix = fullPrefix(lineage);
      calls.keep(conversation, { path, headers, body, model, prefix, used, freeTokens: window - used }, reservation);
    } else reservation?.release();
    this.#sendCompleted(turn, used, effective);
    const snapshot = conversations.actors.snapshot(conversation);
    if (snapshot === undefined || !needsRequest(snapshot)) calls.release(conversation);
  }

  /** Reads a turn's history, once, and sends its conversation which checkpoint covers it. */
  #readHistory(turn: Turn): Promise<Lineage | null> {
    const { lineages } = this.#options.conversations;
    turn.lineage ??= lineages.read(turn.conversation, turn.parsed.history).then((lineage) => {
      this.#sendStarted(turn, lineage);
      return lineage;
    });
    return turn.lineage;
  }

  #sendStarted(turn: Turn, lineage: Lineage | null): void {
    const { calls, config, conversations, index, monotonicNow, now } = this.#options;
    const { conversation, parsed } = turn;
    const { model } = parsed.request;
    const match = lineage === null || config.passthrough ? null : index.find(lineage, monotonicNow(), model);
    const continuesCallHistory = lineage === null || calls.matchesCall(conversation, lineage, model);
    conversations.actors.send(conversation, {
      type: 'turn.started',
      at: now(),
      messages: parsed.history.length,
      coveringCheckpoint: match === null ? null : refOf(match.checkpoint),
      continuesCallHistory,
    });
    if (!continuesCallHistory) calls.forget(conversation);
    if (lineage === null || match === null) return;
    const entries = entriesAfter(parsed.request, lineage, match.blocks);
    conversations.persistence.recordWal(conversation, { checkpoint: refOf(match.checkpoint), entries });
  }

  #sendCompleted(turn: Turn, used: Tokens, effective: Tokens): void {
    const { conversations, now, publish, windows } = this.#options;
    const { conversation, parsed } = turn;
    if (conversations.servedSummaries.completeTurn(conversation)) {
      publish({ type: 'compaction.measured', conversation, tokensAfter: used });
    }
    conversations.actors.send(conversation, {
      type: 'turn.completed',
      at: now(),
      turn: turn.id,
      messages: parsed.history.length,
      used,
      effectiveWindow: effective,
      model: parsed.request.model,
      thresholds: windows.thresholds(parsed, effective),
    });
  }
}
