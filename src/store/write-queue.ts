/**
 * Queues writes by key: a later write of the same key replaces an earlier one, and all writes of one round of the event
 * loop are one transaction. Without a database the writes wait.
 */
import { sqliteCode, type Database } from './database.ts';
import { Statements } from './statements.ts';

/** One write, called in the transaction, so that it writes the state of that time. */
export type Write = (statements: Statements) => void;

/** Failures of the file or the disk, which every other write would have too. All others concern one write. */
const FILE_FAILURES = /^SQLITE_(FULL|IOERR|READONLY|CORRUPT|NOTADB|BUSY|LOCKED|CANTOPEN|PERM|NOMEM|PROTOCOL|AUTH)/;
/** How many writes wait for a database; beyond it the oldest is dropped. */
const MAX_PENDING = 20_000;

export interface WriteQueueOptions {
  /** Called when the file cannot be written. The writes are kept. */
  readonly onFileFailure: (error: unknown) => void;
  /** Called when one write failed and was dropped. */
  readonly onWriteFailure: (key: string, error: unknown) => void;
}

export class WriteQueue {
  readonly #options: WriteQueueOptions;
  readonly #pending = new Map<string, Write>();
  #statements: Statements | null = null;
  #scheduled: NodeJS.Immediate | null = null;

  constructor(options: WriteQueueOptions) {
    this.#options = options;
  }

  /** Number of pending writes. */
  get size(): number {
    return this.#pending.size;
  }

  /** Performs the pending writes and all later ones on this database. */
  begin(database: Database): void {
    this.#statements = new Statements(database);
    this.flush();
  }

  /** Stops using the database; later writes wait. */
  end(): void {
    this.#statements = null;
  }

  /** Adds a write, which replaces a pending one of the same key. */
  put(key: string, write: Write): void {
    this.#pending.delete(key);
    this.#pending.set(key, write);
    if (this.#pending.size > MAX_PENDING) {
      const [oldest] = this.#pending.keys();
      if (oldest !== undefined) this.#pending.delete(oldest);
    }
    this.#scheduled ??= setImmediate(() => this.flush());
  }

  /** Performs the pending writes. */
  flush(): void {
    if (this.#scheduled !== null) clearImmediate(this.#scheduled);
    this.#scheduled = null;
    const statements = this.#statements;
    if (statements === null || this.#pending.size === 0) return;
    const batch = [...this.#pending];
    if (this.#commit(statements, batch)) return;
    // One of the writes failed: each is tried alone.
    for (const one of batch) if (this.#statements !== null) this.#commit(statements, [one]);
  }

  /** Returns false when the writes of the batch must be tried one by one. */
  #commit(statements: Statements, batch: readonly (readonly [string, Write])[]): boolean {
    try {
      statements.transaction(() => {
        for (const [, write] of batch) write(statements);
      });
      for (const [key, write] of batch) if (this.#pending.get(key) === write) this.#pending.delete(key);
      return true;
    } catch (error) {
      if (isFileFailure(error)) {
        this.end();
        this.#options.onFileFailure(error);
        return true;
      }
      const [first] = batch;
      if (batch.length > 1 || first === undefined) return false;
      this.#pending.delete(first[0]);
      this.#options.onWriteFailure(first[0], error);
      return true;
    }
  }
}

/** True for an error of SQLite, and false for one that was thrown by a write's own code. */
const isFileFailure = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && FILE_FAILURES.test(sqliteCode(error));
