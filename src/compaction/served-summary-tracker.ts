/**
 * What is noted of compactions: what became of each, and what the next turns show of it, namely whether the client went
 * on from the summary that it was served and how much of the window its new history takes. For the history that people
 * see, and for whoever asks whether a history is a new one. Written by conversations.ts.
 */
import { randomUUID } from 'node:crypto';
import { milliseconds, type CheckpointId, type ConversationId, type Tokens } from '../../machines/units.ts';
import { escapeTags } from './summary-text.ts';
import type { Checkpoint } from '../checkpoint/index.ts';
import type { CompactionRecord, StateRepository } from '../conversations/repository.ts';

/** Characters (without white space, which the client reflows) by which a served summary is known again. */
const PROBE_LENGTH = 300;
/** … which is looked for in so many of a new history's summary. */
const SEARCHED_LENGTH = 4_000;

const squeezed = (text: string, length: number): string => text.slice(0, length * 8).replace(/\s+/g, '');

/** A summary that was served, and the characters by which it is known again. */
interface Served {
  readonly checkpoint: CheckpointId;
  readonly probe: string;
}

/** What is to be said of a compaction: where it happened, its outcome, and what differs from one that went to the API. */
export type Compacted = Pick<CompactionRecord, 'conversation' | 'at' | 'model' | 'tokensBefore' | 'outcome'> &
  Partial<CompactionRecord>;

export class ServedSummaryTracker {
  readonly #durable: Pick<StateRepository, 'compacted' | 'updateCompaction'>;
  /** The summary that was served last, until the client shows whether it took it. */
  readonly #served = new Map<ConversationId, Served>();
  /** Conversations whose new history has had no completed turn yet. */
  readonly #compacted = new Set<ConversationId>();

  constructor(durable: Pick<StateRepository, 'compacted' | 'updateCompaction'>) {
    this.#durable = durable;
  }

  /** Writes a compaction into the history that people see. */
  note(compacted: Compacted): void {
    const nothing = { reason: null, checkpoint: null, waited: milliseconds(0), saved: milliseconds(0) };
    this.#durable.compacted({ id: randomUUID(), ...nothing, ...compacted });
  }

  /** A summary was served, by this process or by one before it. */
  noteServed(conversation: ConversationId, { id, summary }: Pick<Checkpoint, 'id' | 'summary'>): void {
    const probe = squeezed(escapeTags(summary), PROBE_LENGTH).slice(0, PROBE_LENGTH);
    this.#served.set(conversation, { checkpoint: id, probe });
  }

  /** The checkpoint whose summary was served last, until the client shows whether it took it. */
  servedTo(conversation: ConversationId): CheckpointId | null {
    return this.#served.get(conversation)?.checkpoint ?? null;
  }

  /** True when a history begins with the summary that was served last. */
  isServed(conversation: ConversationId, summary: string | null): boolean {
    const served = this.#served.get(conversation);
    return summary !== null && served !== undefined && squeezed(summary, SEARCHED_LENGTH).includes(served.probe);
  }

  /** The conversation goes on from a new history; `confirmed`: from the summary that was served. */
  noteReplaced(conversation: ConversationId, confirmed: boolean): void {
    this.#compacted.add(conversation);
    if (this.#served.delete(conversation)) this.#durable.updateCompaction({ conversation, confirmed });
  }

  /** The old history goes on: a summary that was served has not been taken. */
  noteContinued(conversation: ConversationId): void {
    if (this.#served.has(conversation)) this.#durable.updateCompaction({ conversation, confirmed: false });
  }

  /** A turn has ended, with so many tokens in use: the first one of a new history tells how small it is. */
  noteCompleted(conversation: ConversationId, used: Tokens): void {
    if (this.#compacted.delete(conversation)) this.#durable.updateCompaction({ conversation, tokensAfter: used });
  }

  forget(conversation: ConversationId): void {
    this.#served.delete(conversation);
    this.#compacted.delete(conversation);
  }
}
