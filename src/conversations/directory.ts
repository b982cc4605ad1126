/**
 * Which conversation a request belongs to. Session and agent tell who speaks, the chain of messages tells which
 * history: one speaker may have several (older clients run subagents and side requests under the session's own id).
 */
import { hash } from 'node:crypto';
import { conversationId, type ConversationId } from '../../machines/units.ts';
import { commonBeginning, linkKey, trailOf, type Common, type Lineage, type Trail } from '../wire/lineage.ts';
import type { Speaker } from '../wire/speaker.ts';

/** How a request relates to what its conversation was before. */
export type Relation =
  /** The first request of its conversation. */
  | 'new'
  /** The history goes on, or is the same again. */
  | 'extends'
  /** The history shares a beginning with the known one and then differs: rewound, edited, or a sibling. */
  | 'diverges'
  /** A new history that begins with a summary of the old one. */
  | 'compacted';

export interface Located {
  readonly id: ConversationId;
  readonly relation: Relation;
}

interface Entry {
  readonly id: ConversationId;
  trail: Trail;
  /** Rises with each request, so that the speaker's latest conversation can be told. */
  lastUse: number;
}

/** What of a request decides where it belongs. */
export interface LocateQuery extends Speaker {
  readonly lineage: Lineage;
  /** True when the history begins with a summary, or the client says that it has just compacted. */
  readonly continuation: boolean;
}

const SAFE = /^[\w.-]{1,80}$/;

/** A name that can stand in a header and says whose conversation it is where the client told. */
function nameOf(speaker: Speaker, lineage: Lineage, isFirst: boolean): ConversationId {
  const parts = [speaker.session ?? 'anonymous', ...(speaker.agent === null ? [] : [speaker.agent])];
  const readable = parts.map((part) => (SAFE.test(part) ? part : hash('sha256', part, 'hex').slice(0, 16))).join('.');
  if (isFirst && speaker.session !== null) return conversationId(readable);
  const root = hash('sha256', linkKey(lineage, 1), 'hex').slice(0, 8);
  return conversationId(`${readable}~${root}`);
}

const keyOf = (speaker: Speaker): string => JSON.stringify([speaker.session, speaker.agent]);

export class ConversationDirectory {
  readonly #bySpeaker = new Map<string, Entry[]>();
  readonly #speakerOf = new Map<ConversationId, string>();
  #uses = 0;

  /** The conversation a request belongs to, and its history from now on. Opens one where there is none. */
  locate(query: LocateQuery): Located {
    const found = this.#find(query);
    if (found !== null) {
      found.entry.trail = trailOf(query.lineage);
      this.#uses += 1;
      found.entry.lastUse = this.#uses;
      return { id: found.entry.id, relation: found.relation };
    }
    const key = keyOf(query);
    const entries = this.#bySpeaker.get(key) ?? [];
    let id = nameOf(query, query.lineage, entries.length === 0);
    // Two histories of one speaker with the same first message, of which the earlier has gone a different way.
    for (let copy = 2; this.#speakerOf.has(id); copy += 1) id = conversationId(`${id.replace(/\+\d+$/, '')}+${copy}`);
    this.#uses += 1;
    entries.push({ id, trail: trailOf(query.lineage), lastUse: this.#uses });
    this.#bySpeaker.set(key, entries);
    this.#speakerOf.set(id, key);
    return { id, relation: 'new' };
  }

  /** The conversation a compaction is about, without taking its history for the conversation's own; null if unknown. */
  locateCompaction(query: LocateQuery): ConversationId | null {
    const found = this.#find(query);
    return found?.entry.id ?? this.latestOf(query);
  }

  /** The speaker's conversation that spoke last; null when it has none. */
  latestOf(speaker: Speaker): ConversationId | null {
    return latest(this.#bySpeaker.get(keyOf(speaker)) ?? [])?.id ?? null;
  }

  forget(id: ConversationId): void {
    const key = this.#speakerOf.get(id);
    if (key === undefined) return;
    this.#speakerOf.delete(id);
    const rest = (this.#bySpeaker.get(key) ?? []).filter((entry) => entry.id !== id);
    if (rest.length === 0) this.#bySpeaker.delete(key);
    else this.#bySpeaker.set(key, rest);
  }

  #find(query: LocateQuery): { entry: Entry; relation: Relation } | null {
    const entries = this.#bySpeaker.get(keyOf(query)) ?? [];
    let best: { readonly entry: Entry; readonly common: Common } | null = null;
    for (const entry of entries) {
      const common = commonBeginning(entry.trail, query.lineage);
      if (common.blocks === 0) continue;
      const ahead = common.blocks - (best?.common.blocks ?? 0);
      if (best === null || ahead > 0 || (ahead === 0 && entry.lastUse > best.entry.lastUse)) best = { entry, common };
    }
    if (best !== null) return { entry: best.entry, relation: best.common.whole ? 'extends' : 'diverges' };
    const parent = query.continuation ? latest(entries) : undefined;
    return parent === undefined ? null : { entry: parent, relation: 'compacted' };
  }
}

function latest(entries: readonly Entry[]): Entry | undefined {
  return entries.reduce<Entry | undefined>(
    (best, entry) => (best && best.lastUse > entry.lastUse ? best : entry),
    undefined,
  );
}
