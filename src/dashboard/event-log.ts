/**
 * The newest lines of the structured log, for pages to show. Taken where they are written: what is in no log line is not
 * here either. Lines below INFO are left out, as they may tell more of what was said (test/e2e/secrets.test.ts).
 */
import type { LogEntry, LogValue } from '../../web/contract.ts';
import type { Log, LogFields } from '../log.ts';

/** Entries kept. */
const CAPACITY = 1_000;
/** Of a text in a field. */
const TEXT_LENGTH = 500;

function plain(value: LogFields[string]): LogValue | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string') return value.slice(0, TEXT_LENGTH);
  if (typeof value === 'object' && value !== null) return value.slice(0, 20).map((item) => item.slice(0, TEXT_LENGTH));
  return value;
}

/** A stack says where the code of a user's machine lies, and helps nobody on a page. */
const LEFT_OUT: ReadonlySet<string> = new Set(['conversation', 'stack']);

function entryOf(seq: number, at: number, level: LogEntry['level'], event: string, fields: LogFields): LogEntry {
  const kept: Record<string, LogValue> = {};
  for (const [name, value] of Object.entries(fields)) {
    const shown = LEFT_OUT.has(name) ? undefined : plain(value);
    if (shown !== undefined) kept[name] = shown;
  }
  const { conversation } = fields;
  return { seq, at, level, event, conversation: typeof conversation === 'string' ? conversation : null, fields: kept };
}

export class EventLog {
  #entries: LogEntry[] = [];
  #seq = 0;
  readonly #now: () => number;
  #onEntry: () => void;

  /** @param onEntry called after each entry */
  constructor(now: () => number, onEntry: () => void = () => undefined) {
    this.#now = now;
    this.#onEntry = onEntry;
  }

  /** Replaces the function that is called after each entry. */
  setListener(onEntry: () => void): void {
    this.#onEntry = onEntry;
  }

  /** The entries that are kept, oldest first; those after `seq` only, where one is given. */
  after(seq = 0): readonly LogEntry[] {
    const entries = this.#entries.slice(-CAPACITY);
    return seq === 0 ? entries : entries.filter((entry) => entry.seq > seq);
  }

  /** Number of the newest entry, 0 for none. */
  get newest(): number {
    return this.#seq;
  }

  /** A log that writes to `log` and is kept here. */
  tap(log: Log): Log {
    const both =
      (level: LogEntry['level']) =>
      (event: string, fields: LogFields = {}): void => {
        log[level](event, fields);
        this.#add(level, event, fields);
      };
    return {
      debug: (event, fields) => log.debug(event, fields),
      info: both('info'),
      warn: both('warn'),
      error: both('error'),
    };
  }

  #add(level: LogEntry['level'], event: string, fields: LogFields): void {
    this.#seq += 1;
    this.#entries.push(entryOf(this.#seq, this.#now(), level, event, fields));
    // Cut now and then, not at each entry.
    if (this.#entries.length >= 2 * CAPACITY) this.#entries = this.#entries.slice(-CAPACITY);
    this.#onEntry();
  }
}
