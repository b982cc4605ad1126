/**
 * All checkpoints, addressed by the prefix of messages that they summarise, across conversations and sessions.
 * A fork, a resume or a rewind finds here what covers its own history, and nothing else. Moments are those of a clock
 * that nobody sets (`steadyClock`): a jump of the wall clock costs no checkpoint.
 */
import type { CheckpointRef } from '../../machines/conversation-events.ts';
import type { CheckpointId, ConversationId, Milliseconds, Timestamp, Tokens } from '../../machines/units.ts';
import type { Usage } from '../wire/answer-reader.ts';
import { linkKey, matchesAt, type Comparison, type Lineage, type Prefix } from '../wire/lineage.ts';

/** A summary of a prefix. The only place where a summary's text is kept. */
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
  /** How long the call took: what nobody has to wait for. */
  readonly duration: Milliseconds;
  readonly createdAt: Timestamp;
}

/** A checkpoint that a history begins with. */
export interface CheckpointMatch {
  readonly checkpoint: Checkpoint;
  /** How many blocks of that history it covers; the recent messages begin after them. */
  readonly blocks: number;
}

export const refOf = (checkpoint: Checkpoint): CheckpointRef => ({
  id: checkpoint.id,
  anchorMessages: checkpoint.prefix.messages,
  anchorTokens: checkpoint.anchorTokens,
});

/** Who keeps checkpoints for the time after this process; see `repository.ts`. */
export interface CheckpointRepository {
  /** Is written when this returns, if it can be. */
  saveCheckpoint(checkpoint: Checkpoint): void;
  /** A history was found to begin with it. */
  touchCheckpoint(id: CheckpointId): void;
  deleteCheckpoint(id: CheckpointId): void;
}

const KEPT_NOWHERE: CheckpointRepository = {
  saveCheckpoint: () => undefined,
  touchCheckpoint: () => undefined,
  deleteCheckpoint: () => undefined,
};
/** How exactly the keeper knows when a checkpoint was last needed. */
const NEEDED_EVERY_MS = 60_000;

interface Entry {
  readonly checkpoint: Checkpoint;
  lastNeeded: Timestamp;
  /** When the keeper was last told. */
  lastTold: Timestamp;
}

export class CheckpointIndex {
  readonly #byKey = new Map<string, Entry[]>();
  readonly #byKeyWithoutSystem = new Map<string, Entry[]>();
  readonly #byId = new Map<CheckpointId, Entry>();
  readonly #keeper: CheckpointRepository;
  #size = 0;

  constructor(keeper: CheckpointRepository = KEPT_NOWHERE) {
    this.#keeper = keeper;
  }

  get size(): number {
    return this.#size;
  }

  /** All of them. */
  get checkpoints(): readonly Checkpoint[] {
    return [...this.#byId.values()].map(({ checkpoint }) => checkpoint);
  }

  get(id: CheckpointId): Checkpoint | null {
    return this.#byId.get(id)?.checkpoint ?? null;
  }

  /** Adds a checkpoint; it takes the place of an older one of the very same prefix. */
  add(checkpoint: Checkpoint, now: Timestamp = checkpoint.createdAt): void {
    this.#enter(checkpoint, now);
    this.#keeper.saveCheckpoint(checkpoint);
  }

  /** Takes up a checkpoint that the keeper has kept, unless it is here. */
  restore(checkpoint: Checkpoint, now: Timestamp): void {
    if (!this.#byId.has(checkpoint.id)) this.#enter(checkpoint, now);
  }

  /** Takes a checkpoint out for good. */
  delete(id: CheckpointId): void {
    const entry = this.#byId.get(id);
    if (entry !== undefined) this.#remove(entry);
  }

  #enter(checkpoint: Checkpoint, now: Timestamp): void {
    const { keyWithoutSystem, details, key } = checkpoint.prefix;
    const old = this.#byKey.get(key)?.find((entry) => entry.checkpoint.prefix.details.equals(details));
    if (old !== undefined) this.#remove(old);
    const entry = { checkpoint, lastNeeded: now, lastTold: now };
    this.#byId.set(checkpoint.id, entry);
    this.#byKey.set(key, [...(this.#byKey.get(key) ?? []), entry]);
    this.#byKeyWithoutSystem.set(keyWithoutSystem, [...(this.#byKeyWithoutSystem.get(keyWithoutSystem) ?? []), entry]);
    this.#size += 1;
  }

  /**
   * The checkpoint that covers the most of a history's beginning, or null. Keeps it from expiring.
   *
   * @param model the model that is asked now. Checkpoints that another model made are compared without `system`
   *   messages where nothing matches with them: a switch of the model rewrites reminders, and nothing else.
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
    suits: (checkpoint: Checkpoint) => boolean,
  ): CheckpointMatch | null {
    const byKey = comparison === 'whole' ? this.#byKey : this.#byKeyWithoutSystem;
    for (let blocks = lineage.length; blocks > 0; blocks -= 1) {
      const entry = byKey
        .get(linkKey(lineage, blocks, comparison))
        ?.findLast(({ checkpoint }) => suits(checkpoint) && matchesAt(lineage, blocks, checkpoint.prefix, comparison));
      if (entry === undefined) continue;
      entry.lastNeeded = now;
      if (now - entry.lastTold >= NEEDED_EVERY_MS) {
        entry.lastTold = now;
        this.#keeper.touchCheckpoint(entry.checkpoint.id);
      }
      return { checkpoint: entry.checkpoint, blocks };
    }
    return null;
  }

  /** Forgets what nobody has needed since `before`. */
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
    this.#keeper.deleteCheckpoint(entry.checkpoint.id);
    this.#size -= 1;
  }
}
