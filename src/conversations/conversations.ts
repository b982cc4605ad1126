/**
 * The conversations as the forwarder meets them: what a request means for its conversation, and what its conversation
 * makes of it. Finds the conversation and tells its actor the facts; what actors must not hold is kept by the others in
 * this folder: actors.ts the actors themselves, persistence.ts what outlives the process, served-summary-tracker.ts what
 * became of compactions.
 */
import type { ConversationSnapshot } from '../../machines/conversation.ts';
import type { ConversationEvent } from '../../machines/conversation-events.ts';
import type { Phase } from '../../machines/phases.ts';
import { tokens, turnId, type ConversationId, type Timestamp, type Tokens, type TurnId } from '../../machines/units.ts';
import type { Config } from '../config/config.ts';
import { usedTokens, type Usage } from '../wire/answer-reader.ts';
import { continuationText } from '../wire/compaction.ts';
import { rootOf, fullPrefix, type Lineage } from '../wire/lineage.ts';
import type { History } from '../wire/message-request.ts';
import type { ClientIdentity } from '../wire/identity.ts';
import { estimateTokens } from '../wire/token-estimate.ts';
import { effectiveWindow, type LearnedWindows } from '../wire/windows.ts';
import type { CheckpointCalls } from '../checkpoint/calls.ts';
import { refOf, type Checkpoint, type CheckpointIndex, type CheckpointMatch } from '../checkpoint/index.ts';
import { ServedSummaryTracker } from '../compaction/served-summary-tracker.ts';
import type { ConversationDirectory } from './directory.ts';
import type { StateRepository, WalRecord } from './repository.ts';
import { LineageReader } from './lineage-reader.ts';
import type { PublishFact } from '../facts.ts';
import { ConversationPersistence } from './persistence.ts';
import { RequestWindows } from './request-windows.ts';
import { identityOf, type ParsedRequest } from './parsed-request.ts';
import { KeyedTaskQueue } from './keyed-task-queue.ts';
import { ConversationActors, wantsSource, type ActorHost } from './actors.ts';
import { entriesAfter } from './write-ahead-log.ts';

/** One turn under way. */
export interface Turn {
  readonly id: TurnId;
  readonly conversation: ConversationId;
  readonly seen: ParsedRequest;
  /** Set once somebody needed to know the history: at most one reading per turn. */
  lineage: Promise<Lineage | null> | null;
}

export interface ConversationsOptions {
  readonly config: Config;
  readonly actors: ActorHost;
  readonly directory: ConversationDirectory;
  readonly index: CheckpointIndex;
  readonly calls: CheckpointCalls;
  readonly learnedWindows: LearnedWindows;
  readonly repository: StateRepository;
  readonly now: () => Timestamp;
  /** A clock that nobody sets, see `src/clock.ts`. */
  readonly monotonicNow: () => Timestamp;
  readonly publish: PublishFact;
}

export class Conversations {
  readonly #options: ConversationsOptions;
  readonly #lineages = new LineageReader();
  readonly #windows: RequestWindows;
  readonly #notes: ServedSummaryTracker;
  readonly #memory: ConversationPersistence;
  readonly #tracking: ConversationActors;
  readonly #settling: KeyedTaskQueue;
  readonly #publish: PublishFact;
  #turns = 0;

