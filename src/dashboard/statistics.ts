/**
 * Statistics over all conversations, from facts and from what an earlier process left in the state file: totals, and
 * buckets of ten minutes.
 */
import type { CheckpointId } from '../../machines/units.ts';
import type { ApiErrorCount, HistoryBucket, TokenCounts, Totals } from '../../web/contract.ts';
import type { ConversationFact } from '../facts.ts';

/** Length of a stretch … */
export const BUCKET_MS = 10 * 60_000;
/** … and how far back they are kept. */
const KEPT_MS = 7 * 86_400_000;
/** How often old stretches are let go of. */
const SWEEP_EVERY = 64;

/** What happened before this process: see `statistics-seed.ts`. */
export interface StatisticsSeed {
  /** When the first of it was. */
  readonly since: number;
  readonly savedMs: number;
  readonly made: number;
  readonly used: number;
  readonly wasted: number;
  readonly served: number;
  readonly confirmed: number;
  readonly forwarded: Readonly<Record<string, number>>;
  readonly tokens: TokenCounts;
  /** Checkpoints that are still kept, and whether a compaction was answered from them. */
  readonly kept: ReadonlyMap<string, boolean>;
  readonly buckets: readonly HistoryBucket[];
}

export const NO_TOKENS: TokenCounts = { input: 0, cacheCreation: 0, cacheRead: 0, output: 0 };

const sum = (one: TokenCounts, other: TokenCounts): TokenCounts => ({
  input: one.input + other.input,
  cacheCreation: one.cacheCreation + other.cacheCreation,
  cacheRead: one.cacheRead + other.cacheRead,
  output: one.output + other.output,
});

/** A stretch that is still written. */
type Stretch = { -readonly [Field in keyof HistoryBucket]: HistoryBucket[Field] } & {
  apiErrors: Record<string, number>;
};

/** What of the totals is counted here; how many there are of something now, others know. */
export type Counted = Omit<Totals, 'conversations' | 'checkpoints'> & {
  readonly checkpoints: Omit<Totals['checkpoints'], 'running' | 'held' | 'paused'>;
};

export class Statistics {
  readonly #now: () => number;
  readonly #buckets = new Map<number, Stretch>();
  /** Checkpoints that are kept, and whether a compaction was answered from them. */
  readonly #kept = new Map<string, boolean>();
  readonly #apiErrors = new Map<number, { count: number; last: number }>();
  readonly #forwarded: Record<string, number> = {};
  #since: number;
  #requests = 0;
  #savedMs = 0;
  #made = 0;
  #used = 0;
  #wasted = 0;
  #failed = 0;
  #served = 0;
  #confirmed = 0;
  #tokens = NO_TOKENS;
  #version = 0;

  constructor(now: () => number) {
    this.#now = now;
    this.#since = now();
  }

  /** Rises whenever a figure changes. */
  get version(): number {
    return this.#version;
  }

