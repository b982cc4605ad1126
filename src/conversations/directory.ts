/**
 * Finds the conversation of a request by its session, its agent and the first block of its history. The first block is
 * needed because older clients run subagents and side requests under the session's own id. Forks, rewinds and edits need
 * no rules here: checkpoints are found by the history itself, never by a conversation's id.
 */
import { hash } from 'node:crypto';
import { conversationId, type ConversationId } from '../../machines/units.ts';
import type { ClientIdentity } from '../wire/identity.ts';

/** What identifies the conversation of a request. */
export interface ConversationQuery extends ClientIdentity {
  /** Identifies the first block of the history, see `rootOf`. */
  readonly root: string;
  /** True when the history begins with a summary, or the client says that it has just compacted. */
  readonly continuation: boolean;
}

export interface Located {
  readonly id: ConversationId;
  /** True when the request has a new history of the conversation, which was compacted. */
  readonly replaced: boolean;
}

interface Entry {
  readonly id: ConversationId;
  readonly identity: ClientIdentity;
  /** The roots of its histories, the newest last. Older ones are kept because a user can go back behind a compaction. */
  roots: readonly string[];
  /** Number of the latest request. */
  lastUse: number;
}

/** Roots kept per conversation; each compaction adds one. */
const MAX_ROOTS = 16;
const SAFE = /^[\w.-]{1,80}$/;

/** An id that is a valid header value, and shows session and agent where the client sends them. */
function nameOf(query: ConversationQuery, isFirst: boolean): ConversationId {
  const parts = [query.session ?? 'anonymous', ...(query.agent === null ? [] : [query.agent])];
  const readable = parts.map((part) => (SAFE.test(part) ? part : hash('sha256', part, 'hex').slice(0, 16))).join('.');
  return conversationId(isFirst && query.session !== null ? readable : `${readable}~${query.root.slice(0, 8)}`);
}

/** Unique per identity: the length of the session marks its end. */
const keyOf = ({ agent, session }: ClientIdentity): string =>
  `${session === null ? '' : session.length}:${session ?? ''}${agent === null ? '' : `:${agent}`}`;

export class ConversationDirectory {
  readonly #byIdentity = new Map<string, Entry[]>();
  readonly #keyOfId = new Map<ConversationId, string>();
  /** The conversation of each identity that compacted last: a new history that begins with a summary belongs to it. */
  readonly #compacting = new Map<string, ConversationId>();
  #uses = 0;

  /** The conversation that a request is a turn of; a new one is added when there is none. */
  locate(query: ConversationQuery): Located {
    const key = keyOf(query);
    const entries = this.#byIdentity.get(key) ?? [];
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
    for (let copy = 2; this.#keyOfId.has(id); copy += 1) id = conversationId(`${name}+${copy}`);
    this.#add({ id, identity: query, roots: [query.root], lastUse: this.#uses });
    return { id, replaced: false };
  }

  /** True when a client has a conversation. */
  hasConversationOf(identity: ClientIdentity): boolean {
    return this.#byIdentity.has(keyOf(identity));
  }

  /** Adds a conversation that an earlier process saved. */
  restore({
    id,
    roots,
    ...identity
  }: ClientIdentity & { readonly id: ConversationId; readonly roots: readonly string[] }): void {
    if (this.#keyOfId.has(id)) return;
    this.#uses += 1;
    this.#add({ id, identity, roots, lastUse: this.#uses });
  }

  /** The client and the roots of a conversation; null for an unknown one. */
  describe(id: ConversationId): (ClientIdentity & { readonly roots: readonly string[] }) | null {
    const entries = this.#byIdentity.get(this.#keyOfId.get(id) ?? '') ?? [];
    const entry = entries.find((candidate) => candidate.id === id);
    if (entry === undefined) return null;
    const { session, agent } = entry.identity;
    return { session, agent, roots: entry.roots };
  }

  #add(entry: Entry): void {
    const key = keyOf(entry.identity);
    // Only these two fields: the argument may be a query or a record with more in it.
    const { session, agent } = entry.identity;
    this.#byIdentity.set(key, [...(this.#byIdentity.get(key) ?? []), { ...entry, identity: { session, agent } }]);
    this.#keyOfId.set(entry.id, key);
  }

  /** The conversation that is being compacted; null when the client has none. */
  locateCompaction(query: ConversationQuery): ConversationId | null {
    const key = keyOf(query);
    const entries = this.#byIdentity.get(key) ?? [];
    const entry = entries.find((candidate) => candidate.roots.includes(query.root)) ?? latest(entries);
    if (entry !== undefined) this.#compacting.set(key, entry.id);
    return entry?.id ?? null;
  }

  /** The client's conversation with the latest request; null when it has none. */
  latestOf(identity: ClientIdentity): ConversationId | null {
    return latest(this.#byIdentity.get(keyOf(identity)) ?? [])?.id ?? null;
  }

  forget(id: ConversationId): void {
    const key = this.#keyOfId.get(id);
    if (key === undefined) return;
    this.#keyOfId.delete(id);
    if (this.#compacting.get(key) === id) this.#compacting.delete(key);
    const rest = (this.#byIdentity.get(key) ?? []).filter((entry) => entry.id !== id);
    if (rest.length === 0) this.#byIdentity.delete(key);
    else this.#byIdentity.set(key, rest);
  }
}

function latest(entries: readonly Entry[]): Entry | undefined {
  let best: Entry | undefined;
  for (const entry of entries) if (best === undefined || entry.lastUse >= best.lastUse) best = entry;
  return best;
}
