/**
 * Opens, checks and migrates the state file, and sets it aside when it cannot be read. SQLite runs in its write-ahead
 * mode: a committed transaction survives `kill -9`. One process locks the file (`locking_mode=EXCLUSIVE`, which also
 * avoids a shared memory file that another process could truncate).
 */
import { closeSync, existsSync, fchmodSync, mkdirSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type Libsql from 'libsql';
import { codeOf, messageOf, StoreError } from '../errors.ts';
import type { Log } from '../log.ts';
import { MIGRATIONS, NEEDED_STEPS } from './schema.ts';

export type Database = Libsql.Database;

/** Suffixes of the files that SQLite creates beside its file. */
const COMPANIONS = ['-wal', '-shm', '-journal'];

/** The stable name of a failure of SQLite, such as `SQLITE_FULL`; `SQLITE_CANTOPEN` when the library reports none. */
export function sqliteCode(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && code !== '' ? code : 'SQLITE_CANTOPEN';
}

/** True when the file is damaged or no database. Extended codes have these prefixes. */
const isCorruption = (error: unknown): boolean => /^SQLITE_(CORRUPT|NOTADB)/.test(sqliteCode(error));

/** The library is native code. When it cannot be loaded, only the store is missing. */
function loadLibrary(): typeof Libsql {
  try {
    return createRequire(import.meta.url)('libsql') as typeof Libsql;
  } catch (error) {
    throw new StoreError(`SQLite cannot be loaded (${messageOf(error)}); state is kept in memory only`, {
      cause: error,
    });
  }
}

/** Creates the file, or restricts it to mode 0600. SQLite creates its companions with the same mode. */
function createOrRestrict(file: string): void {
  const descriptor = openSync(file, 'a', 0o600);
  try {
    fchmodSync(descriptor, 0o600);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Migrates a file to the current schema, in one transaction. A file of a later version is used as it is when its
 * additional steps only add to the schema.
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

/** A later version wrote the file, with a schema that this version cannot use. */
class NewerSchema extends Error {}

/** The number that a query returns; infinity when it returns none. */
function numberIn(database: Database, sql: string): number {
  const row = database.prepare(sql).get() as Readonly<Record<string, unknown>> | undefined;
  const [value] = Object.values(row ?? {});
  return typeof value === 'number' ? value : Number.POSITIVE_INFINITY;
}

/** How many steps a version must know to use this file; infinity when the file does not state it. */
function stepsNeeded(database: Database): number {
  const tables = numberIn(database, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema'");
  return tables === 1 ? numberIn(database, 'SELECT max(needs) FROM schema') : Number.POSITIVE_INFINITY;
}

/** Checks that every table can be read, which detects most truncated and overwritten files. */
function check(database: Database): void {
  const rows = database.prepare('PRAGMA quick_check(1)').all() as readonly { readonly quick_check: string }[];
  const [found] = rows;
  if (found?.quick_check !== 'ok') {
    throw Object.assign(new Error(found?.quick_check ?? 'no answer'), { code: 'SQLITE_CORRUPT' });
  }
}

function openFile(library: typeof Libsql, file: string): Database {
  createOrRestrict(file);
  const database = new library(file, { timeout: 0 });
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
    database.exec('PRAGMA trusted_schema = OFF');
    // Before the first write, so that a damaged file is set aside unchanged.
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
 * Closes a database and releases its lock. `close` alone keeps the lock until the statements are garbage-collected
 * (libsql-js issue 228, 0.5.29), so the modes that need a lock are left first.
 */
export function release(database: Database): void {
  try {
    database.exec('PRAGMA journal_mode = DELETE');
    database.exec('PRAGMA locking_mode = NORMAL');
    database.exec('SELECT count(*) FROM sqlite_master');
  } catch {
    // The file is not writable any more. SQLite recovers it when it is opened again.
  } finally {
    database.close();
  }
}

/** Device and inode of the file at this path; null when there is none. */
export function fileIdentity(file: string): string | null {
  const stats = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? null : `${stats.dev}:${stats.ino}`;
}

/**
 * True when a database that failed can be used again; false when its file is damaged.
 *
 * @throws StoreError for any other failure
 */
export function isSound(database: Database): boolean {
  try {
    check(database);
    return true;
  } catch (error) {
    if (isCorruption(error)) return false;
    throw storeError('the state file', error);
  }
}

/** An error that says what to do. */
export function storeError(file: string, error: unknown): StoreError {
  const hint = /BUSY|LOCKED/.test(sqliteCode(error))
    ? 'another process uses it: is a second proxy running on this data directory?'
    : 'check that DBPROXY_DATA_DIR can be written and has space';
  const message = `${file} cannot be used (${messageOf(error)}); ${hint}; state is kept in memory only`;
  return new StoreError(message, { cause: error });
}

/** Renames an unusable file to a name that does not exist. */
function setAside(file: string, now: Date): string {
  const stamp = now.toISOString().replace(/[-:]/g, '').slice(0, 15);
  let aside = `${file}.unusable-${stamp}`;
  for (let copy = 2; existsSync(aside); copy += 1) aside = `${file}.unusable-${stamp}-${copy}`;
  renameSync(file, aside);
  // SQLite would use the companions for the new file.
  for (const companion of COMPANIONS) {
    if (existsSync(file + companion)) renameSync(file + companion, aside + companion);
  }
  return aside;
}

export interface OpenedDatabase {
  readonly database: Database;
  /** True when the file is new and empty. */
  readonly fresh: boolean;
}

/**
 * Opens the state file; creates it and its directory when they do not exist. A file that is no database, is damaged, or
 * was written by a later version is set aside and replaced by a new one.
 *
 * @throws StoreError when no file can be opened (permissions, disk space, locked by another process)
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
