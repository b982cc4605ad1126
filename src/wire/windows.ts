/** Context windows of models, and how much of them Claude Code uses before it compacts. */
import { tokens, type Tokens } from '../../machines/units.ts';

/** Most tokens that the client keeps free for the answer (wire.md, Compaction; observed on 2.1.330). */
const RESERVED_FOR_OUTPUT = 20_000;
/** The client compacts before fewer tokens than this are free in the effective window (same source). */
const CLIENT_MARGIN = 13_000;

const DEFAULT_WINDOW = tokens(200_000);
const MILLION = tokens(1_000_000);

/** The windows that the client computes with, by model without its date (wire.md, Compaction and Usage). */
const KNOWN: readonly (readonly [model: RegExp, window: Tokens])[] = [
  [/^claude-(opus|sonnet|haiku)-5-5$/, MILLION],
  [/^claude-opus-4-[78]$/, MILLION],
  [/^claude-(opus|sonnet|haiku)-4(-[0-6])?$/, DEFAULT_WINDOW],
  [/^claude-3-/, DEFAULT_WINDOW],
];
/** The date or version at the end of a model's name. */
const VERSION_SUFFIX = /[-@](\d{8}|latest)$/;

/** Beta flag that selects the long window of a model with two (Claude Code's `[1m]` models). */
const LONG_CONTEXT_BETA = /\bcontext-1m-/;

/** Windows that the API has named. */
export interface LearnedWindows {
  /** From `GET /v1/models/{id}`, by model. */
  readonly listed: ReadonlyMap<string, Tokens>;
  /** From errors about prompts that are too long, by {@link limitKey}. */
  readonly limits: ReadonlyMap<string, Tokens>;
}

export interface WindowSources {
  /** `DBPROXY_MODEL_WINDOWS`: prefix of a model's name → tokens. */
  readonly configured: Readonly<Record<string, Tokens>>;
  readonly learned: LearnedWindows;
}

function longestPrefix(model: string, entries: Iterable<readonly [string, Tokens]>): Tokens | undefined {
  let best: readonly [string, Tokens] | undefined;
  for (const entry of entries) {
    if (model.startsWith(entry[0]) && entry[0].length > (best?.[0].length ?? -1)) best = entry;
  }
  return best?.[1];
}

function knownWindow(model: string): Tokens | undefined {
  const name = model.replace(VERSION_SUFFIX, '');
  return KNOWN.find(([pattern]) => pattern.test(name))?.[1];
}

/** True when the built-in table contains this model. */
export const isKnownModel = (model: string): boolean => knownWindow(model) !== undefined;

/** Key of a window that an error names: a model with two windows has two limits. */
export const limitKey = (model: string, betas: string): string =>
  LONG_CONTEXT_BETA.test(betas) ? `${model}[1m]` : model;

/** The window that an error about a prompt that is too long names (clouds.md, Reactive compaction); null for none. */
export function windowInError(message: string): Tokens | null {
  const [, maximum, length] =
    /prompt is too long: [\d,]+ tokens > ([\d,]+) maximum|maximum context length is ([\d,]+)/.exec(message) ?? [];
  const window = Number((maximum ?? length ?? '').replaceAll(',', ''));
  return Number.isSafeInteger(window) && window > 0 ? tokens(window) : null;
}

/**
 * The context window of a model, in tokens: configured, else named by an error, else the long-context beta, else known,
 * else listed, else 200,000. The table goes before the API's list because it is what the client computes with.
 *
 * @param betas the `anthropic-beta` header of the request, '' for none
 */
export function contextWindow(model: string, betas: string, { configured, learned }: WindowSources): Tokens {
  const given = longestPrefix(model, Object.entries(configured)) ?? learned.limits.get(limitKey(model, betas));
  if (given !== undefined) return given;
  if (LONG_CONTEXT_BETA.test(betas)) return MILLION;
  return knownWindow(model) ?? learned.listed.get(model) ?? DEFAULT_WINDOW;
}

/** Context window − min(max_tokens, 20,000); thresholds are shares of it. */
export function effectiveWindow(window: Tokens, maxTokens: number): Tokens {
  return tokens(Math.max(1, window - Math.min(maxTokens, RESERVED_FOR_OUTPUT)));
}

/** Used tokens above which the client compacts, unless an override lowers the point. */
export function clientCompactionPoint(effective: Tokens): Tokens {
  return tokens(Math.max(0, effective - CLIENT_MARGIN));
}
