/** The filter of the log page. Pure. */
import type { LogEntry } from '../contract.ts';
import { hasEveryWord, wordsOf } from '../text-search.ts';

export type Level = LogEntry['level'];

export interface LogFilter {
  /** This level and above. */
  readonly level: Level;
  /** The first part of the event's name; '': all. */
  readonly kind: string;
  /** Words, all of which an entry must contain. */
  readonly text: string;
  readonly conversation: string | null;
}

const SEVERITY: Readonly<Record<Level, number>> = { info: 0, warn: 1, error: 2 };

/** `checkpoint` of `checkpoint.completed`. */
export const kindOf = ({ event }: Pick<LogEntry, 'event'>): string => event.split('.')[0] ?? event;

export function filterLog(entries: readonly LogEntry[], filter: LogFilter): readonly LogEntry[] {
  const words = wordsOf(filter.text);
  return entries.filter(
    (entry) =>
      SEVERITY[entry.level] >= SEVERITY[filter.level] &&
      (filter.kind === '' || kindOf(entry) === filter.kind) &&
      (filter.conversation === null || entry.conversation === filter.conversation) &&
      (words.length === 0 || hasEveryWord(searchText(entry), words)),
  );
}

function searchText({ event, level, conversation, fields }: LogEntry): string {
  const values = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`);
  return [event, level, conversation ?? '', ...values].join(' ');
}
