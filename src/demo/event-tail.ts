/** A log that is read while it is written: how the demo knows what the proxy does. */
import { performance } from 'node:perf_hooks';
import type { Log, LogFields } from '../log.ts';

/** A line of the log, and when it was written (`performance.now()`). */
export interface Entry {
  readonly event: string;
  readonly fields: LogFields;
  readonly at: number;
}

export class LogBook implements Log {
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

  /** Calls `reader` for every line to come. Returns how to stop that. */
  follow(reader: (entry: Entry) => void): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  /** The first line of an event, past or future; null when there is none within `ms`, or `signal` aborts. */
  async wait(event: string, ms: number, signal: AbortSignal): Promise<Entry | null> {
    const known = this.#entries.find((entry) => entry.event === event);
    if (known !== undefined || signal.aborted) return known ?? null;
    return new Promise((resolve) => {
      const end = (entry: Entry | null): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', leave);
        unfollow();
        resolve(entry);
      };
      const leave = (): void => end(null);
      const timer = setTimeout(leave, ms);
      signal.addEventListener('abort', leave, { once: true });
      const unfollow = this.follow((entry) => {
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
