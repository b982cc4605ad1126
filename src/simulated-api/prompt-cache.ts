/**
 * The documented prompt cache: a prefix match over tools → system → messages.
 * An entry is written at each marked block and found by looking back from a mark, at most 20 blocks.
 * The messages' part also depends on thinking, effort, tool choice and on whether there are images.
 */
import { createHash } from 'node:crypto';
import { type PromptBlock, type Ttl } from './prompt-blocks.ts';
import { type MessagesRequest, type Usage } from './wire-types.ts';

/** How far back from a mark the API looks for an earlier entry, the marked block included. */
const LOOKBACK_BLOCKS = 20;

const TTL_MS: Readonly<Record<Ttl, number>> = { '5m': 5 * 60_000, '1h': 60 * 60_000 };

/** Bound on memory: the oldest entries go first. */
const MAX_ENTRIES = 20_000;

interface Entry {
  readonly ttl: Ttl;
  readonly expiresAt: number;
}

interface Mark {
  readonly position: number;
  readonly ttl: Ttl;
}

/** What a request reads and writes. */
export interface CachePlan {
  /** The prompt's part of the usage. */
  readonly usage: Omit<Usage, 'output_tokens' | 'service_tier'>;
  /** Writes and refreshes the entries: to be called when the response begins, never for a failed request. */
  commit(): void;
}

/** Whose request it is, and how large the prompt is claimed to be. */
export interface CacheQuery {
  /** The credential: no two owners share entries. */
  readonly owner: string;
  readonly request: MessagesRequest;
  readonly blocks: readonly PromptBlock[];
  /** Factor between tokens by size and tokens claimed. */
  readonly scale: number;
}

/** All entries of one simulated API. */
export class PromptCache {
  readonly #entries = new Map<string, Entry>();
  readonly #now: () => number;
  readonly #minTokens: number;
  #sweptAt = 0;

  constructor(now: () => number, minTokens = 1_024) {
    this.#now = now;
    this.#minTokens = minTokens;
  }

  /** Live and expired entries that are still held. */
  get size(): number {
    return this.#entries.size;
  }

  /** Forgets everything. */
  clear(): void {
    this.#entries.clear();
  }

  /** Splits a prompt into read, written and plain tokens. Changes nothing until `commit`. */
  plan(question: CacheQuery): CachePlan {
    const { blocks, scale } = question;
    const ends = tokenEnds(blocks, scale);
    const tokensTo = (position: number): number => ends[position] ?? 0;
    const marks = blocks
      .map((block, position): Mark | undefined => (block.mark ? { position, ttl: block.mark } : undefined))
      .filter((mark) => mark !== undefined)
      .filter((mark) => tokensTo(mark.position) >= this.#minTokens);
    const hashes = marks.length > 0 ? prefixHashes(question) : [];
    const hit = this.#longestHit(marks, hashes);

    const read = tokensTo(hit);
    const hourEnd = Math.max(read, ...marks.filter((mark) => mark.ttl === '1h').map((mark) => tokensTo(mark.position)));
    const writeEnd = Math.max(read, ...marks.map((mark) => tokensTo(mark.position)));
    return {
      usage: {
        input_tokens: tokensTo(blocks.length - 1) - writeEnd,
        cache_creation_input_tokens: writeEnd - read,
        cache_read_input_tokens: read,
        cache_creation: {
          ephemeral_5m_input_tokens: writeEnd - hourEnd,
          ephemeral_1h_input_tokens: hourEnd - read,
        },
      },
      commit: () => this.#commit(marks, hashes, hit),
    };
  }

  /** Position of the last block that some entry covers; -1 for none. */
  #longestHit(marks: readonly Mark[], hashes: readonly string[]): number {
    let longest = -1;
    for (const { position } of marks) {
      const first = Math.max(0, position - LOOKBACK_BLOCKS + 1);
      for (let candidate = position; candidate >= first && candidate > longest; candidate -= 1) {
        if (this.#isLive(hashes[candidate])) longest = candidate;
      }
    }
    return longest;
  }

  #isLive(hash: string | undefined): boolean {
    const entry = hash === undefined ? undefined : this.#entries.get(hash);
    return entry !== undefined && entry.expiresAt > this.#now();
  }

  #commit(marks: readonly Mark[], hashes: readonly string[], hit: number): void {
    const read = hashes[hit];
    if (read !== undefined) this.#write(read, this.#entries.get(read)?.ttl ?? '5m');
    for (const mark of marks) {
      const hash = hashes[mark.position];
      if (hash !== undefined) this.#write(hash, mark.ttl);
    }
    this.#sweep();
  }

  /** Writing again is refreshing; an entry that was promised an hour keeps it. */
  #write(hash: string, ttl: Ttl): void {
    const kept = this.#isLive(hash) && this.#entries.get(hash)?.ttl === '1h' ? '1h' : ttl;
    this.#entries.delete(hash);
    this.#entries.set(hash, { ttl: kept, expiresAt: this.#now() + TTL_MS[kept] });
  }

  #sweep(): void {
    const now = this.#now();
    if (this.#entries.size <= MAX_ENTRIES && now - this.#sweptAt < 60_000) return;
    this.#sweptAt = now;
    for (const [hash, entry] of this.#entries) {
      if (entry.expiresAt <= now || this.#entries.size > MAX_ENTRIES) this.#entries.delete(hash);
    }
  }
}

/** Tokens of the prompt up to and including each block. */
function tokenEnds(blocks: readonly PromptBlock[], scale: number): readonly number[] {
  let sum = 0;
  return blocks.map((block) => Math.round((sum += block.tokens) * scale));
}

/** A hash of the exact prefix that ends with each block. */
function prefixHashes({ owner, request, blocks }: CacheQuery): readonly string[] {
  let previous = sha256(`${owner}\n${request.model}`);
  let inMessages = false;
  return blocks.map((block) => {
    if (block.section === 'messages' && !inMessages) {
      inMessages = true;
      previous = sha256(previous + messageSettings(request, blocks));
    }
    previous = sha256(`${previous}${block.section}${block.canonical}`);
    return previous;
  });
}

/** Settings that keep the cache of tools and system but not that of the messages. */
function messageSettings(request: MessagesRequest, blocks: readonly PromptBlock[]): string {
  const images = blocks.some((block) => block.section === 'messages' && block.canonical.includes('"type":"image"'));
  const effort = request.output_config ?? null;
  return JSON.stringify([request.thinking ?? null, request.tool_choice ?? null, effort, images]);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}
