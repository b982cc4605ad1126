/**
 * The conversations' actors: opened, followed in all that they do, and let go of when they end. What an actor does is
 * told to the log, to those who look on, and to what remembers it. Used by conversations.ts.
 */
import { utilisation } from '../../machines/conversation-calculations.ts';
import type { ConversationActor, ConversationSnapshot } from '../../machines/conversation.ts';
import type { ConversationEvent, ConversationInput, PersistedState } from '../../machines/conversation-events.ts';
import { phaseOf, type Phase } from '../../machines/phases.ts';
import type { ConversationId } from '../../machines/units.ts';
import type { Config } from '../config.ts';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { CheckpointCalls } from '../checkpoint/calls.ts';
import type { ServedSummaryTracker } from '../compaction/served-summary-tracker.ts';
import type { ConversationDirectory } from './directory.ts';
import type { PublishFact } from '../facts.ts';
import type { LineageReader } from './lineage-reader.ts';
import type { ConversationPersistence } from './persistence.ts';

/** Opens conversation actors and finds them again; the supervisor does both. */
export interface ActorHost {
  open(input: ConversationInput): ConversationActor | undefined;
  get(id: ConversationId): ConversationActor | undefined;
  close(id: ConversationId): void;
}

export interface ConversationActorsOptions {
  readonly actors: ActorHost;
  readonly calls: CheckpointCalls;
  readonly config: Config;
  readonly directory: ConversationDirectory;
  readonly lineages: LineageReader;
  readonly memory: ConversationPersistence;
  readonly notes: ServedSummaryTracker;
  readonly log: Log;
  readonly observe: PublishFact;
}

/** True while a call is under way or will be tried again, and so needs its request. */
export const wantsSource = (snapshot: ConversationSnapshot): boolean =>
  snapshot.matches({ alive: { call: 'running' } }) || snapshot.matches({ alive: { call: 'waitingToRetry' } });

/** Share of the window in use, as logs tell it. */
const shareOf = ({ context }: ConversationSnapshot): number => Number(utilisation(context).toFixed(4));

export class ConversationActors {
  readonly #options: ConversationActorsOptions;
  readonly #phases = new Map<ConversationId, Phase>();
  /** Conversations in a compaction loop. */
  readonly #looping = new Set<ConversationId>();

  constructor(options: ConversationActorsOptions) {
    this.#options = options;
  }

  get ids(): readonly ConversationId[] {
    return [...this.#phases.keys()];
  }

  get size(): number {
    return this.#phases.size;
  }

  snapshot(conversation: ConversationId): ConversationSnapshot | undefined {
    return this.#options.actors.get(conversation)?.getSnapshot();
  }

  phase(conversation: ConversationId): Phase {
    return this.#phases.get(conversation) ?? 'IDLE';
  }

  /** Tells a conversation's actor a fact. A conversation that is gone has nothing to be told. */
  send(conversation: ConversationId, event: ConversationEvent): void {
    this.#options.actors.get(conversation)?.send(event);
  }

  /** Opens a conversation's actor, unless it is open. */
  open(conversation: ConversationId, persisted: PersistedState | null = null): void {
    const { actors, config, directory, log, observe } = this.#options;
    if (this.#phases.has(conversation)) return;
    const actor = actors.open({
      id: conversation,
      thresholds: config.thresholds,
      checkpointRefresh: config.checkpointRefresh,
      checkpoints: !config.passthrough,
      ttl: config.conversationTtl,
      maxTries: config.checkpointTries,
      persisted,
    });
    if (actor === undefined) return;
    this.#phases.set(conversation, phaseOf(actor.getSnapshot()));
    log.debug('conversation.opened', { conversation });
    const speaker = directory.describe(conversation) ?? { session: null, agent: null };
    observe({ type: 'conversation.opened', conversation, speaker });
    observe({ type: 'conversation.changed', conversation, snapshot: actor.getSnapshot() });
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

  /** A conversation broke: what is known of it goes, its checkpoints stay, its requests pass. */
  #fail(conversation: ConversationId, error: unknown): void {
    this.#close(conversation, true);
    const message = messageOf(error);
    this.#options.log.error('conversation.failed', { conversation, message });
  }

  /** A conversation's actor has moved. */
  #follow(conversation: ConversationId, snapshot: ConversationSnapshot): void {
    const { calls, log, memory, observe } = this.#options;
    if (!wantsSource(snapshot)) calls.release(conversation);
    observe({ type: 'conversation.changed', conversation, snapshot });
    memory.noteChanged(conversation, snapshot);
    this.#noteLoop(conversation, snapshot);
    const from = this.#phases.get(conversation);
    const to = phaseOf(snapshot);
    if (from === undefined || from === to) return;
    this.#phases.set(conversation, to);
    log.info('phase.changed', { conversation, from, to, utilisation: shareOf(snapshot) });
  }

  /** Tells the log of a compaction loop, once when it begins and once when it is over. */
  #noteLoop(conversation: ConversationId, snapshot: ConversationSnapshot): void {
    const { looping } = snapshot.context;
    if (looping === this.#looping.has(conversation)) return;
    const { log } = this.#options;
    const share = shareOf(snapshot);
    if (looping) {
      this.#looping.add(conversation);
      log.warn('compaction.loop', { conversation, utilisation: share });
    } else {
      this.#looping.delete(conversation);
      log.info('compaction.loop_ended', { conversation, utilisation: share });
    }
  }

  #close(conversation: ConversationId, forGood: boolean): void {
    const { calls, directory, lineages, memory, notes, observe } = this.#options;
    this.#phases.delete(conversation);
    this.#looping.delete(conversation);
    notes.forget(conversation);
    calls.forget(conversation);
    lineages.forget(conversation);
    memory.forget(conversation, forGood);
    directory.forget(conversation);
    observe({ type: 'conversation.closed', conversation });
  }
}
