/** Work on conversations that is still under way, one after the other: reading a history takes more than one round. */
import type { ConversationId } from '../../machines/units.ts';

export class KeyedTaskQueue {
  readonly #under = new Map<ConversationId, Promise<void>>();
  readonly #onFailure: (conversation: ConversationId, error: unknown) => void;

  /** @param onFailure told of work that was rejected */
  constructor(onFailure: (conversation: ConversationId, error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  /** Conversations with work under way. */
  get size(): number {
    return this.#under.size;
  }

  /** Adds work on a conversation to what is under way. */
  add(conversation: ConversationId, work: Promise<unknown>): void {
    const settling = Promise.allSettled([this.#under.get(conversation), work]).then(([, outcome]) => {
      if (this.#under.get(conversation) === settling) this.#under.delete(conversation);
      if (outcome.status === 'rejected') this.#onFailure(conversation, outcome.reason);
    });
    this.#under.set(conversation, settling);
  }

  /** Resolves when the work on a conversation has ended, however it did. */
  async settled(conversation: ConversationId): Promise<void> {
    await this.#under.get(conversation);
  }
}
