/**
 * The conversations as the forwarder meets them: what a request means for its conversation, and what its conversation
 * makes of it. Finds the conversation, tells its actor the facts, and keeps what actors must not hold.
 */
import type { ConversationActor, ConversationSnapshot } from '../../machines/conversation.ts';
import type { ConversationEvent, ConversationInput, ForwardReason } from '../../machines/conversation-events.ts';
import { utilisation } from '../../machines/conversation.ts';
import { phaseOf, type Phase } from '../../machines/phases.ts';
import { tokens, turnId, type ConversationId, type Timestamp, type Tokens, type TurnId } from '../../machines/units.ts';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { escapeTags } from '../serving/summary-text.ts';
import { usedTokens, type Usage } from '../wire/answer.ts';
import { continuationText } from '../wire/compaction.ts';
import { headerValue, type RawHeaders } from '../wire/headers.ts';
import { wholeOf, type Lineage } from '../wire/lineage.ts';
import type { MessageRequest } from '../wire/message-request.ts';
import { sessionOfUserId, type RequestLabels, type Speaker } from '../wire/speaker.ts';
import { contextWindow, effectiveWindow } from '../wire/windows.ts';
import type { CheckpointCalls } from './checkpoint-calls.ts';
import { refOf, type CheckpointIndex, type Covering } from './checkpoint-index.ts';
import type { ConversationDirectory } from './directory.ts';

/** A message request that has been read. */
export interface SeenRequest {
  readonly labels: RequestLabels;
  readonly request: MessageRequest;
  /** The chain over the messages that are history (a compaction's without its instruction). */
  readonly lineage: Lineage;
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
  #turns = 0;

  constructor(options: ConversationsOptions) {
    this.#options = options;
  }

  /** Number of conversations that are tracked. */
  get size(): number {
    return this.#phases.size;
  }

  /** True when any compaction could be answered here, now or soon: only then is a request worth reading before it is sent on. */
  get mayServe(): boolean {
    return !this.#options.config.passthrough && (this.#options.index.size > 0 || this.#options.calls.size > 0);
  }

  /** A request has begun a turn of its conversation. */
  beginTurn(seen: SeenRequest): Turn {
    const { directory, calls, now } = this.#options;
    const { labels, request, lineage } = seen;
    const summary = continuationText(request.messages);
    const continuation = labels.compacted || summary !== null;
    const located = directory.locate({ ...speakerOf(seen), lineage, continuation });
    const conversation = located.id;
    this.#open(conversation);
    const confirmed = summary !== null && this.#isServed(conversation, summary);
    // Two summaries can begin alike: then the new history seems to share something with the old one.
    if (located.relation === 'compacted' || (located.relation === 'diverges' && (labels.compacted || confirmed))) {
      this.#probes.delete(conversation);
      this.#options.log.info('history.replaced', { conversation, confirmed });
      this.send(conversation, { type: 'history.replaced', at: now(), confirmed });
    }
    this.send(conversation, {
      type: 'turn.started',
      at: now(),
      messages: request.messages.length,
      covering: refOrNull(this.covering(lineage)),
      extendsCall: calls.isExtendedBy(conversation, lineage),
    });
    this.#turns += 1;
    return { id: turnId(this.#turns), conversation, seen };
  }

  /** The answer to a turn has ended well. A checkpoint call may start from it before this returns. */
  completeTurn(turn: Turn, usage: Usage): void {
    const { calls, now } = this.#options;
    const { conversation, seen } = turn;
    const used = usedTokens(usage);
    const window = this.#window(seen, used);
    const effective = effectiveWindow(window, seen.request.maxTokens);
    calls.hold(conversation, {
      path: seen.path,
      headers: seen.headers,
      body: seen.body,
      model: seen.request.model,
      prefix: wholeOf(seen.lineage),
      room: window - used,
    });
    this.send(conversation, {
      type: 'turn.completed',
      at: now(),
      turn: turn.id,
      used,
      effectiveWindow: effective,
      model: seen.request.model,
    });
    const snapshot = this.snapshot(conversation);
    if (snapshot === undefined || !wantsSource(snapshot)) calls.release(conversation);
  }

  /** The conversation that a compaction is about. */
  conversationOfCompaction(seen: SeenRequest): ConversationId {
    const { directory } = this.#options;
    const query = { ...speakerOf(seen), lineage: seen.lineage, continuation: false };
    const conversation = directory.locateCompaction(query) ?? directory.locate(query).id;
    this.#open(conversation);
    return conversation;
  }

  /** The conversation that a request of no conversation (auxiliary, unreadable) is shown under; null for none. */
  nearest(speaker: Speaker): ConversationId | null {
    return this.#options.directory.latestOf(speaker);
  }

  /** The checkpoint that covers most of a history, or null. */
  covering(lineage: Lineage): Covering | null {
    return this.#options.config.passthrough ? null : this.#options.index.find(lineage, this.#options.now());
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
    return used > window ? tokens(Math.max(1_000_000, used)) : window;
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
