/**
 * Which conversation a request belongs to. Session and agent tell who speaks; the first block of the history tells which
 * of a speaker's histories it is: older clients run subagents and side requests under the session's own id. Forks,
 * rewinds and edits need no rules here, because what may be served is never decided by a conversation's name.
 */
import { hash } from 'node:crypto';
import { conversationId, type ConversationId } from '../../machines/units.ts';
import type { ClientIdentity } from '../wire/identity.ts';

/** What of a request decides where it belongs. */
export interface ConversationQuery extends ClientIdentity {
  /** What the history begins with, see `rootOf`. */
  readonly root: string;
  /** True when the history begins with a summary, or the client says that it has just compacted. */
  readonly continuation: boolean;
}

export interface Located {
  readonly id: ConversationId;
  /** True when the conversation goes on from a new history: it was compacted. */
  readonly replaced: boolean;
}

interface Entry {
  readonly id: ConversationId;
  readonly speaker: ClientIdentity;
  /** What its histories began with, the newest last: after a compaction a user can still go back. */
  roots: readonly string[];
  /** Rises with each request, so that the speaker's latest conversation can be told. */
  lastUse: number;
}

/** Beginnings remembered per conversation: one more with each compaction. */
const MAX_ROOTS = 16;
const SAFE = /^[\w.-]{1,80}$/;

/** A name that can stand in a header and says whose conversation it is where the client told. */
function nameOf(query: ConversationQuery, isFirst: boolean): ConversationId {
  const parts = [query.session ?? 'anonymous', ...(query.agent === null ? [] : [query.agent])];
  const readable = parts.map((part) => (SAFE.test(part) ? part : hash('sha256', part, 'hex').slice(0, 16))).join('.');
  return conversationId(isFirst && query.session !== null ? readable : `${readable}~${query.root.slice(0, 8)}`);
}

/** No two speakers have the same: the session's length tells where it ends. */
const keyOf = ({ agent, session }: ClientIdentity): string =>
  `${session === null ? '' : session.length}:${session ?? ''}${agent === null ? '' : `:${agent}`}`;

export class ConversationDirectory {
  readonly #bySpeaker = new Map<string, Entry[]>();
  readonly #speakerOf = new Map<ConversationId, string>();
  /** By speaker: which of its conversations compacted last. The next history that begins with a summary is its. */
  readonly #compacting = new Map<string, ConversationId>();
  #uses = 0;

  /** The conversation that a request is a turn of. Opens one where there is none. */
  locate(query: ConversationQuery): Located {
    const key = keyOf(query);
    const entries = this.#bySpeaker.get(key) ?? [];
    this.#uses += 1;
    const known = entries.find((entry) => entry.roots.includes(query.root));
    if (known !== undefined) {
      const replaced = query.continuation && known.roots.at(-1) !== query.root;
      if (known.roots.at(-1) !== query.root)
        known.roots = [...known.roots.filter((root) => root !== query.root), query.root];
      known.lastUse = this.#uses;
      return { id: known.id, replaced };
    }
    const compacting = this.#compacting.get(key);
    const parent = query.continuation
      ? (entries.find((entry) => entry.id === compacting) ?? latest(entries))
      : undefined;
    if (parent !== undefined) {
      this.#compacting.delete(key);
      parent.roots = [...parent.roots, query.root].slice(-MAX_ROOTS);
      parent.lastUse = this.#uses;
      return { id: parent.id, replaced: true };
    }
    const name = nameOf(query, entries.length === 0);
    let id = name;
    for (let copy = 2; this.#speakerOf.has(id); copy += 1) id = conversationId(`${name}+${copy}`);
    this.#enter({ id, speaker: query, roots: [query.root], lastUse: this.#uses });
    return { id, replaced: false };
  }

  /** True when a speaker has a conversation. */
  hasConversationOf(speaker: ClientIdentity): boolean {
    return this.#bySpeaker.has(keyOf(speaker));
  }

  /** Takes up a conversation that an earlier process knew. */
  restore({
    id,
    roots,
    ...speaker
  }: ClientIdentity & { readonly id: ConversationId; readonly roots: readonly string[] }): void {
    if (this.#speakerOf.has(id)) return;
    this.#uses += 1;
    this.#enter({ id, speaker, roots, lastUse: this.#uses });
  }

  /** Whose conversation it is, and what its histories began with; null for one that is not known. */
  describe(id: ConversationId): (ClientIdentity & { readonly roots: readonly string[] }) | null {
    const entries = this.#bySpeaker.get(this.#speakerOf.get(id) ?? '') ?? [];
    const entry = entries.find((candidate) => candidate.id === id);
    if (entry === undefined) return null;
    const { session, agent } = entry.speaker;
    return { session, agent, roots: entry.roots };
  }

  #enter(entry: Entry): void {
    const key = keyOf(entry.speaker);
    // Of whoever speaks, these two: what else a query or a record holds is not to be kept with it.
    const { session, agent } = entry.speaker;
    this.#bySpeaker.set(key, [...(this.#bySpeaker.get(key) ?? []), { ...entry, speaker: { session, agent } }]);
    this.#speakerOf.set(entry.id, key);
  }

  /** The conversation that is being compacted; null when the speaker has none. */
  locateCompaction(query: ConversationQuery): ConversationId | null {
    const key = keyOf(query);
    const entries = this.#bySpeaker.get(key) ?? [];
    const entry = entries.find((candidate) => candidate.roots.includes(query.root)) ?? latest(entries);
    if (entry !== undefined) this.#compacting.set(key, entry.id);
    return entry?.id ?? null;
  }

  /** The speaker's conversation that spoke last; null when it has none. */
  latestOf(speaker: ClientIdentity): ConversationId | null {
    return latest(this.#bySpeaker.get(keyOf(speaker)) ?? [])?.id ?? null;
  }

  forget(id: ConversationId): void {
    const key = this.#speakerOf.get(id);
    if (key === undefined) return;
    this.#speakerOf.delete(id);
    if (this.#compacting.get(key) === id) this.#compacting.delete(key);
    const rest = (this.#bySpeaker.get(key) ?? []).filter((entry) => entry.id !== id);
    if (rest.length === 0) this.#bySpeaker.delete(key);
    else this.#bySpeaker.set(key, rest);
  }
}

function latest(entries: readonly Entry[]): Entry | undefined {
  let best: Entry | undefined;
  for (const entry of entries) if (best === undefined || entry.lastUse >= best.lastUse) best = entry;
  return best;
}