  constructor(options: ConversationsOptions) {
    const { actors, calls, config, directory, repository, index, now, publish } = options;
    this.#options = options;
    this.#publish = publish;
    this.#settling = new KeyedTaskQueue((conversation, error) =>
      publish({ type: 'history.read_failed', conversation, message: String(error) }),
    );
    this.#windows = new RequestWindows({ config, learned: options.learnedWindows });
    this.#notes = new ServedSummaryTracker();
    const notes = this.#notes;
    const snapshot = (id: ConversationId): ConversationSnapshot | undefined => this.snapshot(id);
    this.#memory = new ConversationPersistence({
      directory,
      repository,
      index,
      servedSummaries: notes,
      ttl: config.conversationTtl,
      now,
      snapshot,
    });
    const [lineages, memory] = [this.#lineages, this.#memory];
    this.#tracking = new ConversationActors({
      actors,
      calls,
      config,
      directory,
      lineages,
      memory,
      notes,
      publish,
    });
  }

  /** The conversations that are tracked. */
  get ids(): readonly ConversationId[] {
    return this.#tracking.ids;
  }

  /** Number of conversations that are tracked. */
  get size(): number {
    return this.#tracking.size;
  }

  /** True when any compaction could be answered here, now or soon: only then is a request worth reading before it is sent on. */
  get canServe(): boolean {
    const { calls, config, index } = this.#options;
    // A turn that has just crossed the threshold is about to begin a call.
    return !config.passthrough && (index.size > 0 || calls.size > 0 || this.#settling.size > 0);
  }

  /**
   * A request has begun a turn of its conversation.
   *
   * @param answered its answer has ended well already: `completeTurn` comes next, and tells the actor all that there is
   */
  beginTurn(seen: ParsedRequest, answered = false): Turn {
    const { directory, now } = this.#options;
    const { labels, history } = seen;
    const summary = continuationText(history);
    const continuation = labels.compacted || summary !== null;
    const { agent, session } = identityOf(seen);
    this.#recall({ session, agent });
    const located = directory.locate({ session, agent, root: rootOf(history), continuation });
    const conversation = located.id;
    this.#tracking.open(conversation);
    this.#noteSeen(conversation, seen);
    const confirmed = this.#notes.isServedSummary(conversation, summary);
    // Two summaries can begin alike: then the new history seems to be the one before.
    if (located.replaced || labels.compacted || confirmed) {
      this.#publish({ type: 'history.replaced', conversation, confirmed });
      if (this.#notes.replaceHistory(conversation))
        this.#publish({ type: 'compaction.resolved', conversation, confirmed });
      this.send(conversation, { type: 'history.replaced', at: now(), confirmed });
    } else if (!continuation && this.#notes.pendingFor(conversation) !== null) {
      this.#publish({ type: 'compaction.resolved', conversation, confirmed: false });
    }
    this.#turns += 1;
    const turn: Turn = { id: turnId(this.#turns), conversation, seen, lineage: null };
    if (this.hasCheckpointAtStake(conversation)) this.#settling.add(conversation, this.#readHistory(turn));
    else if (!answered || !this.#isEmpty(conversation)) this.#tellStarted(turn, null);
    return turn;
  }

  /** True when a turn that has begun says nothing to a conversation that its end does not: no summary was made or served. */
  #isEmpty(conversation: ConversationId): boolean {
    return this.snapshot(conversation)?.matches({ alive: { buffer: 'empty' } }) ?? true;
  }

  /** True when a conversation has a checkpoint, or one on its way, to lose by its next request. */
  hasCheckpointAtStake(conversation: ConversationId): boolean {
    const context = this.snapshot(conversation)?.context;
    return (context !== undefined && context.checkpoint !== null) || this.#options.calls.hasStateFor(conversation);
  }

  /**
   * The answer to a turn has ended well. Below the threshold that is only noted; from there on the history is read, and
   * a checkpoint call may start.
   *
   * @param usage tokens in the context; only zeros, as some gateways report, are replaced by an estimate
   */
  completeTurn(turn: Turn, usage: Usage): void {
    const { config } = this.#options;
    const { conversation, seen } = turn;
    const reported = usedTokens(usage);
    const window = this.#windows.window(seen, reported);
    const used = reported > 0 ? reported : tokens(Math.min(window, estimateTokens(seen.body)));
    if (reported === 0) this.#publish({ type: 'usage.estimated', conversation, used });
    const effective = effectiveWindow(window, seen.request.maxTokens);
    const { checkpoint } = this.#windows.thresholds(seen, effective);
    const crossed = used >= effective * checkpoint && !config.passthrough;
    if (!crossed) this.#tellCompleted(turn, used, effective);
    else this.#settling.add(conversation, this.#completeCrossed(turn, used, window, effective));
  }

  /** Resolves when all that is known of a conversation's turns has been told to its actor. */
  settled(conversation: ConversationId): Promise<void> {
    return this.#settling.settled(conversation);
  }

  async #completeCrossed(turn: Turn, used: Tokens, window: Tokens, effective: Tokens): Promise<void> {
    const { calls } = this.#options;
    const { conversation, seen } = turn;
    // Whoever read the request gives its room back now: it is kept for as long as it takes to read its history.
    const room = calls.reserve(seen.body.length);
    const lineage = await this.#readHistory(turn).catch((error: unknown) => {
      room?.release();
      throw error;
    });
    if (lineage !== null) {
      const { path, headers, body, request } = seen;
      const { model } = request;
      const prefix = fullPrefix(lineage);
      calls.keep(conversation, { path, headers, body, model, prefix, used, freeTokens: window - used }, room);
    } else room?.release();
    this.#tellCompleted(turn, used, effective);
    const snapshot = this.snapshot(conversation);
    if (snapshot === undefined || !wantsSource(snapshot)) calls.release(conversation);
  }

  /** Reads a turn's history, once, and tells its conversation what covers it. */
  #readHistory(turn: Turn): Promise<Lineage | null> {
    turn.lineage ??= this.lineageOf(turn.conversation, turn.seen.history).then((lineage) => {
      this.#tellStarted(turn, lineage);
      return lineage;
    });
    return turn.lineage;
  }

  #tellStarted(turn: Turn, lineage: Lineage | null): void {
    const { calls, now } = this.#options;
    const { conversation, seen } = turn;
    const findMatch = lineage === null ? null : this.covering(lineage, seen.request.model);
    const continuesCallHistory = lineage === null || calls.matchesCall(conversation, lineage, seen.request.model);
    this.send(conversation, {
      type: 'turn.started',
      at: now(),
      messages: seen.history.length,
      coveringCheckpoint: refOrNull(findMatch),
      continuesCallHistory,
    });
    if (!continuesCallHistory) calls.forget(conversation);
    if (lineage === null || findMatch === null) return;
    const entries = entriesAfter(seen.request, lineage, findMatch.blocks);
    this.#memory.recordWal(conversation, { checkpoint: refOf(findMatch.checkpoint), entries });
  }

  #tellCompleted(turn: Turn, used: Tokens, effective: Tokens): void {
    const { conversation } = turn;
    const { history, request } = turn.seen;
    if (this.#notes.completeTurn(conversation)) {
      this.#publish({ type: 'compaction.measured', conversation, tokensAfter: used });
    }
    this.send(conversation, {
      type: 'turn.completed',
      at: this.#options.now(),
      turn: turn.id,
      messages: history.length,
      used,
      effectiveWindow: effective,
      model: request.model,
      thresholds: this.#windows.thresholds(turn.seen, effective),
    });
  }

  /** The conversation that a compaction is about. */
  conversationOfCompaction(seen: ParsedRequest): ConversationId {
    const { directory } = this.#options;
    const speaker = identityOf(seen);
    this.#recall(speaker);
    const query = { ...speaker, root: rootOf(seen.history), continuation: false };
    const conversation = directory.locateCompaction(query) ?? directory.locate(query).id;
    this.#tracking.open(conversation);
    this.#noteSeen(conversation, seen);
    return conversation;
  }

  /** The conversation that a request of no conversation (auxiliary, unreadable) is shown under; null for none. */
  latestConversationOf(speaker: ClientIdentity): ConversationId | null {
    const { directory } = this.#options;
    const known = directory.latestOf(speaker);
    if (known !== null) return known;
    this.#recall(speaker);
    return directory.latestOf(speaker);
  }

  /** The chain over a conversation's history; null when a message is of no known shape. */
  lineageOf(conversation: ConversationId, history: History): Promise<Lineage | null> {
    return this.#lineages.read(conversation, history);
  }

  /** The checkpoint that covers most of a history that `model` is asked with, or null. */
  covering(lineage: Lineage, model: string): CheckpointMatch | null {
    const { config, index, monotonicNow } = this.#options;
    return config.passthrough ? null : index.find(lineage, monotonicNow(), model);
  }

  /** Effective window of the model a request asks. */
  effectiveWindowOf(seen: ParsedRequest): Tokens {
    return this.#windows.effective(seen);
  }

  /** What the records say of a compaction request. */
  compactionOf(conversation: ConversationId, { request }: ParsedRequest) {
    return { conversation, model: request.model, tokensBefore: this.snapshot(conversation)?.context.used ?? tokens(0) };
  }

  /** The history of a conversation was answered with the summary of `checkpoint`. */
  markServed(conversation: ConversationId, checkpoint: Checkpoint): void {
    this.#notes.add(conversation, checkpoint);
    this.send(conversation, { type: 'compaction.served', at: this.#options.now(), checkpoint: refOf(checkpoint) });
  }

  apiCompactionCompleted(conversation: ConversationId): void {
    this.send(conversation, { type: 'compaction.completed_by_api', at: this.#options.now() });
  }

  /**
   * Drops a conversation's checkpoint, and every other one that was computed for it; ends a call that is under way;
   * forgets tries and failure. What its turns have used stays known. False when there is no such conversation.
   */
  reset(conversation: ConversationId): boolean {
    const { calls, index, now } = this.#options;
    const snapshot = this.snapshot(conversation);
    if (snapshot === undefined) return false;
    const servable = snapshot.context.checkpoint?.id;
    this.send(conversation, { type: 'conversation.reset', at: now() });
    calls.release(conversation);
    for (const checkpoint of index.checkpoints) {
      if (checkpoint.id === servable || checkpoint.conversation === conversation) index.delete(checkpoint.id);
    }
    this.#publish({ type: 'conversation.reset', conversation });
    return true;
  }

  phase(conversation: ConversationId): Phase {
    return this.#tracking.phase(conversation);
  }

  snapshot(conversation: ConversationId): ConversationSnapshot | undefined {
    return this.#tracking.snapshot(conversation);
  }

  /** Tells a conversation's actor a fact. A conversation that is gone has nothing to be told. */
  send(conversation: ConversationId, event: ConversationEvent): void {
    this.#tracking.send(conversation, event);
  }

  /** What follows a conversation's checkpoint, as far as it was seen; null when it has none. */
  wal(conversation: ConversationId): WalRecord | null {
    return this.#memory.wal(conversation);
  }

  /** Has everything written that is known: to a file that may have missed some of it. */
  writeAll(): void {
    this.#memory.saveAll(this.ids);
  }

  /** Opens the conversations of a speaker that an earlier process knew, when the speaker is heard for the first time. */
  #recall(speaker: ClientIdentity): void {
    for (const { conversation, state } of this.#memory.restore(speaker)) {
      this.#tracking.open(conversation, state);
      this.#publish({ type: 'conversation.restored', conversation, phase: this.phase(conversation) });
    }
  }

  #noteSeen(conversation: ConversationId, seen: ParsedRequest): void {
    this.#publish({ type: 'history.received', conversation, parent: this.#parentOf(seen), parsed: seen });
  }

  /** Subagents speak under their parent's session. */
  #parentOf(seen: ParsedRequest): ConversationId | null {
    const { session, agent } = identityOf(seen);
    if (session === null || agent === null) return null;
    return (
      this.latestConversationOf({ session, agent: seen.labels.parentAgent }) ??
      this.latestConversationOf({ session, agent: null })
    );
  }
}

const refOrNull = (covering: CheckpointMatch | null) => (covering === null ? null : refOf(covering.checkpoint));
