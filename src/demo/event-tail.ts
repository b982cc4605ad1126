/** A log in memory that can be read while it is written. */
import { performance } from 'node:perf_hooks';
import type { Log, LogFields } from '../log.ts';

/** A line of the log, and when it was written (`performance.now()`). */
export interface Entry {
  readonly event: string;
  readonly fields: LogFields;
  readonly at: number;
}

export class EventTail implements Log {
  readonly #entries: Entry[] = [];
  readonly #readers = new Set<(entry: Entry) => void>();

  readonly debug = (event: string, fields: LogFields = {}): void => this.#write(event, fields);
  readonly info = this.debug;
  readonly warn = this.debug;
  readonly error = this.debug;

  /** The latest line of an event so far. */
  latest(event: string): Entry | undefined {
    return this.#entries.findLast((entry) => entry.event === event);
  }

  /** Calls `reader` for each later line. Returns a function that ends the subscription. */
  subscribe(reader: (entry: Entry) => void): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  /** The first line of an event, past or future; null when none comes within `ms` or before `signal` aborts. */
  async wait(event: string, ms: number, signal: AbortSignal): Promise<Entry | null> {
    const known = this.#entries.find((entry) => entry.event === event);
    if (known !== undefined || signal.aborted) return known ?? null;
    return new Promise((resolve) => {
      const end = (entry: Entry | null): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        unsubscribe();
        resolve(entry);
      };
      const onAbort = (): void => end(null);
      const timer = setTimeout(onAbort, ms);
      signal.addEventListener('abort', onAbort, { once: true });
      const unsubscribe = this.subscribe((entry) => {
        if (entry.event === event) end(entry);
      });
    });
  }

  #write(event: string, fields: LogFields): void {
    const entry = { event, fields, at: performance.now() };
    this.#entries.push(entry);
    for (const reader of this.#readers) reader(entry);
  }
}
