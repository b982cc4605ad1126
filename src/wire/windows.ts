/** How large a model's context window is, and how much of it Claude Code uses before it compacts. */
import { tokens, type Tokens } from '../../machines/units.ts';

/** What the client keeps free for the answer, at most (wire.md, Compaction; observed on 2.1.330). */
const RESERVED_FOR_OUTPUT = 20_000;
/** The client never lets the free part of the effective window become smaller than this (same source). */
const CLIENT_MARGIN = 13_000;

const DEFAULT_WINDOW = tokens(200_000);
const MILLION = tokens(1_000_000);

/** Windows of known models by the beginning of their name, longest match first (wire.md, Compaction). */
const KNOWN: readonly (readonly [prefix: string, window: Tokens])[] = [
  ['claude-opus-5-5', MILLION],
  ['claude-sonnet-5-5', MILLION],
  ['claude-haiku-5-5', MILLION],
  ['claude-opus-4-7', MILLION],
  ['claude-opus-4-8', MILLION],
  ['claude-sonnet-4', DEFAULT_WINDOW],
  ['claude-opus-4', DEFAULT_WINDOW],
  ['claude-haiku-4', DEFAULT_WINDOW],
  ['claude-3', DEFAULT_WINDOW],
];

/** Beta flag with which a client asks for the long window of a model that has both (Claude Code's `[1m]` models). */
const LONG_CONTEXT_BETA = /\bcontext-1m-/;

export interface WindowSources {
  /** `DBPROXY_MODEL_WINDOWS`: model name, or the beginning of one → tokens. */
  readonly configured: Readonly<Record<string, Tokens>>;
  /** What `GET /v1/models/{id}` told. */
  readonly learned: ReadonlyMap<string, Tokens>;
}

function longestPrefix(model: string, entries: Iterable<readonly [string, Tokens]>): Tokens | undefined {
  let best: readonly [string, Tokens] | undefined;
  for (const entry of entries) {
    if (model.startsWith(entry[0]) && entry[0].length > (best?.[0].length ?? -1)) best = entry;
  }
  return best?.[1];
}

/** True when the built-in table knows this model, so that asking the API would add nothing. */
export function isKnownModel(model: string): boolean {
  return longestPrefix(model, KNOWN) !== undefined;
}

/**
 * The context window of a model, in tokens: configured, else the long-context beta, else known, else learned,
 * else 200,000. A table entry goes before what the API says because it is what the client reckons with.
 *
 * @param betas the `anthropic-beta` header of the request, '' for none
 */
export function contextWindow(model: string, betas: string, sources: WindowSources): Tokens {
  const configured = longestPrefix(model, Object.entries(sources.configured));
  if (configured !== undefined) return configured;
  if (LONG_CONTEXT_BETA.test(betas)) return MILLION;
  return longestPrefix(model, KNOWN) ?? sources.learned.get(model) ?? DEFAULT_WINDOW;
}

/** Context window − min(max_tokens, 20,000): what thresholds are shares of. */
export function effectiveWindow(window: Tokens, maxTokens: number): Tokens {
  return tokens(Math.max(1, window - Math.min(maxTokens, RESERVED_FOR_OUTPUT)));
}

/** Used tokens above which the client compacts by itself when no override lowers it. */
export function clientCompactionPoint(effective: Tokens): Tokens {
  return tokens(Math.max(0, effective - CLIENT_MARGIN));
}
