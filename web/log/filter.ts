/** The filter of the log page. Pure. */
import type { LogEntry } from '../contract.ts';

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
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  return entries.filter(
    (entry) =>
      SEVERITY[entry.level] >= SEVERITY[filter.level] &&
      (filter.kind === '' || kindOf(entry) === filter.kind) &&
      (filter.conversation === null || entry.conversation === filter.conversation) &&
      (words.length === 0 || hasAll(entry, words)),
  );
}

function hasAll(entry: LogEntry, words: readonly string[]): boolean {
  const fields = Object.entries(entry.fields).map(([name, value]) => `${name}=${String(value)}`);
  const text = [entry.event, entry.level, entry.conversation ?? '', ...fields].join(' ').toLowerCase();
  return words.every((word) => text.includes(word));
}
