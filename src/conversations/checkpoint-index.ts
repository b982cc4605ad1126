/**
 * All checkpoints, addressed by the prefix of messages that they summarise, across conversations and sessions.
 * A fork, a resume or a rewind finds here what covers its own history, and nothing else.
 */
import type { CheckpointRef } from '../../machines/conversation-events.ts';
import type { CheckpointId, ConversationId, Milliseconds, Timestamp } from '../../machines/units.ts';
import type { Usage } from '../wire/answer.ts';
import { linkKey, matchesAt, type Lineage, type Prefix } from '../wire/lineage.ts';

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
  readonly #byKey = new Map<string, Entry[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds a checkpoint; it takes the place of an older one of the very same prefix. */
  add(checkpoint: Checkpoint): void {
    const same = this.#byKey.get(checkpoint.prefix.key) ?? [];
    const others = same.filter((entry) => !entry.checkpoint.prefix.details.equals(checkpoint.prefix.details));
    this.#size += 1 + others.length - same.length;
    this.#byKey.set(checkpoint.prefix.key, [...others, { checkpoint, lastNeeded: checkpoint.createdAt }]);
  }

  /** The checkpoint that covers the most of a history's beginning, or null. Keeps it from expiring. */
  find(lineage: Lineage, now: Timestamp): Covering | null {
    if (this.#size === 0) return null;
    for (let blocks = lineage.length; blocks > 0; blocks -= 1) {
      const entries = this.#byKey.get(linkKey(lineage, blocks));
      const entry = entries?.findLast((candidate) => matchesAt(lineage, blocks, candidate.checkpoint.prefix));
      if (entry === undefined) continue;
      entry.lastNeeded = now;
      return { checkpoint: entry.checkpoint, blocks };
    }
    return null;
  }

  /** Forgets what nobody has needed since `before`. */
  expire(before: Timestamp): void {
    for (const [key, entries] of this.#byKey) {
      const kept = entries.filter((entry) => entry.lastNeeded >= before);
      this.#size -= entries.length - kept.length;
      if (kept.length === 0) this.#byKey.delete(key);
      else if (kept.length < entries.length) this.#byKey.set(key, kept);
    }
  }
}