  /** Adds what happened before this process. To be called once. */
  seed(past: StatisticsSeed): void {
    this.#since = Math.min(this.#since, past.since);
    this.#savedMs += past.savedMs;
    this.#made += past.made;
    this.#used += past.used;
    this.#wasted += past.wasted;
    this.#served += past.served;
    this.#confirmed += past.confirmed;
    for (const [reason, count] of Object.entries(past.forwarded)) this.#countForwarded(reason, count);
    this.#tokens = sum(this.#tokens, past.tokens);
    for (const [id, used] of past.kept) if (!this.#kept.has(id)) this.#kept.set(id, used);
    for (const bucket of past.buckets) this.#merge(bucket);
    this.#version += 1;
  }

  onFact(fact: ConversationFact): void {
    switch (fact.type) {
      case 'request.received':
        this.#requests += 1;
        this.#bucket().requests += 1;
        break;
      case 'api.answered':
        if (fact.status < 400) return;
        this.#countApiError(fact.status);
        break;
      case 'api.failed':
        this.#countApiError(0);
        break;
      case 'checkpoint.completed': {
        const { id, usage } = fact.checkpoint;
        const bucket = this.#bucket();
        this.#made += 1;
        bucket.made += 1;
        this.#tokens = sum(this.#tokens, usage);
        bucket.tokens = sum(bucket.tokens, usage);
        this.#kept.set(id, false);
        break;
      }
      case 'checkpoint.failed':
        this.#failed += 1;
        this.#bucket().failed += 1;
        break;
      case 'checkpoint.deleted':
        this.#countDeleted(fact.checkpoint);
        break;
      case 'compaction.served': {
        const { checkpoint, saved } = fact;
        const bucket = this.#bucket();
        this.#served += 1;
        bucket.served += 1;
        this.#savedMs += saved;
        bucket.savedMs += saved;
        if (this.#kept.get(checkpoint.id) !== true) {
          this.#used += 1;
          bucket.used += 1;
          this.#kept.set(checkpoint.id, true);
        }
        break;
      }
      case 'compaction.forwarded':
        this.#countForwarded(fact.reason, 1);
        this.#bucket().forwarded += 1;
        break;
      case 'history.replaced':
        if (!fact.confirmed) return;
        this.#confirmed += 1;
        break;
      case 'conversation.opened':
      case 'conversation.restored':
      case 'conversation.changed':
      case 'conversation.closed':
      case 'conversation.failed':
      case 'conversation.reset':
      case 'phase.changed':
      case 'usage.estimated':
      case 'history.read_failed':
      case 'history.received':
      case 'checkpoint.started':
      case 'checkpoint.aborted':
      case 'checkpoint.skipped':
      case 'checkpoint.not_buffered':
      case 'checkpoint.postponed':
      case 'compaction.resolved':
      case 'compaction.measured':
      case 'compaction.loop':
      case 'compaction.loop_ended':
        return;
    }
    this.#version += 1;
  }

  totals(): Counted {
    const apiErrors: ApiErrorCount[] = [...this.#apiErrors]
      .map(([status, { count, last }]) => ({ status, count, last }))
      .sort((a, b) => b.last - a.last);
    return {
      since: this.#since,
      requests: this.#requests,
      savedMs: Math.round(this.#savedMs),
      checkpoints: { made: this.#made, used: this.#used, wasted: this.#wasted, failed: this.#failed },
      compactions: { served: this.#served, confirmed: this.#confirmed, forwarded: { ...this.#forwarded } },
      tokens: this.#tokens,
      apiErrors,
    };
  }

  /** Stretches in which something happened since `from`, oldest first, and from when on any are kept. */
  history(from = 0): { readonly from: number; readonly buckets: readonly HistoryBucket[] } {
    const oldest = this.#now() - KEPT_MS;
    const buckets = [...this.#buckets.values()].filter(({ at }) => at + BUCKET_MS > oldest && at + BUCKET_MS > from);
    return {
      from: oldest,
      buckets: buckets
        .sort((a, b) => a.at - b.at)
        .map((bucket) => ({ ...bucket, savedMs: Math.round(bucket.savedMs), apiErrors: { ...bucket.apiErrors } })),
    };
  }

  #countDeleted(id: CheckpointId): void {
    if (this.#kept.get(id) === false) {
      this.#wasted += 1;
      this.#bucket().wasted += 1;
    }
    this.#kept.delete(id);
  }

  #countForwarded(reason: string, count: number): void {
    this.#forwarded[reason] = (this.#forwarded[reason] ?? 0) + count;
  }

  #countApiError(status: number): void {
    const { apiErrors } = this.#bucket();
    apiErrors[status] = (apiErrors[status] ?? 0) + 1;
    this.#apiErrors.set(status, { count: (this.#apiErrors.get(status)?.count ?? 0) + 1, last: this.#now() });
  }

  #bucket(time = this.#now()): Stretch {
    const at = time - (time % BUCKET_MS);
    const known = this.#buckets.get(at);
    if (known !== undefined) return known;
    const counts = { requests: 0, savedMs: 0, made: 0, used: 0, wasted: 0, failed: 0, served: 0, forwarded: 0 };
    const bucket: Stretch = { at, ...counts, tokens: NO_TOKENS, apiErrors: {} };
    this.#buckets.set(at, bucket);
    if (this.#buckets.size % SWEEP_EVERY === 0) this.#sweep();
    return bucket;
  }

  #sweep(): void {
    const oldest = this.#now() - KEPT_MS;
    for (const at of this.#buckets.keys()) if (at + BUCKET_MS <= oldest) this.#buckets.delete(at);
  }

  #merge(past: HistoryBucket): void {
    const bucket = this.#bucket(past.at);
    bucket.savedMs += past.savedMs;
    bucket.made += past.made;
    bucket.used += past.used;
    bucket.wasted += past.wasted;
    bucket.served += past.served;
    bucket.forwarded += past.forwarded;
    bucket.tokens = sum(bucket.tokens, past.tokens);
  }
}
