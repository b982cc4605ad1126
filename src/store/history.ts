/** Reads the compactions and checkpoints of the last 90 days from the state file, newest first. */
import * as z from 'zod';
import type { Timestamp } from '../../machines/units.ts';
import type { TokenCounts } from '../../web/contract.ts';
import type { StateStore } from './state-store.ts';
import type { Value } from './statements.ts';

const count = z.number();
const maybe = z.number().nullable();

const compactionRow = z.object({
  at: count,
  conversation: z.string(),
  model: z.string(),
  outcome: z.enum(['served', 'forwarded']),
  reason: z.string().nullable(),
  tokens_before: count,
  tokens_after: maybe,
  confirmed: maybe.transform((value) => (value === null ? null : value === 1)),
  waited: count,
  saved: count,
  checkpoint: z.string().nullable(),
  duration: maybe,
  input: maybe,
  cache_creation: maybe,
  cache_read: maybe,
  output: maybe,
});

/** One compaction. Times in milliseconds; `at` since the Unix epoch. */
export interface CompactionEntry {
  readonly at: number;
  readonly conversation: string;
  readonly model: string;
  readonly outcome: 'served' | 'forwarded';
  /** Why it was forwarded; null when it was served. */
  readonly reason: string | null;
  readonly tokensBefore: number;
  /** Null until the first turn afterwards has ended. */
  readonly tokensAfter: number | null;
  /** Whether the client uses the summary; null until that is known. */
  readonly confirmed: boolean | null;
  /** How long the client waited for the answer. */
  readonly waitedMs: number;
  /** How long the client would have waited in addition. */
  readonly savedMs: number;
  /** The checkpoint that it was served from; null when it was forwarded. */
  readonly checkpoint: { readonly id: string; readonly durationMs: number; readonly tokens: TokenCounts } | null;
}

const checkpointRow = z.object({
  id: z.string(),
  conversation: z.string(),
  at: count,
  model: z.string(),
  anchor_tokens: count,
  duration: count,
  input: count,
  cache_creation: count,
  cache_read: count,
  output: count,
  used: count,
  live: count,
});

/** One checkpoint that was computed. */
export interface CheckpointEntry {
  readonly id: string;
  readonly conversation: string;
  readonly at: number;
  readonly model: string;
  readonly anchorTokens: number;
  readonly durationMs: number;
  readonly tokens: TokenCounts;
  /** `used`: a compaction was served from it. `ready`: it can still be used. `wasted`: it was deleted without being used. */
  readonly fate: 'used' | 'ready' | 'wasted';
}

const totalsRow = z.object({
  served: count,
  forwarded: count,
  saved: count,
});
const reasonRow = z.object({ reason: z.string(), number: count });

export interface HistoryTotals {
  readonly served: number;
  readonly forwarded: number;
  readonly forwardedBy: Readonly<Record<string, number>>;
  /** Time that clients saved. */
  readonly savedMs: number;
  readonly checkpoints: {
    readonly made: number;
    readonly used: number;
    readonly ready: number;
    readonly wasted: number;
  };
  /** Tokens of all checkpoint calls. */
  readonly tokens: TokenCounts;
}

export interface HistoryQuery {
  /** Since this time; unlimited when left out. */
  readonly since?: Timestamp | undefined;
  readonly until?: Timestamp | undefined;
  readonly conversation?: string | undefined;
  /** At most so many of the newest; 100 when left out. */
  readonly limit?: number | undefined;
}

const FATE = `
  EXISTS (SELECT 1 FROM compaction_history c WHERE c.checkpoint = h.id) AS used,
  EXISTS (SELECT 1 FROM checkpoints l WHERE l.id = h.id) AS live`;

/** The `WHERE` clause of a query over the table alias `h`. */
function where(query: HistoryQuery): { readonly sql: string; readonly values: readonly Value[] } {
  const { conversation, since, until } = query;
  const terms: (readonly [string, Value])[] = [];
  if (since !== undefined) terms.push(['h.at >= ?', since]);
  if (until !== undefined) terms.push(['h.at <= ?', until]);
  if (conversation !== undefined) terms.push(['h.conversation = ?', conversation]);
  return {
    sql: terms.length === 0 ? '' : `WHERE ${terms.map(([term]) => term).join(' AND ')}`,
    values: terms.map(([, value]) => value),
  };
}

