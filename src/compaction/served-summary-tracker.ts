/**
 * Tracks the summaries that were served: whether the client goes on from the one it was served, and which turn is the
 * first of a new history.
 */
import type { CheckpointId, ConversationId } from '../../machines/units.ts';
import { escapeTags } from './summary-text.ts';
import type { Checkpoint } from '../checkpoint/index.ts';

/** Length of the probe that identifies a served summary, without white space, which the client reflows. */
const PROBE_LENGTH = 300;
/** Characters of a new history's summary that are searched for the probe. */
const SEARCHED_LENGTH = 4_000;

const squeezed = (text: string, length: number): string => text.slice(0, length * 8).replace(/\s+/g, '');

/** A summary that was served, and the beginning of its text that identifies it. */
interface Served {
  readonly checkpoint: CheckpointId;
  readonly probe: string;
}

export class ServedSummaryTracker {
  /** The summary that was served last, until the client shows whether it uses it. */
  readonly #served = new Map<ConversationId, Served>();
  /** Conversations whose new history has had no completed turn yet. */
  readonly #replaced = new Set<ConversationId>();

  /** A summary was served, by this process or by one before it. */
  add(conversation: ConversationId, { id, summary }: Pick<Checkpoint, 'id' | 'summary'>): void {
    const probe = squeezed(escapeTags(summary), PROBE_LENGTH).slice(0, PROBE_LENGTH);
    this.#served.set(conversation, { checkpoint: id, probe });
  }

  /** The checkpoint whose summary was served last, until the client shows whether it uses it. */
  pendingFor(conversation: ConversationId): CheckpointId | null {
    return this.#served.get(conversation)?.checkpoint ?? null;
  }

  /** True when a history begins with the summary that was served last. */
  isServedSummary(conversation: ConversationId, summary: string | null): boolean {
    const served = this.#served.get(conversation);
    return summary !== null && served !== undefined && squeezed(summary, SEARCHED_LENGTH).includes(served.probe);
  }

  /** The conversation goes on from a new history. True when a summary had been served to it. */
  replaceHistory(conversation: ConversationId): boolean {
    this.#replaced.add(conversation);
    return this.#served.delete(conversation);
  }

  /** A turn has ended. True for the first one of a new history, whose usage shows how small that history is. */
  completeTurn(conversation: ConversationId): boolean {
    return this.#replaced.delete(conversation);
  }

  forget(conversation: ConversationId): void {
    this.#served.delete(conversation);
    this.#replaced.delete(conversation);
  }
}
