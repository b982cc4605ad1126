/**
 * The conversations as the forwarder meets them: what a request means for its conversation, and what its conversation
 * makes of it. Finds the conversation, tells its actor the facts, and keeps what actors must not hold.
 */
import type { ConversationActor, ConversationSnapshot } from '../../machines/conversation.ts';
import type {
  ConversationEvent,
  ConversationInput,
  ForwardReason,
  Thresholds,
} from '../../machines/conversation-events.ts';
import { utilisation } from '../../machines/conversation.ts';
import { phaseOf, type Phase } from '../../machines/phases.ts';
import { tokens, turnId, type ConversationId, type Timestamp, type Tokens, type TurnId } from '../../machines/units.ts';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { escapeTags } from '../serving/summary-text.ts';
import { usedTokens, type Usage } from '../wire/answer.ts';
import { continuationText } from '../wire/compaction.ts';
import { headerValue, type RawHeaders } from '../wire/headers.ts';
import { launchThresholds, launchWindow, type LaunchSettings } from '../wire/launch-settings.ts';
import { rootOf, wholeOf, type Lineage } from '../wire/lineage.ts';
import type { History, MessageRequest } from '../wire/message-request.ts';
import { sessionOfUserId, type RequestLabels, type Speaker } from '../wire/speaker.ts';
import { contextWindow, effectiveWindow } from '../wire/windows.ts';
import type { CheckpointCalls } from './checkpoint-calls.ts';
import { refOf, type CheckpointIndex, type Covering } from './checkpoint-index.ts';
import type { ConversationDirectory } from './directory.ts';
import { readLineage } from './lineage-reader.ts';

/** A message request whose outline has been read. */
export interface SeenRequest {
  readonly labels: RequestLabels;
  /** What the client's launch was given. */
  readonly launch: LaunchSettings;
  readonly request: MessageRequest;
  /** The messages that are history: a compaction's without its instruction. */
  readonly history: History;
  readonly path: string;
  /** End-to-end headers. */
  readonly headers: RawHeaders;
  readonly body: Buffer;
}

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
}

export interface ConversationsOptions {
  readonly config: Config;
  readonly actors: ConversationActors;
  readonly directory: ConversationDirectory;
  readonly index: CheckpointIndex;
  readonly calls: CheckpointCalls;
  readonly learnedWindows: ReadonlyMap<string, Tokens>;
  readonly log: Log;
  readonly now: () => Timestamp;
}

/** How often a checkpoint is tried per crossing of the threshold. */
const MAX_TRIES = 3;
/** Characters (without white space, which the client reflows) by which a served summary is known again. */
const PROBE_LENGTH = 300;

const squeezed = (text: string, length: number): string => text.slice(0, length * 8).replace(/\s+/g, '');

/** True while a call is under way or will be tried again, and so needs its request. */
const wantsSource = (snapshot: ConversationSnapshot): boolean =>
  snapshot.matches({ alive: { call: 'running' } }) || snapshot.matches({ alive: { call: 'waitingToRetry' } });

export class Conversations {
  readonly #options: ConversationsOptions;
  /** Beginning of the summary that was served last, until the client shows whether it took it. */
  readonly #probes = new Map<ConversationId, string>();
  readonly #phases = new Map<ConversationId, Phase>();
  readonly #settling = new Map<ConversationId, Promise<void>>();
  #turns = 0;

