/** Tracks asynchronous work on conversations, such as reading their histories, so that others can await its end. */
import type { ConversationId } from '../../machines/units.ts';

export class KeyedTaskQueue {
  readonly #pending = new Map<ConversationId, Promise<void>>();
  readonly #onFailure: (conversation: ConversationId, error: unknown) => void;

  /** @param onFailure called when work rejects */
  constructor(onFailure: (conversation: ConversationId, error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  /** Number of conversations with pending work. */
  get size(): number {
    return this.#pending.size;
  }

  /** Adds work on a conversation. */
  add(conversation: ConversationId, work: Promise<unknown>): void {
    const settled = Promise.allSettled([this.#pending.get(conversation), work]).then(([, outcome]) => {
      if (this.#pending.get(conversation) === settled) this.#pending.delete(conversation);
      if (outcome.status === 'rejected') this.#onFailure(conversation, outcome.reason);
    });
    this.#pending.set(conversation, settled);
  }

  /** Resolves when the work on a conversation has ended, in any way. */
  async settled(conversation: ConversationId): Promise<void> {
    await this.#pending.get(conversation);
  }
}
