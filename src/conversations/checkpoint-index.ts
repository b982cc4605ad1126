/**
 * All checkpoints, addressed by the prefix of messages that they summarise, across conversations and sessions.
 * A fork, a resume or a rewind finds here what covers its own history, and nothing else.
 */
import type { CheckpointRef } from '../../machines/conversation-events.ts';
import type { CheckpointId, ConversationId, Milliseconds, Timestamp } from '../../machines/units.ts';
import type { Usage } from '../wire/answer.ts';
import { linkKey, matchesAt, type Comparison, type Lineage, type Prefix } from '../wire/lineage.ts';

/** A summary of a prefix. The only place where a summary's text is kept. */
export interface Checkpoint {
  readonly id: CheckpointId;
  /** The conversation it was computed for. */
  readonly conversation: ConversationId;
  readonly prefix: Prefix;
  readonly summary: string;
  readonly model: string;
  readonly usage: Usage;
  /** How long the call took: what nobody has to wait for. */
  readonly duration: Milliseconds;
  readonly createdAt: Timestamp;
}

/** A checkpoint that a history begins with. */
export interface Covering {
  readonly checkpoint: Checkpoint;
  /** How many blocks of that history it covers; the recent messages begin after them. */
  readonly blocks: number;
}

export const refOf = (checkpoint: Checkpoint): CheckpointRef => ({
  id: checkpoint.id,
  anchorMessages: checkpoint.prefix.messages,
});

interface Entry {
  readonly checkpoint: Checkpoint;
  lastNeeded: Timestamp;
}

export class CheckpointIndex {
  readonly #onDrop: (checkpoint: Checkpoint) => void;
  readonly #byKey = new Map<string, Entry[]>();
  readonly #byBareKey = new Map<string, Entry[]>();
  #size = 0;

  /** @param onDrop hears of every checkpoint that is kept no longer */
  constructor(onDrop: (checkpoint: Checkpoint) => void = () => undefined) {
    this.#onDrop = onDrop;
  }

  get size(): number {
    return this.#size;
  }

  /** Adds a checkpoint; it takes the place of an older one of the very same prefix. */
  add(checkpoint: Checkpoint): void {
    const { bareKey, details, key } = checkpoint.prefix;
    const old = this.#byKey.get(key)?.find((entry) => entry.checkpoint.prefix.details.equals(details));
    if (old !== undefined) this.#remove(old);
    const entry = { checkpoint, lastNeeded: checkpoint.createdAt };
    this.#byKey.set(key, [...(this.#byKey.get(key) ?? []), entry]);
    this.#byBareKey.set(bareKey, [...(this.#byBareKey.get(bareKey) ?? []), entry]);
    this.#size += 1;
  }

  /**
   * The checkpoint that covers the most of a history's beginning, or null. Keeps it from expiring.
   *
   * @param model the model that is asked now. Checkpoints that another model made are compared without `system`
   *   messages where nothing matches with them: a switch of the model rewrites reminders, and nothing else.
   */
  find(lineage: Lineage, now: Timestamp, model?: string): Covering | null {
    if (this.#size === 0) return null;
    return (
      this.#search(lineage, now, 'whole', () => true) ??
      (model === undefined ? null : this.#search(lineage, now, 'bare', (made) => made.model !== model))
    );
  }

  #search(
    lineage: Lineage,
    now: Timestamp,
    comparison: Comparison,
    suits: (checkpoint: Checkpoint) => boolean,
  ): Covering | null {
    const byKey = comparison === 'whole' ? this.#byKey : this.#byBareKey;
    for (let blocks = lineage.length; blocks > 0; blocks -= 1) {
      const entry = byKey
        .get(linkKey(lineage, blocks, comparison))
        ?.findLast(({ checkpoint }) => suits(checkpoint) && matchesAt(lineage, blocks, checkpoint.prefix, comparison));
      if (entry === undefined) continue;
      entry.lastNeeded = now;
      return { checkpoint: entry.checkpoint, blocks };
    }
    return null;
  }

  /** Forgets what nobody has needed since `before`. */
  expire(before: Timestamp): void {
    for (const entry of this.#entries()) if (entry.lastNeeded < before) this.#remove(entry);
  }

  /** The checkpoint of that name, or null. */
  get(id: CheckpointId): Checkpoint | null {
    for (const { checkpoint } of this.#entries()) if (checkpoint.id === id) return checkpoint;
    return null;
  }

  /** Forgets every checkpoint that `unwanted` is true for. */
  drop(unwanted: (checkpoint: Checkpoint) => boolean): void {
    for (const entry of this.#entries()) if (unwanted(entry.checkpoint)) this.#remove(entry);
  }

  #entries(): Entry[] {
    return [...this.#byKey.values()].flat();
  }

  #remove(entry: Entry): void {
    const { bareKey, key } = entry.checkpoint.prefix;
    for (const [map, name] of [
      [this.#byKey, key],
      [this.#byBareKey, bareKey],
    ] as const) {
      const rest = (map.get(name) ?? []).filter((other) => other !== entry);
      if (rest.length === 0) map.delete(name);
      else map.set(name, rest);
    }
    this.#size -= 1;
    this.#onDrop(entry.checkpoint);
  }
}
