/**
 * The conversations as the forwarder meets them: what a request means for its conversation, and what its conversation
 * makes of it. Finds the conversation, tells its actor the facts, and keeps what actors must not hold.
 */
import { randomUUID } from 'node:crypto';
import type { ConversationActor, ConversationSnapshot } from '../../machines/conversation.ts';
import type {
  ConversationEvent,
  ConversationInput,
  ForwardReason,
  RememberedState,
  Thresholds,
} from '../../machines/conversation-events.ts';
import { toRemember, utilisation } from '../../machines/conversation.ts';
import { phaseOf, type Phase } from '../../machines/phases.ts';
import {
  milliseconds,
  tokens,
  turnId,
  type CheckpointId,
  type ConversationId,
  type Milliseconds,
  type Timestamp,
  type Tokens,
  type TurnId,
} from '../../machines/units.ts';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { escapeTags } from '../serving/summary-text.ts';
import { usedTokens, type Usage } from '../wire/answer.ts';
import { continuationText } from '../wire/compaction.ts';
import { headerValue } from '../wire/headers.ts';
import { launchThresholds, launchWindow } from '../wire/launch-settings.ts';
import { rootOf, wholeOf, type Lineage } from '../wire/lineage.ts';
import type { History } from '../wire/message-request.ts';
import { sessionOfUserId, type Speaker } from '../wire/speaker.ts';
import { contextWindow, effectiveWindow } from '../wire/windows.ts';
import type { CheckpointCalls } from './checkpoint-calls.ts';
import { refOf, type Checkpoint, type CheckpointIndex, type Covering } from './checkpoint-index.ts';
import type { ConversationDirectory } from './directory.ts';
import type { CompactionRecord, ConversationRecord, DurableState, WalRecord } from './durable.ts';
import { LineageReader } from './lineage-reader.ts';
import type { SeenRequest } from './seen-request.ts';
import { unobserved, type Observe } from './observation.ts';
import { entriesAfter, WriteAheadLog } from './write-ahead-log.ts';

/** One turn under way. */
export interface Turn {
  readonly id: TurnId;
  readonly conversation: ConversationId;
  readonly seen: SeenRequest;
  /** Set once somebody needed to know the history: at most one reading per turn. */
  lineage: Promise<Lineage | null> | null;
}

/** Opens conversation actors and finds them again; the supervisor does both. */
export interface ConversationActors {
  open(input: ConversationInput): ConversationActor | undefined;
  get(id: ConversationId): ConversationActor | undefined;
  close(id: ConversationId): void;
}

export interface ConversationsOptions {
  readonly config: Config;
  readonly actors: ConversationActors;
  readonly directory: ConversationDirectory;
  readonly index: CheckpointIndex;
  readonly calls: CheckpointCalls;
  readonly learnedWindows: ReadonlyMap<string, Tokens>;
  readonly durable: DurableState;
  readonly log: Log;
  readonly now: () => Timestamp;
  /** A clock that nobody sets, see `src/clock.ts`. */
  readonly steady: () => Timestamp;
  readonly observe?: Observe;
}

/** Characters (without white space, which the client reflows) by which a served summary is known again. */
const PROBE_LENGTH = 300;

const squeezed = (text: string, length: number): string => text.slice(0, length * 8).replace(/\s+/g, '');

/** True while a call is under way or will be tried again, and so needs its request. */
const wantsSource = (snapshot: ConversationSnapshot): boolean =>
  snapshot.matches({ alive: { call: 'running' } }) || snapshot.matches({ alive: { call: 'waitingToRetry' } });

/** A summary that was served, and the characters by which it is known again. */
interface Served {
  readonly checkpoint: CheckpointId;
  readonly probe: string;
}

const servedFrom = ({ id, summary }: Checkpoint): Served => ({
  checkpoint: id,
  probe: squeezed(escapeTags(summary), PROBE_LENGTH).slice(0, PROBE_LENGTH),
});

