/**
 * What is to be written, coalesced: any number of changes to one thing in one round of the event loop are one write, and
 * all writes of a round are one transaction. While there is no database they wait; the newest of each thing counts.
 */
import { sqliteCode, type Database } from './database.ts';
import { Statements } from './statements.ts';

/** One write. Called when the transaction is made, so that it writes the state of that moment. */
export type Write = (statements: Statements) => void;

/** Failures of the file or of the disk: another write would fail alike. Everything else is the fault of one write. */
const FILE_FAILURES = /^SQLITE_(FULL|IOERR|READONLY|CORRUPT|NOTADB|BUSY|LOCKED|CANTOPEN|PERM|NOMEM|PROTOCOL|AUTH)/;
/** What waits for a database at most; beyond it the oldest is given up. */
const MAX_WAITING = 20_000;

export interface WriteQueueOptions {
  /** The file can no longer be written. What was to be written is kept. */
  readonly onFileFailure: (error: unknown) => void;
  /** One write could not be made and was given up. */
  readonly onWriteFailure: (key: string, error: unknown) => void;
}

export class WriteQueue {
  readonly #options: WriteQueueOptions;
  readonly #waiting = new Map<string, Write>();
  #statements: Statements | null = null;
  #scheduled: NodeJS.Immediate | null = null;

  constructor(options: WriteQueueOptions) {
    this.#options = options;
  }

  /** Writes that wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Takes up work with a database. */
  begin(database: Database): void {
    this.#statements = new Statements(database);
    this.flush();
  }

  /** Lets go of the database; what comes now waits. */
  end(): void {
    this.#statements = null;
  }

  /** Takes a write in place of an earlier one of the same key. */
  put(key: string, write: Write): void {
    this.#waiting.delete(key);
    this.#waiting.set(key, write);
    if (this.#waiting.size > MAX_WAITING) {
      const [oldest] = this.#waiting.keys();
      if (oldest !== undefined) this.#waiting.delete(oldest);
    }
    this.#scheduled ??= setImmediate(() => this.flush());
  }

  /** Writes everything that waits, now. */
  flush(): void {
    if (this.#scheduled !== null) clearImmediate(this.#scheduled);
    this.#scheduled = null;
    const statements = this.#statements;
    if (statements === null || this.#waiting.size === 0) return;
    const batch = [...this.#waiting];
    if (this.#commit(statements, batch)) return;
    // One of them is at fault: found by trying each for itself.
    for (const one of batch) if (this.#statements !== null) this.#commit(statements, [one]);
  }

  /** False when the batch has to be tried write by write. */
  #commit(statements: Statements, batch: readonly (readonly [string, Write])[]): boolean {
    try {
      statements.transaction(() => {
        for (const [, write] of batch) write(statements);
      });
      for (const [key, write] of batch) if (this.#waiting.get(key) === write) this.#waiting.delete(key);
      return true;
    } catch (error) {
      if (isFileFailure(error)) {
        this.end();
        this.#options.onFileFailure(error);
        return true;
      }
      const [first] = batch;
      if (batch.length > 1 || first === undefined) return false;
      this.#waiting.delete(first[0]);
      this.#options.onWriteFailure(first[0], error);
      return true;
    }
  }
}

/** A failure that SQLite tells by its code, and not one of the code that fills a statement. */
const isFileFailure = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && FILE_FAILURES.test(sqliteCode(error));
