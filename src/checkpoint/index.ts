/**
 * The index of all checkpoints by the message prefix that they summarise, across conversations and sessions. A fork, a
 * resume or a rewind finds a checkpoint of its own history only. Times are those of the monotonic clock, so that no
 * checkpoint expires when the wall clock is set.
 */
import type { CheckpointRef } from '../../machines/conversation-events.ts';
import type { CheckpointId, ConversationId, Milliseconds, Timestamp, Tokens } from '../../machines/units.ts';
import type { Usage } from '../wire/answer-reader.ts';
import { linkKey, matchesAt, type Comparison, type Lineage, type Prefix } from '../wire/lineage.ts';

/** A summary of a prefix. No other object holds the text of a summary. */
export interface Checkpoint {
  readonly id: CheckpointId;
  /** The conversation it was computed for. */
  readonly conversation: ConversationId;
  readonly prefix: Prefix;
  /** Tokens in use at the end of the turn it was computed from. */
  readonly anchorTokens: Tokens;
  readonly summary: string;
  readonly model: string;
  readonly usage: Usage;
  /** How long the call took. */
  readonly duration: Milliseconds;
  readonly createdAt: Timestamp;
}

/** A checkpoint whose prefix is the beginning of a history. */
export interface CheckpointMatch {
  readonly checkpoint: Checkpoint;
  /** How many blocks of the history it covers. */
  readonly blocks: number;
}

export const refOf = (checkpoint: Checkpoint): CheckpointRef => ({
  id: checkpoint.id,
  anchorMessages: checkpoint.prefix.messages,
  anchorTokens: checkpoint.anchorTokens,
});

/** Saves checkpoints beyond the life of the process, see `repository.ts`. */
export interface CheckpointRepository {
  /** Returns when the checkpoint is written, or cannot be written. */
  saveCheckpoint(checkpoint: Checkpoint): void;
  /** Records that a history has matched it. */
  touchCheckpoint(id: CheckpointId): void;
  deleteCheckpoint(id: CheckpointId): void;
}

const NO_REPOSITORY: CheckpointRepository = {
  saveCheckpoint: () => undefined,
  touchCheckpoint: () => undefined,
  deleteCheckpoint: () => undefined,
};
/** A checkpoint in use is touched in the repository once in this time. */
const TOUCH_INTERVAL_MS = 60_000;

interface Entry {
  readonly checkpoint: Checkpoint;
  lastNeeded: Timestamp;
  /** When the repository was last told of a match. */
  lastTouched: Timestamp;
}

export class CheckpointIndex {
  readonly #byKey = new Map<string, Entry[]>();
  readonly #byKeyWithoutSystem = new Map<string, Entry[]>();
  readonly #byId = new Map<CheckpointId, Entry>();
  readonly #repository: CheckpointRepository;
  #size = 0;

  constructor(repository: CheckpointRepository = NO_REPOSITORY) {
    this.#repository = repository;
  }

  get size(): number {
    return this.#size;
  }

  get checkpoints(): readonly Checkpoint[] {
    return [...this.#byId.values()].map(({ checkpoint }) => checkpoint);
  }

  get(id: CheckpointId): Checkpoint | null {
    return this.#byId.get(id)?.checkpoint ?? null;
  }

  /** Adds a checkpoint, which replaces an older one of the same prefix. */
  add(checkpoint: Checkpoint, now: Timestamp = checkpoint.createdAt): void {
    this.#insert(checkpoint, now);
    this.#repository.saveCheckpoint(checkpoint);
  }

  /** Adds a checkpoint from the repository, unless it is in the index. */
  restore(checkpoint: Checkpoint, now: Timestamp): void {
    if (!this.#byId.has(checkpoint.id)) this.#insert(checkpoint, now);
  }

  /** Deletes a checkpoint, here and in the repository. */
  delete(id: CheckpointId): void {
    const entry = this.#byId.get(id);
    if (entry !== undefined) this.#remove(entry);
  }

  #insert(checkpoint: Checkpoint, now: Timestamp): void {
    const { keyWithoutSystem, details, key } = checkpoint.prefix;
    const old = this.#byKey.get(key)?.find((entry) => entry.checkpoint.prefix.details.equals(details));
    if (old !== undefined) this.#remove(old);
    const entry = { checkpoint, lastNeeded: now, lastTouched: now };
    this.#byId.set(checkpoint.id, entry);
    this.#byKey.set(key, [...(this.#byKey.get(key) ?? []), entry]);
    this.#byKeyWithoutSystem.set(keyWithoutSystem, [...(this.#byKeyWithoutSystem.get(keyWithoutSystem) ?? []), entry]);
    this.#size += 1;
  }

  /**
   * The checkpoint that covers most of the beginning of a history, or null. Postpones its expiry.
   *
   * @param model the model of the request. When no checkpoint matches, those of other models are compared without
   *   `system` messages, because a switch of the model rewrites only reminders.
   */
  find(lineage: Lineage, now: Timestamp, model?: string): CheckpointMatch | null {
    if (this.#size === 0) return null;
    return (
      this.#search(lineage, now, 'whole', () => true) ??
      (model === undefined ? null : this.#search(lineage, now, 'without-system', (made) => made.model !== model))
    );
  }

  #search(
    lineage: Lineage,
    now: Timestamp,
    comparison: Comparison,
    isEligible: (checkpoint: Checkpoint) => boolean,
  ): CheckpointMatch | null {
    const byKey = comparison === 'whole' ? this.#byKey : this.#byKeyWithoutSystem;
    for (let blocks = lineage.length; blocks > 0; blocks -= 1) {
      const entry = byKey
        .get(linkKey(lineage, blocks, comparison))
        ?.findLast(
          ({ checkpoint }) => isEligible(checkpoint) && matchesAt(lineage, blocks, checkpoint.prefix, comparison),
        );
      if (entry === undefined) continue;
      entry.lastNeeded = now;
      if (now - entry.lastTouched >= TOUCH_INTERVAL_MS) {
        entry.lastTouched = now;
        this.#repository.touchCheckpoint(entry.checkpoint.id);
      }
      return { checkpoint: entry.checkpoint, blocks };
    }
    return null;
  }

  /** Deletes the checkpoints that have matched no history since `before`. */
  expire(before: Timestamp): void {
    for (const entry of [...this.#byKey.values()].flat()) if (entry.lastNeeded < before) this.#remove(entry);
  }

  #remove(entry: Entry): void {
    const { keyWithoutSystem, key } = entry.checkpoint.prefix;
    for (const [map, name] of [
      [this.#byKey, key],
      [this.#byKeyWithoutSystem, keyWithoutSystem],
    ] as const) {
      const rest = (map.get(name) ?? []).filter((other) => other !== entry);
      if (rest.length === 0) map.delete(name);
      else map.set(name, rest);
    }
    this.#byId.delete(entry.checkpoint.id);
    this.#repository.deleteCheckpoint(entry.checkpoint.id);
    this.#size -= 1;
  }
}
