/**
 * The conversations' actors: opened, followed in all that they do, and let go of when they end. What an actor does is
 * told to the log, to those who look on, and to what remembers it. Used by conversations.ts.
 */
import { utilisation } from '../../machines/conversation-calculations.ts';
import type { ConversationActor, ConversationSnapshot } from '../../machines/conversation.ts';
import type { ConversationEvent, ConversationInput, PersistedState } from '../../machines/conversation-events.ts';
import { phaseOf, type Phase } from '../../machines/phases.ts';
import type { ConversationId } from '../../machines/units.ts';
import type { Config } from '../config/config.ts';
import { messageOf } from '../errors.ts';
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
  readonly publish: PublishFact;
}

/** True while a call is under way or will be tried again, and so needs its request. */
export const wantsSource = (snapshot: ConversationSnapshot): boolean =>
  snapshot.matches({ alive: { call: 'running' } }) || snapshot.matches({ alive: { call: 'waitingToRetry' } });

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
    const { actors, config, directory, publish } = this.#options;
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
    const { agent, session } = directory.describe(conversation) ?? { session: null, agent: null };
    publish({ type: 'conversation.opened', conversation, identity: { session, agent } });
    publish({ type: 'conversation.changed', conversation, snapshot: actor.getSnapshot() });
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
        publish({ type: 'conversation.closed', conversation, expired });
      },
      error: (error: unknown) => this.#fail(conversation, error),
    });
  }

  /** A conversation broke: what is known of it goes, its checkpoints stay, its requests pass. */
  #fail(conversation: ConversationId, error: unknown): void {
    this.#close(conversation, true);
    const message = messageOf(error);
    this.#options.publish({ type: 'conversation.failed', conversation, message });
  }

  /** A conversation's actor has moved. */
  #follow(conversation: ConversationId, snapshot: ConversationSnapshot): void {
    const { calls, memory, publish } = this.#options;
    if (!wantsSource(snapshot)) calls.release(conversation);
    publish({ type: 'conversation.changed', conversation, snapshot });
    memory.recordChange(conversation, snapshot);
    this.#publishLoop(conversation, snapshot);
    const from = this.#phases.get(conversation);
    const to = phaseOf(snapshot);
    if (from === undefined || from === to) return;
    this.#phases.set(conversation, to);
    publish({ type: 'phase.changed', conversation, from, to, utilisation: utilisation(snapshot.context) });
  }

  /** Publishes a compaction loop once when it begins and once when it ends. */
  #publishLoop(conversation: ConversationId, { context }: ConversationSnapshot): void {
    if (context.looping === this.#looping.has(conversation)) return;
    if (context.looping) this.#looping.add(conversation);
    else this.#looping.delete(conversation);
    const type = context.looping ? 'compaction.loop' : 'compaction.loop_ended';
    this.#options.publish({ type, conversation, utilisation: utilisation(context) });
  }

  #close(conversation: ConversationId, forGood: boolean): void {
    const { calls, directory, lineages, memory, notes } = this.#options;
    this.#phases.delete(conversation);
    this.#looping.delete(conversation);
    notes.forget(conversation);
    calls.forget(conversation);
    lineages.forget(conversation);
    memory.forget(conversation, forGood);
    directory.forget(conversation);
  }
}
