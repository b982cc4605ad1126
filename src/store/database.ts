/**
 * The state file: opened, checked, migrated, and set aside when it cannot be read. SQLite in its write-ahead mode: what
 * is committed survives `kill -9`. One process holds it (`locking_mode=EXCLUSIVE`, which also keeps SQLite from mapping
 * shared memory that somebody could cut off under it).
 */
import { closeSync, existsSync, fchmodSync, mkdirSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type Libsql from 'libsql';
import { codeOf, messageOf, StoreError } from '../errors.ts';
import type { Log } from '../log.ts';
import { MIGRATIONS, NEEDED_STEPS } from './schema.ts';

export type Database = Libsql.Database;

/** What SQLite keeps beside its file. */
const COMPANIONS = ['-wal', '-shm', '-journal'];

/** The stable name of a failure of SQLite, such as `SQLITE_FULL`; `SQLITE_CANTOPEN` where the library tells none. */
export function sqliteCode(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && code !== '' ? code : 'SQLITE_CANTOPEN';
}

/** True for failures that say that the file's bytes are no database of ours. Extended codes begin alike. */
const isCorruption = (error: unknown): boolean => /^SQLITE_(CORRUPT|NOTADB)/.test(sqliteCode(error));

/** The library is native code: where it cannot be loaded there is no store, and everything else works. */
function loadLibrary(): typeof Libsql {
  try {
    return createRequire(import.meta.url)('libsql') as typeof Libsql;
  } catch (error) {
    throw new StoreError(`SQLite cannot be loaded (${messageOf(error)}); state is kept in memory only`, {
      cause: error,
    });
  }
}

/** Makes the file, or takes other people's rights off it. SQLite gives its companions the same mode. */
function claim(file: string): void {
  const descriptor = openSync(file, 'a', 0o600);
  try {
    fchmodSync(descriptor, 0o600);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Brings a file's tables up to date. Several steps are one transaction: a kill in between leaves the file as it was. One
 * that has seen more steps than there are here is used as it is, where those have only added to it.
 */
function migrate(database: Database): void {
  const version = numberIn(database, 'PRAGMA user_version');
  if (version > MIGRATIONS.length && stepsNeeded(database) > MIGRATIONS.length) throw new NewerSchema();
  if (version >= MIGRATIONS.length) return;
  database.exec('BEGIN IMMEDIATE');
  for (const step of MIGRATIONS.slice(version)) database.exec(step);
  database.exec(`UPDATE schema SET needs = ${NEEDED_STEPS}`);
  database.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
  database.exec('COMMIT');
}

/** A later version of this program wrote the file, and this one cannot use it. */
class NewerSchema extends Error {}

/** The one number that a query answers with; infinity where it answers with none. */
function numberIn(database: Database, sql: string): number {
  const row = database.prepare(sql).get() as Readonly<Record<string, unknown>> | undefined;
  const [value] = Object.values(row ?? {});
  return typeof value === 'number' ? value : Number.POSITIVE_INFINITY;
}

/** How many steps a version must know to use this file; infinity where the file does not say. */
function stepsNeeded(database: Database): number {
  const told = numberIn(database, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema'");
  return told === 1 ? numberIn(database, 'SELECT max(needs) FROM schema') : Number.POSITIVE_INFINITY;
}

/** Every table can be read, which a file that was cut off or scribbled over seldom survives. */
function check(database: Database): void {
  const rows = database.prepare('PRAGMA quick_check(1)').all() as readonly { readonly quick_check: string }[];
  const [found] = rows;
  if (found?.quick_check !== 'ok') {
    throw Object.assign(new Error(found?.quick_check ?? 'no answer'), { code: 'SQLITE_CORRUPT' });
  }
}

function openFile(library: typeof Libsql, file: string): Database {
  claim(file);
  const database = new library(file, { timeout: 0 });
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
    database.exec('PRAGMA trusted_schema = OFF');
    // Before anything is written: a damaged file is kept as it is.
    check(database);
    database.exec('PRAGMA journal_mode = WAL');
    database.exec('PRAGMA synchronous = NORMAL');
    migrate(database);
    return database;
  } catch (error) {
    if (isCorruption(error)) database.close();
    else release(database);
    throw error;
  }
}

/**
 * Lets go of a file. `close` alone leaves the lock until the statements are collected (libsql-js issue 228, 0.5.29), so
 * the file is taken out of the modes that hold one.
 */
export function release(database: Database): void {
  try {
    database.exec('PRAGMA journal_mode = DELETE');
    database.exec('PRAGMA locking_mode = NORMAL');
    database.exec('SELECT count(*) FROM sqlite_master');
  } catch {
    // A file that cannot be written any more: what it holds is found again by the next who opens it.
  } finally {
    database.close();
  }
}

/** Which file a name leads to now; null for none. */
export function identityOf(file: string): string | null {
  const stats = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? null : `${stats.dev}:${stats.ino}`;
}

/** True when a database that failed can be used again; false when its file is damaged. Throws what else is wrong. */
export function isSound(database: Database): boolean {
  try {
    check(database);
    return true;
  } catch (error) {
    if (isCorruption(error)) return false;
    throw storeError('the state file', error);
  }
}

/** What went wrong with a file, and what to do about it. */
export function storeError(file: string, error: unknown): StoreError {
  const hint = /BUSY|LOCKED/.test(sqliteCode(error))
    ? 'another process uses it: is a second proxy running on this data directory?'
    : 'check that DBPROXY_DATA_DIR can be written and has space';
  const message = `${file} cannot be used (${messageOf(error)}); ${hint}; state is kept in memory only`;
  return new StoreError(message, { cause: error });
}

/** Moves a file that cannot be used out of the way, under a name that nothing has yet. */
function setAside(file: string, now: Date): string {
  const stamp = now.toISOString().replace(/[-:]/g, '').slice(0, 15);
  let aside = `${file}.unusable-${stamp}`;
  for (let copy = 2; existsSync(aside); copy += 1) aside = `${file}.unusable-${stamp}-${copy}`;
  renameSync(file, aside);
  // The companions belong to that file: beside a new one they would be taken for its own.
  for (const companion of COMPANIONS) {
    if (existsSync(file + companion)) renameSync(file + companion, aside + companion);
  }
  return aside;
}

export interface OpenedDatabase {
  readonly database: Database;
  /** True when the file is a new one: nothing that was saved before is in it. */
  readonly fresh: boolean;
}

/**
 * Opens the state file, making it and its directory where there is none. A file that is no database, is damaged, or was
 * written by a later version is set aside, and a new one begun.
 *
 * @throws StoreError when there can be no file there at all (no rights, no space, another process holds it)
 */
export function openDatabase(file: string, log: Log, now: () => Date): OpenedDatabase {
  const library = loadLibrary();
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const existed = existsSync(file);
    try {
      return { database: openFile(library, file), fresh: !existed };
    } catch (error) {
      const newer = error instanceof NewerSchema;
      const isDirectory = codeOf(error) === 'EISDIR';
      if (!newer && !isDirectory && !isCorruption(error)) throw error;
      const aside = setAside(file, now());
      const reason = newer ? 'a later version wrote it' : messageOf(error);
      log.error('store.set_aside', { file, aside, reason });
      for (const companion of COMPANIONS) rmSync(file + companion, { force: true, recursive: true });
      return { database: openFile(library, file), fresh: true };
    }
  } catch (error) {
    throw error instanceof StoreError ? error : storeError(file, error);
  }
}