const fateOf = (row: { readonly used: number; readonly live: number }): CheckpointEntry['fate'] =>
  row.used === 1 ? 'used' : row.live === 1 ? 'ready' : 'wasted';

export class CompactionHistory {
  readonly #store: StateStore;

  constructor(store: StateStore) {
    this.#store = store;
  }

  /** False while no state file is open. */
  get isReadable(): boolean {
    return this.#store.isOpen;
  }

  compactions(query: HistoryQuery = {}): readonly CompactionEntry[] {
    const { sql, values } = where(query);
    const rows = this.#store.query(
      `SELECT h.*, k.duration, k.input, k.cache_creation, k.cache_read, k.output
       FROM compaction_history h LEFT JOIN checkpoint_history k ON k.id = h.checkpoint ${sql}
       ORDER BY h.at DESC, h.rowid DESC LIMIT ?`,
      ...values,
      query.limit ?? 100,
    );
    return z
      .array(compactionRow)
      .parse(rows)
      .map((row) => ({
        at: row.at,
        conversation: row.conversation,
        model: row.model,
        outcome: row.outcome,
        reason: row.reason,
        tokensBefore: row.tokens_before,
        tokensAfter: row.tokens_after,
        confirmed: row.confirmed,
        waitedMs: row.waited,
        savedMs: row.saved,
        checkpoint:
          row.checkpoint === null
            ? null
            : {
                id: row.checkpoint,
                durationMs: row.duration ?? 0,
                tokens: {
                  input: row.input ?? 0,
                  cacheCreation: row.cache_creation ?? 0,
                  cacheRead: row.cache_read ?? 0,
                  output: row.output ?? 0,
                },
              },
      }));
  }

  checkpoints(query: HistoryQuery = {}): readonly CheckpointEntry[] {
    const { sql, values } = where(query);
    const rows = this.#store.query(
      `SELECT h.*, ${FATE} FROM checkpoint_history h ${sql} ORDER BY h.at DESC, h.rowid DESC LIMIT ?`,
      ...values,
      query.limit ?? 100,
    );
    return z
      .array(checkpointRow)
      .parse(rows)
      .map((row) => ({
        id: row.id,
        conversation: row.conversation,
        at: row.at,
        model: row.model,
        anchorTokens: row.anchor_tokens,
        durationMs: row.duration,
        tokens: {
          input: row.input,
          cacheCreation: row.cache_creation,
          cacheRead: row.cache_read,
          output: row.output,
        },
        fate: fateOf(row),
      }));
  }

  totals(query: HistoryQuery = {}): HistoryTotals {
    const { sql, values } = where(query);
    const [sums] = z.array(totalsRow).parse(
      this.#store.query(
        `SELECT coalesce(sum(outcome = 'served'), 0) AS served, coalesce(sum(outcome = 'forwarded'), 0) AS forwarded,
           coalesce(sum(saved), 0) AS saved FROM compaction_history h ${sql}`,
        ...values,
      ),
    );
    const reasons = z.array(reasonRow).parse(
      this.#store.query(
        `SELECT reason, count(*) AS number FROM (SELECT * FROM compaction_history h ${sql})
         WHERE reason IS NOT NULL GROUP BY reason`,
        ...values,
      ),
    );
    const checkpoints = { made: 0, used: 0, ready: 0, wasted: 0 };
    const tokens = { input: 0, cacheCreation: 0, cacheRead: 0, output: 0 };
    for (const entry of this.checkpoints({ ...query, limit: -1 })) {
      checkpoints.made += 1;
      checkpoints[entry.fate] += 1;
      tokens.input += entry.tokens.input;
      tokens.cacheCreation += entry.tokens.cacheCreation;
      tokens.cacheRead += entry.tokens.cacheRead;
      tokens.output += entry.tokens.output;
    }
    return {
      served: sums?.served ?? 0,
      forwarded: sums?.forwarded ?? 0,
      forwardedBy: Object.fromEntries(reasons.map(({ reason, number }) => [reason, number])),
      savedMs: sums?.saved ?? 0,
      checkpoints,
      tokens,
    };
  }
}
