/** Builds the answer to a compaction from a checkpoint of its history and the messages after it. */
import type { Tokens } from '../../machines/units.ts';
import type { CheckpointMatch } from '../checkpoint/index.ts';
import type { Config } from '../config/config.ts';
import { linkKey, messagesAfter, type Lineage } from '../wire/lineage.ts';
import type { History } from '../wire/message-request.ts';
import { recentMessages } from './recent-messages.ts';
import { servedAnswer, type ServedAnswer } from './served-answer.ts';
import { answerText } from './summary-text.ts';

/** Recent messages may always take this share of the effective window. */
const MIN_RECENT_SHARE = 0.1;
/** An estimate on the low side: what fits the budget in characters fits it in tokens. */
const CHARACTERS_PER_TOKEN = 3.5;

/**
 * The share of the effective window that recent messages may take: twice what a checkpoint may age by, because the
 * conversation goes on while the newer one is computed, and at most half of the next checkpoint's threshold.
 */
export const recentShare = (config: Pick<Config, 'checkpointRefresh' | 'thresholds'>): number =>
  Math.max(MIN_RECENT_SHARE, Math.min(2 * config.checkpointRefresh, config.thresholds.checkpoint / 2));

/** How many characters of recent messages may follow a summary. */
export const recentBudget = (effective: Tokens, share: number): number =>
  Math.floor(effective * share * CHARACTERS_PER_TOKEN);

export interface ServeOptions {
  readonly history: History;
  readonly lineage: Lineage;
  /** The checkpoint that covers a beginning of the history. */
  readonly match: CheckpointMatch;
  readonly model: string;
  readonly stream: boolean;
  /** How many characters of recent messages may follow the summary. */
  readonly budget: number;
}

export interface Served {
  readonly answer: ServedAnswer;
  /** Messages that follow the summary, and their length as text. */
  readonly recentMessages: number;
  readonly recentChars: number;
}

/** Null when the messages after the checkpoint do not fit the budget. */
export function serve({ budget, history, lineage, match, model, stream }: ServeOptions): Served | null {
  const after = messagesAfter(history, lineage, match.blocks);
  const recent = recentMessages(after, budget);
  if (recent === null) return null;
  const text = answerText(match.checkpoint.summary, recent);
  const answer = servedAnswer({ text, model, stream, key: linkKey(lineage, lineage.length) });
  return { answer, recentMessages: after.length, recentChars: recent.length };
}