  constructor(options: ConversationsOptions) {
    this.#options = options;
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
    const { directory, log, now } = this.#options;
    const { labels, history } = seen;
    const summary = continuationText(history);
    const continuation = labels.compacted || summary !== null;
    const located = directory.locate({ ...speakerOf(seen), root: rootOf(history), continuation });
    const conversation = located.id;
    this.#open(conversation);
    const confirmed = summary !== null && this.#isServed(conversation, summary);
    // Two summaries can begin alike: then the new history seems to be the one before.
    if (located.replaced || labels.compacted || confirmed) {
      this.#probes.delete(conversation);
      log.info('history.replaced', { conversation, confirmed });
      this.send(conversation, { type: 'history.replaced', at: now(), confirmed });
    }
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
      const source = { path, headers, body, model: request.model, prefix: wholeOf(lineage), room: window - used };
      calls.hold(conversation, source);
    }
    this.#tellCompleted(turn, used, effective);
    const snapshot = this.snapshot(conversation);
    if (snapshot === undefined || !wantsSource(snapshot)) calls.release(conversation);
  }

  /** Reads a turn's history, once, and tells its conversation what covers it. */
  #readHistory(turn: Turn): Promise<Lineage | null> {
    turn.lineage ??= readLineage(turn.seen.history).then((lineage) => {
      this.#tellStarted(turn, lineage);
      return lineage;
    });
    return turn.lineage;
  }

  #tellStarted(turn: Turn, lineage: Lineage | null): void {
    const { calls, now } = this.#options;
    const { conversation, seen } = turn;
    this.send(conversation, {
      type: 'turn.started',
      at: now(),
      messages: seen.history.length,
      covering: lineage === null ? null : refOrNull(this.covering(lineage, seen.request.model)),
      extendsCall: lineage === null || calls.isExtendedBy(conversation, lineage, seen.request.model),
    });
  }

  #tellCompleted(turn: Turn, used: Tokens, effective: Tokens): void {
    const { model } = turn.seen.request;
    const thresholds = this.#thresholds(turn.seen, effective);
    const event = { type: 'turn.completed', at: this.#options.now(), turn: turn.id, used, model } as const;
    this.send(turn.conversation, { ...event, effectiveWindow: effective, thresholds });
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
    const query = { ...speakerOf(seen), root: rootOf(seen.history), continuation: false };
    const conversation = directory.locateCompaction(query) ?? directory.locate(query).id;
    this.#open(conversation);
    return conversation;
  }

  /** The conversation that a request of no conversation (auxiliary, unreadable) is shown under; null for none. */
  nearest(speaker: Speaker): ConversationId | null {
    return this.#options.directory.latestOf(speaker);
  }

  /** The checkpoint that covers most of a history that `model` is asked with, or null. */
  covering(lineage: Lineage, model: string): Covering | null {
    const { config, index, now } = this.#options;
    return config.passthrough ? null : index.find(lineage, now(), model);
  }

  /** Effective window of the model a request asks. */
  effectiveWindowOf(seen: SeenRequest): Tokens {
    return effectiveWindow(this.#window(seen, tokens(0)), seen.request.maxTokens);
  }

  noteServed(conversation: ConversationId, covering: Covering): void {
    const probe = squeezed(escapeTags(covering.checkpoint.summary), PROBE_LENGTH).slice(0, PROBE_LENGTH);
    this.#probes.set(conversation, probe);
    this.send(conversation, {
      type: 'compaction.served',
      at: this.#options.now(),
      checkpoint: refOf(covering.checkpoint),
    });
  }

  noteForwarded(conversation: ConversationId, reason: ForwardReason): void {
    this.#options.log.info('compaction.forwarded', { conversation, reason });
    this.send(conversation, { type: 'compaction.forwarded', at: this.#options.now(), reason });
  }

  notePassed(conversation: ConversationId): void {
    this.send(conversation, { type: 'compaction.passed', at: this.#options.now() });
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

  /** True when a history that begins with `text` goes on from the summary that was served last. */
  #isServed(conversation: ConversationId, text: string): boolean {
    const probe = this.#probes.get(conversation);
    return probe !== undefined && squeezed(text, 4_000).includes(probe);
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

  #open(conversation: ConversationId): void {
    const { actors, config, directory, calls, log } = this.#options;
    if (this.#phases.has(conversation)) return;
    const actor = actors.open({
      id: conversation,
      thresholds: config.thresholds,
      checkpoints: !config.passthrough,
      ttl: config.conversationTtl,
      maxTries: MAX_TRIES,
    });
    if (actor === undefined) return;
    const close = (): void => {
      this.#phases.delete(conversation);
      this.#probes.delete(conversation);
      directory.forget(conversation);
      calls.release(conversation);
    };
    this.#phases.set(conversation, 'IDLE');
    log.debug('conversation.opened', { conversation });
    actor.subscribe({
      next: (snapshot) => {
        if (!wantsSource(snapshot)) calls.release(conversation);
        const from = this.#phases.get(conversation);
        const to = phaseOf(snapshot);
        if (from === undefined || from === to) return;
        this.#phases.set(conversation, to);
        log.info('phase.changed', {
          conversation,
          from,
          to,
          utilisation: Number(utilisation(snapshot.context).toFixed(4)),
        });
      },
      complete: () => {
        close();
        log.debug('conversation.expired', { conversation });
      },
      error: (error: unknown) => {
        close();
        log.error('conversation.failed', { conversation, message: error instanceof Error ? error.message : 'unknown' });
      },
    });
  }
}

/** Who speaks: from the headers, else from the body's metadata. */
export function speakerOf(seen: Pick<SeenRequest, 'labels' | 'request'>): Speaker {
  const { labels, request } = seen;
  return { session: labels.session ?? sessionOfUserId(request.userId), agent: labels.agent };
}

const refOrNull = (covering: Covering | null) => (covering === null ? null : refOf(covering.checkpoint));