export class Conversations {
  readonly #options: ConversationsOptions;
  /** The summary that was served last, until the client shows whether it took it. */
  readonly #served = new Map<ConversationId, Served>();
  readonly #wals = new Map<ConversationId, WriteAheadLog>();
  readonly #lineages = new LineageReader();
  /** Conversations whose new history has had no completed turn yet. */
  readonly #compacted = new Set<ConversationId>();
  readonly #phases = new Map<ConversationId, Phase>();
  /** Conversations in a compaction loop. */
  readonly #looping = new Set<ConversationId>();
  readonly #settling = new Map<ConversationId, Promise<void>>();
  readonly #observe: Observe;
  #turns = 0;

  constructor(options: ConversationsOptions) {
    this.#options = options;
    this.#observe = options.observe ?? unobserved;
  }

  /** The conversations that are tracked. */
  get ids(): readonly ConversationId[] {
    return [...this.#phases.keys()];
  }

  /** Number of conversations that are tracked. */
  get size(): number {
    return this.#phases.size;
  }

  /** True when any compaction could be answered here, now or soon: only then is a request worth reading before it is sent on. */
  get mayServe(): boolean {
    const { calls, config, index } = this.#options;
    // A turn that has just crossed the threshold is about to begin a call.
    return !config.passthrough && (index.size > 0 || calls.size > 0 || this.#settling.size > 0);
  }

  /** A request has begun a turn of its conversation. */
  beginTurn(seen: SeenRequest): Turn {
    const { directory, durable, log, now } = this.#options;
    const { labels, history } = seen;
    const summary = continuationText(history);
    const continuation = labels.compacted || summary !== null;
    const speaker = speakerOf(seen);
    this.#recall(speaker);
    const located = directory.locate({ ...speaker, root: rootOf(history), continuation });
    const conversation = located.id;
    this.#open(conversation);
    this.#noteSeen(conversation, seen);
    const served = this.#served.get(conversation);
    const confirmed = summary !== null && served !== undefined && squeezed(summary, 4_000).includes(served.probe);
    // Two summaries can begin alike: then the new history seems to be the one before.
    if (located.replaced || labels.compacted || confirmed) {
      log.info('history.replaced', { conversation, confirmed });
      this.#observe({ type: 'history.replaced', conversation, confirmed });
      this.#compacted.add(conversation);
      if (served !== undefined) durable.compactionFollowed({ conversation, confirmed });
      this.#served.delete(conversation);
      this.send(conversation, { type: 'history.replaced', at: now(), confirmed });
    } else if (served !== undefined && !continuation) durable.compactionFollowed({ conversation, confirmed: false });
    this.#turns += 1;
    const turn: Turn = { id: turnId(this.#turns), conversation, seen, lineage: null };
    if (this.#hasSomethingToLose(conversation)) this.#settle(conversation, this.#readHistory(turn));
    else this.#tellStarted(turn, null);
    return turn;
  }

  /** True when a speaker's conversation is known and has no checkpoint, nor one on its way, to lose by its next request. */
  hasNothingToLose(speaker: Speaker): boolean {
    const conversation = this.nearest(speaker);
    return conversation !== null && !this.#hasSomethingToLose(conversation);
  }

  #hasSomethingToLose(conversation: ConversationId): boolean {
    const context = this.snapshot(conversation)?.context;
    return (context !== undefined && context.checkpoint !== null) || this.#options.calls.concerns(conversation);
  }

  /**
   * The answer to a turn has ended well. Below the threshold that is only noted; from there on the history is read, and
   * a checkpoint call may start.
   */
  completeTurn(turn: Turn, usage: Usage): void {
    const { config } = this.#options;
    const { conversation, seen } = turn;
    const used = usedTokens(usage);
    const window = this.#window(seen, used);
    const effective = effectiveWindow(window, seen.request.maxTokens);
    const { checkpoint } = this.#thresholds(seen, effective);
    const crossed = used >= effective * checkpoint && !config.passthrough;
    if (!crossed) this.#tellCompleted(turn, used, effective);
    else this.#settle(conversation, this.#completeCrossed(turn, used, window, effective));
  }

  /** Resolves when all that is known of a conversation's turns has been told to its actor. */
  async settled(conversation: ConversationId): Promise<void> {
    await this.#settling.get(conversation);
  }

  async #completeCrossed(turn: Turn, used: Tokens, window: Tokens, effective: Tokens): Promise<void> {
    const { calls } = this.#options;
    const { conversation, seen } = turn;
    const lineage = await this.#readHistory(turn);
    if (lineage !== null) {
      const { path, headers, body, request } = seen;
      const { model } = request;
      const prefix = wholeOf(lineage);
      calls.hold(conversation, { path, headers, body, model, prefix, used, room: window - used });
    }
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
    const covering = lineage === null ? null : this.covering(lineage, seen.request.model);
    const extendsCall = lineage === null || calls.isExtendedBy(conversation, lineage, seen.request.model);
    this.send(conversation, {
      type: 'turn.started',
      at: now(),
      messages: seen.history.length,
      covering: refOrNull(covering),
      extendsCall,
    });
    if (!extendsCall) calls.forget(conversation);
    if (lineage === null || covering === null) return;
    const entries = entriesAfter(seen.request, lineage, covering.blocks);
    this.#noteWal(conversation, { checkpoint: refOf(covering.checkpoint), entries });
  }

  #tellCompleted(turn: Turn, used: Tokens, effective: Tokens): void {
    const { durable, now } = this.#options;
    const { conversation } = turn;
    const { history, request } = turn.seen;
    if (this.#compacted.delete(conversation)) durable.compactionFollowed({ conversation, tokensAfter: used });
    this.send(conversation, {
      type: 'turn.completed',
      at: now(),
      turn: turn.id,
      messages: history.length,
      used,
      effectiveWindow: effective,
      model: request.model,
      thresholds: this.#thresholds(turn.seen, effective),
    });
  }

  /** Keeps work on a conversation for {@link settled}, one after the other. */
  #settle(conversation: ConversationId, work: Promise<unknown>): void {
    const settling = Promise.allSettled([this.#settling.get(conversation), work]).then(([, outcome]) => {
      if (this.#settling.get(conversation) === settling) this.#settling.delete(conversation);
      if (outcome.status === 'rejected') {
        this.#options.log.error('history.unread', { conversation, message: String(outcome.reason) });
      }
    });
    this.#settling.set(conversation, settling);
  }

  /** The conversation that a compaction is about. */
  conversationOfCompaction(seen: SeenRequest): ConversationId {
    const { directory } = this.#options;
    const speaker = speakerOf(seen);
    this.#recall(speaker);
    const query = { ...speaker, root: rootOf(seen.history), continuation: false };
    const conversation = directory.locateCompaction(query) ?? directory.locate(query).id;
    this.#open(conversation);
    this.#noteSeen(conversation, seen);
    return conversation;
  }

  /** The conversation that a request of no conversation (auxiliary, unreadable) is shown under; null for none. */
  nearest(speaker: Speaker): ConversationId | null {
    this.#recall(speaker);
    return this.#options.directory.latestOf(speaker);
  }

  /** The chain over a conversation's history; null when a message is of no known shape. */
  lineageOf(conversation: ConversationId, history: History): Promise<Lineage | null> {
    return this.#lineages.read(conversation, history);
  }

  /** The checkpoint that covers most of a history that `model` is asked with, or null. */
  covering(lineage: Lineage, model: string): Covering | null {
    const { config, index, steady } = this.#options;
    return config.passthrough ? null : index.find(lineage, steady(), model);
  }

  /** Effective window of the model a request asks. */
  effectiveWindowOf(seen: SeenRequest): Tokens {
    return effectiveWindow(this.#window(seen, tokens(0)), seen.request.maxTokens);
  }

  noteServed(conversation: ConversationId, seen: SeenRequest, covering: Covering, waited: Milliseconds): void {
    const { checkpoint } = covering;
    const saved = milliseconds(Math.max(0, checkpoint.duration - waited));
    this.#served.set(conversation, servedFrom(checkpoint));
    this.#noteCompaction(conversation, seen, { outcome: 'served', checkpoint: checkpoint.id, waited, saved });
    this.send(conversation, { type: 'compaction.served', at: this.#options.now(), checkpoint: refOf(checkpoint) });
  }

  noteForwarded(conversation: ConversationId, seen: SeenRequest, reason: ForwardReason): void {
    this.#options.log.info('compaction.forwarded', { conversation, reason });
    this.#observe({ type: 'compaction.forwarded', conversation, reason });
    this.#noteCompaction(conversation, seen, { outcome: 'forwarded', reason });
    this.send(conversation, { type: 'compaction.forwarded', at: this.#options.now(), reason });
  }

  /** Writes a compaction into the history that people see. */
  #noteCompaction(
    conversation: ConversationId,
    seen: SeenRequest,
    what: Pick<CompactionRecord, 'outcome'> & Partial<CompactionRecord>,
  ): void {
    this.#options.durable.compacted({
      id: randomUUID(),
      conversation,
      at: this.#options.now(),
      model: seen.request.model,
      reason: null,
      tokensBefore: this.snapshot(conversation)?.context.used ?? tokens(0),
      checkpoint: null,
      waited: milliseconds(0),
      saved: milliseconds(0),
      ...what,
    });
  }

  notePassed(conversation: ConversationId): void {
    this.send(conversation, { type: 'compaction.passed', at: this.#options.now() });
  }

  /**
   * Drops a conversation's checkpoint, and every other one that was computed for it; ends a call that is under way;
   * forgets tries and failure. What its turns have used stays known. False when there is no such conversation.
   */
  reset(conversation: ConversationId): boolean {
    const { calls, index, log, now } = this.#options;
    const snapshot = this.snapshot(conversation);
    if (snapshot === undefined) return false;
    const servable = snapshot.context.checkpoint?.id;
    this.send(conversation, { type: 'conversation.reset', at: now() });
    calls.release(conversation);
    for (const checkpoint of index.checkpoints) {
      if (checkpoint.id === servable || checkpoint.conversation === conversation) index.forget(checkpoint.id);
    }
    log.info('conversation.reset', { conversation });
    this.#observe({ type: 'conversation.reset', conversation });
    return true;
  }

  phase(conversation: ConversationId): Phase {
    const snapshot = this.snapshot(conversation);
    return snapshot === undefined ? 'IDLE' : phaseOf(snapshot);
  }

  snapshot(conversation: ConversationId): ConversationSnapshot | undefined {
    return this.#options.actors.get(conversation)?.getSnapshot();
  }

  /** Tells a conversation's actor a fact. A conversation that is gone has nothing to be told. */
  send(conversation: ConversationId, event: ConversationEvent): void {
    this.#options.actors.get(conversation)?.send(event);
  }

  #window(seen: SeenRequest, used: Tokens): Tokens {
    const { config, learnedWindows } = this.#options;
    const betas = headerValue(seen.headers, 'anthropic-beta') ?? '';
    const window = contextWindow(seen.request.model, betas, {
      configured: config.modelWindows,
      learned: learnedWindows,
    });
    // More in use than there is room for: this user has the long window of a model that has two.
    return launchWindow(used > window ? tokens(Math.max(1_000_000, used)) : window, seen.launch);
  }

  #thresholds(seen: SeenRequest, effective: Tokens): Thresholds {
    return launchThresholds(this.#options.config.thresholds, seen.launch, effective);
  }

  /** What follows a conversation's checkpoint, as far as it was seen; null when it has none. */
  wal(conversation: ConversationId): WalRecord | null {
    return this.#wals.get(conversation)?.record ?? null;
  }

  /** Has everything written that is known: to a file that may have missed some of it. */
  writeAll(): void {
    const { durable, index } = this.#options;
    for (const checkpoint of index.checkpoints) durable.checkpointMade(checkpoint);
    for (const conversation of this.#phases.keys()) {
      this.#write(conversation);
      this.#writeWal(conversation);
    }
  }

  /** Takes up what an earlier process knew of a speaker's conversations, when the speaker is heard for the first time. */
  #recall(speaker: Speaker): void {
    const { config, directory, durable, index, log, now } = this.#options;
    if (directory.knows(speaker)) return;
    for (const record of durable.conversationsOf(speaker)) {
      if (record.lastActivity < now() - config.conversationTtl) continue;
      const { checkpoint } = record.state;
      const kept = checkpoint === null ? null : index.get(checkpoint.id);
      const served = record.served === null ? null : index.get(record.served);
      // A summary that is gone cannot be known again; a checkpoint that is gone cannot be served.
      const state = { ...record.state, checkpoint: kept === null ? null : checkpoint, served: served !== null };
      directory.restore(record);
      if (served !== null) this.#served.set(record.id, servedFrom(served));
      this.#open(record.id, state);
      if (state.checkpoint !== null) {
        const entries = durable.wal(record.id, state.checkpoint.id);
        this.#walOf(record.id).note({ checkpoint: state.checkpoint, entries });
      }
      log.info('conversation.restored', { conversation: record.id, phase: this.phase(record.id) });
    }
  }

  #open(conversation: ConversationId, remembered: RememberedState | null = null): void {
    const { actors, config, directory, log } = this.#options;
    if (this.#phases.has(conversation)) return;
    const actor = actors.open({
      id: conversation,
      thresholds: config.thresholds,
      checkpointRefresh: config.checkpointRefresh,
      checkpoints: !config.passthrough,
      ttl: config.conversationTtl,
      maxTries: config.checkpointTries,
      remembered,
    });
    if (actor === undefined) return;
    this.#phases.set(conversation, phaseOf(actor.getSnapshot()));
    log.debug('conversation.opened', { conversation });
    const speaker = directory.describe(conversation) ?? { session: null, agent: null };
    this.#observe({ type: 'conversation.opened', conversation, speaker });
    this.#observe({ type: 'conversation.changed', conversation, snapshot: actor.getSnapshot() });
    actor.subscribe({
      next: (snapshot) => {
        try {
          this.#follow(conversation, snapshot);
        } catch (error) {
          // Its state makes no sense to those who follow it: it begins anew with its next request.
          this.#fail(conversation, error);
          queueMicrotask(() => actors.close(conversation));
        }
      },
      complete: () => {
        // Stopped with the whole proxy, it will be wanted again; expired, it will not.
        const expired = actor.getSnapshot().status === 'done';
        this.#close(conversation, expired);
        if (expired) log.debug('conversation.expired', { conversation });
      },
      error: (error: unknown) => this.#fail(conversation, error),
    });
  }

  #noteSeen(conversation: ConversationId, seen: SeenRequest): void {
    this.#observe({ type: 'history.seen', conversation, parent: this.#parentOf(seen), seen });
  }

  /** Subagents speak under their parent's session. */
  #parentOf(seen: SeenRequest): ConversationId | null {
    const { session, agent } = speakerOf(seen);
    if (session === null || agent === null) return null;
    return this.nearest({ session, agent: seen.labels.parentAgent }) ?? this.nearest({ session, agent: null });
  }

  /** A conversation broke: what is known of it goes, its checkpoints stay, its requests pass. */
  #fail(conversation: ConversationId, error: unknown): void {
    this.#close(conversation, true);
    const message = error instanceof Error ? error.message : 'unknown';
    this.#options.log.error('conversation.failed', { conversation, message });
  }

  /** A conversation's actor has moved. */
  #follow(conversation: ConversationId, snapshot: ConversationSnapshot): void {
    const { calls, log } = this.#options;
    if (!wantsSource(snapshot)) calls.release(conversation);
    this.#observe({ type: 'conversation.changed', conversation, snapshot });
    const { checkpoint } = snapshot.context;
    if (checkpoint === null) {
      if (this.#wals.get(conversation)?.clear() === true) this.#writeWal(conversation);
    } else if (this.wal(conversation)?.checkpoint.id !== checkpoint.id) {
      this.#noteWal(conversation, { checkpoint, entries: [] });
    }
    this.#write(conversation);
    const share = Number(utilisation(snapshot.context).toFixed(4));
    this.#noteLoop(conversation, snapshot.context.looping, share);
    const from = this.#phases.get(conversation);
    const to = phaseOf(snapshot);
    if (from === undefined || from === to) return;
    this.#phases.set(conversation, to);
    log.info('phase.changed', { conversation, from, to, utilisation: share });
  }

  /** Tells the log of a compaction loop, once when it begins and once when it is over. */
  #noteLoop(conversation: ConversationId, looping: boolean, share: number): void {
    if (looping === this.#looping.has(conversation)) return;
    const { log } = this.#options;
    if (looping) {
      this.#looping.add(conversation);
      log.warn('compaction.loop', { conversation, utilisation: share });
    } else {
      this.#looping.delete(conversation);
      log.info('compaction.loop_ended', { conversation, utilisation: share });
    }
  }

  #close(conversation: ConversationId, forGood: boolean): void {
    const { calls, directory, durable } = this.#options;
    this.#phases.delete(conversation);
    this.#served.delete(conversation);
    this.#wals.delete(conversation);
    this.#compacted.delete(conversation);
    this.#looping.delete(conversation);
    this.#lineages.forget(conversation);
    calls.forget(conversation);
    if (forGood) durable.conversationForgotten(conversation);
    directory.forget(conversation);
    this.#observe({ type: 'conversation.closed', conversation });
  }

  #walOf(conversation: ConversationId): WriteAheadLog {
    const known = this.#wals.get(conversation);
    if (known !== undefined) return known;
    const wal = new WriteAheadLog();
    this.#wals.set(conversation, wal);
    return wal;
  }

