/** Runs SQL on an open database; each statement is compiled once. */
import type { Database } from './database.ts';

/** A value that can be bound: SQLite's own types. */
export type Value = string | number | Buffer | null;
/** A row by column, not validated. */
export type Row = Readonly<Record<string, unknown>>;

/** The part of the library's type that is used, with a list of values, which the library's own type lacks. */
interface Prepared {
  run(...values: readonly Value[]): unknown;
  all(...values: readonly Value[]): unknown[];
}

export class Statements {
  readonly #database: Database;
  readonly #prepared = new Map<string, Prepared>();

  constructor(database: Database) {
    this.#database = database;
  }

  run(sql: string, ...values: readonly Value[]): void {
    this.#prepare(sql).run(...values);
  }

  all(sql: string, ...values: readonly Value[]): readonly Row[] {
    return this.#prepare(sql).all(...values) as readonly Row[];
  }

  /** Runs `work` as one transaction, which is rolled back when it throws. */
  transaction(work: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      work();
      this.#database.exec('COMMIT');
    } catch (error) {
      try {
        this.#database.exec('ROLLBACK');
      } catch {
        // SQLite has already rolled back, as it does when the disk is full.
      }
      throw error;
    }
  }

  #prepare(sql: string): Prepared {
    const known = this.#prepared.get(sql);
    if (known !== undefined) return known;
    const prepared = this.#database.prepare(sql) as Prepared;
    this.#prepared.set(sql, prepared);
    return prepared;
  }
}
