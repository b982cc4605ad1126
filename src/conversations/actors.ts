/** The registry of the conversations' actors: opens them, sends them events, and publishes what they do. */
import { utilisation } from '../../machines/conversation-calculations.ts';
import type { ConversationActor, ConversationSnapshot } from '../../machines/conversation.ts';
import type { ConversationEvent, ConversationInput, PersistedState } from '../../machines/conversation-events.ts';
import { phaseOf, type Phase } from '../../machines/phases.ts';
import type { ConversationId } from '../../machines/units.ts';
import type { Config } from '../config/config.ts';
import { messageOf } from '../errors.ts';
import type { PublishFact } from '../facts.ts';
import type { ClientIdentity } from '../wire/identity.ts';

/** The parent of the actors, which is the supervisor. */
export interface ActorHost {
  open(input: ConversationInput): ConversationActor | undefined;
  get(id: ConversationId): ConversationActor | undefined;
  close(id: ConversationId): void;
}

export interface ConversationActorsOptions {
  readonly host: ActorHost;
  readonly config: Config;
  readonly publish: PublishFact;
}

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
    return this.#options.host.get(conversation)?.getSnapshot();
  }

  phase(conversation: ConversationId): Phase {
    return this.#phases.get(conversation) ?? 'IDLE';
  }

  /** Sends an event to a conversation's actor. Does nothing when the conversation is closed. */
  send(conversation: ConversationId, event: ConversationEvent): void {
    this.#options.host.get(conversation)?.send(event);
  }

  /** Opens a conversation's actor, unless it is open. */
  open(conversation: ConversationId, identity: ClientIdentity, persisted: PersistedState | null = null): void {
    const { config, host, publish } = this.#options;
    if (this.#phases.has(conversation)) return;
    const actor = host.open({
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
    publish({ type: 'conversation.opened', conversation, identity });
    publish({ type: 'conversation.changed', conversation, snapshot: actor.getSnapshot() });
    actor.subscribe({
      next: (snapshot) => {
        try {
          this.#onSnapshot(conversation, snapshot);
        } catch (error) {
          // The conversation starts again with its next request.
          this.#fail(conversation, error);
          queueMicrotask(() => host.close(conversation));
        }
      },
      complete: () => {
        this.#delete(conversation);
        // An actor that is stopped with the proxy is not done: its conversation is restored by the next process.
        publish({ type: 'conversation.closed', conversation, expired: actor.getSnapshot().status === 'done' });
      },
      error: (error: unknown) => this.#fail(conversation, error),
    });
  }

  #fail(conversation: ConversationId, error: unknown): void {
    this.#delete(conversation);
    this.#options.publish({ type: 'conversation.failed', conversation, message: messageOf(error) });
  }

  #onSnapshot(conversation: ConversationId, snapshot: ConversationSnapshot): void {
    const { publish } = this.#options;
    publish({ type: 'conversation.changed', conversation, snapshot });
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

  #delete(conversation: ConversationId): void {
    this.#phases.delete(conversation);
    this.#looping.delete(conversation);
  }
}