  #noteWal(conversation: ConversationId, record: WalRecord): void {
    if (this.#walOf(conversation).note(record)) this.#writeWal(conversation);
  }

  #writeWal(conversation: ConversationId): void {
    this.#options.durable.walChanged(conversation, () => this.wal(conversation));
  }

  #write(conversation: ConversationId): void {
    this.#options.durable.conversationChanged(conversation, () => this.#record(conversation));
  }

  /** A conversation as it is kept; null for one that is gone. */
  #record(conversation: ConversationId): ConversationRecord | null {
    const snapshot = this.snapshot(conversation);
    const known = this.#options.directory.describe(conversation);
    if (snapshot === undefined || known === null) return null;
    const state = toRemember(snapshot);
    return {
      ...known,
      id: conversation,
      phase: phaseOf(snapshot),
      served: this.#served.get(conversation)?.checkpoint ?? null,
      state,
      lastActivity: state.lastActivity ?? this.#options.now(),
    };
  }
}

/** Who speaks: from the headers, else from the body's metadata. */
export function speakerOf(seen: Pick<SeenRequest, 'labels' | 'request'>): Speaker {
  const { labels, request } = seen;
  return { session: labels.session ?? sessionOfUserId(request.userId), agent: labels.agent };
}

const refOrNull = (covering: Covering | null) => (covering === null ? null : refOf(covering.checkpoint));
