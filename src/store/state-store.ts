/**
 * The repository in one SQLite file. Its users are never blocked and get no exceptions: a failure of the file is reported
 * to the supervisor, which opens it again, and pending writes are kept until then.
 */
import type { CheckpointId, ConversationId, Milliseconds, Timestamp } from '../../machines/units.ts';
import type { Checkpoint } from '../checkpoint/index.ts';
import type {
  CompactionRecord,
  CompactionUpdate,
  ConversationRecord,
  StateRepository,
  StoredCheckpoint,
  WalEntry,
  WalRecord,
} from '../conversations/repository.ts';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { ClientIdentity } from '../wire/identity.ts';
import { fileIdentity, isSound, openDatabase, release, sqliteCode, storeError, type Database } from './database.ts';
import { readCheckpoints, readConversations, readWal, type Read } from './rows.ts';
import { Statements, type Row, type Value } from './statements.ts';
import { WriteQueue } from './write-queue.ts';
import {
  checkpointWrite,
  confirmedWrite,
  tokensAfterWrite,
  writeCompaction,
  writeConversation,
  writeWal,
} from './writes.ts';

/** How long compactions and checkpoints stay in the history. */
const HISTORY_MS = 90 * 86_400_000;

export interface StateStoreOptions {
  readonly file: string;
  readonly log: Log;
  readonly now: () => Timestamp;
  /** Conversations and checkpoints that were unused for this long are deleted when the file is opened. */
  readonly ttl: Milliseconds;
}

export interface Opened {
  /** True when the file is new and empty. */
  readonly fresh: boolean;
}

export class StateStore implements StateRepository {
  readonly #options: StateStoreOptions;
  readonly #queue: WriteQueue;
  readonly #onFailure = new Set<(error: Error) => void>();
  /** Stays open after a failure, because its lock would block a second opening. */
  #database: Database | null = null;
  /** Device and inode of that file. */
  #identity: string | null = null;
  /** The latest failure. */
  #failure: Error | null = null;
  /** Null while the file is not in use. */
  #statements: Statements | null = null;

  constructor(options: StateStoreOptions) {
    this.#options = options;
    this.#queue = new WriteQueue({
      onFileFailure: (error) => this.#fail(error),
      onWriteFailure: (key, error) =>
        options.log.error('store.write_failed', { what: key.split(':')[0] ?? '', message: messageOf(error) }),
    });
  }

  /** True while the file is in use. */
  get isOpen(): boolean {
    return this.#statements !== null;
  }

  /**
   * Opens the file, deletes what has expired, and performs the pending writes.
   *
   * @throws StoreError when the file cannot be opened, or fails again with the first reads and writes
   */
  open(): Opened {
    if (this.#statements !== null) return { fresh: false };
    const { file, log, now } = this.#options;
    const sound = this.#resume();
    const { database, fresh } = sound ?? openDatabase(file, log, () => new Date(now()));
    this.#database = database;
    this.#identity = fileIdentity(file);
    this.#statements = new Statements(database);
    this.#deleteExpired();
    this.deleteOldHistory();
    if (this.isOpen) this.#queue.begin(database);
    // The queue and the reads above report a failure to `#fail`, and throw nothing.
    if (!this.isOpen && this.#failure !== null) throw storeError(file, this.#failure);
    return { fresh };
  }

  /** The database that failed, if it can be used again; null when the file must be opened. */
  #resume(): { readonly database: Database; readonly fresh: false } | null {
    const database = this.#database;
    if (database === null) return null;
    if (fileIdentity(this.#options.file) === this.#identity && isSound(database)) return { database, fresh: false };
    release(database);
    this.#database = null;
    return null;
  }

  /** Fails when the file was removed or replaced, because writes to it would be lost. */
  checkFile(): void {
    if (this.#statements === null || fileIdentity(this.#options.file) === this.#identity) return;
    this.#fail(new Error(`${this.#options.file} is no longer the file that was opened`));
  }

  /** Performs the pending writes and closes the file. */
  close(): void {
    this.#queue.flush();
    this.#stopUsingFile();
    const database = this.#database;
    this.#database = null;
    if (database !== null) release(database);
  }

  /** Calls `onFailed` when the file fails. Returns a function that ends the subscription. */
  onFailure(onFailed: (error: Error) => void): () => void {
    this.#onFailure.add(onFailed);
    return () => this.#onFailure.delete(onFailed);
  }

  /** Performs the pending writes. */
  flush(): void {
    this.#queue.flush();
  }

  /** Deletes history that is older than {@link HISTORY_MS}. */
  deleteOldHistory(): void {
    const before = this.#options.now() - HISTORY_MS;
    this.#attempt((statements) => {
      statements.run('DELETE FROM compaction_history WHERE at < ?', before);
      statements.run('DELETE FROM checkpoint_history WHERE at < ?', before);
    });
  }

  /**
   * Deletes what was unused for too long. Only when the file is opened: later, conversations and checkpoints are deleted
   * one by one as they expire.
   */
  #deleteExpired(): void {
    const before = this.#options.now() - this.#options.ttl;
    this.#attempt((statements) =>
      statements.transaction(() => {
        statements.run('DELETE FROM conversations WHERE last_activity < ?', before);
        statements.run('DELETE FROM checkpoints WHERE last_needed < ?', before);
        statements.run('DELETE FROM wal WHERE conversation NOT IN (SELECT id FROM conversations)');
      }),
    );
  }

  checkpoints(): readonly StoredCheckpoint[] {
    return this.#read(readCheckpoints, 'SELECT * FROM checkpoints ORDER BY created_at');
  }

  conversationsOf(identity: ClientIdentity): readonly ConversationRecord[] {
    return this.#read(
      readConversations,
      'SELECT * FROM conversations WHERE session IS ? AND agent IS ? ORDER BY last_activity',
      identity.session,
      identity.agent,
    );
  }

  wal(conversation: ConversationId, checkpoint: CheckpointId): readonly WalEntry[] {
    const sql = 'SELECT * FROM wal WHERE conversation = ? AND checkpoint = ? ORDER BY message';
    return this.#read(readWal, sql, conversation, checkpoint);
  }

  saveConversation(conversation: ConversationId, read: () => ConversationRecord | null): void {
    this.#queue.put(`conversation:${conversation}`, (statements) => {
      const record = read();
      if (record !== null) writeConversation(statements, record);
    });
  }

  saveWal(conversation: ConversationId, read: () => WalRecord | null): void {
    this.#queue.put(`wal:${conversation}`, (statements) => writeWal(statements, conversation, read()));
  }

  deleteConversation(conversation: ConversationId): void {
    this.#queue.put(`conversation:${conversation}`, (statements) => {
      statements.run('DELETE FROM conversations WHERE id = ?', conversation);
    });
    this.saveWal(conversation, () => null);
  }

  saveCheckpoint(checkpoint: Checkpoint): void {
    const write = checkpointWrite(checkpoint, this.#options.now());
    this.#queue.put(`checkpoint:${checkpoint.id}`, write);
    this.#queue.flush();
  }

  touchCheckpoint(id: CheckpointId): void {
    const at = this.#options.now();
    this.#queue.put(`checkpoint-needed:${id}`, (statements) => {
      statements.run('UPDATE checkpoints SET last_needed = ? WHERE id = ?', at, id);
    });
  }

  deleteCheckpoint(id: CheckpointId): void {
    this.#queue.put(`checkpoint:${id}`, (statements) => {
      statements.run('DELETE FROM checkpoints WHERE id = ?', id);
    });
  }

  addCompaction(record: CompactionRecord): void {
    this.#queue.put(`compaction:${record.id}`, (statements) => writeCompaction(statements, record));
    this.#queue.flush();
  }

  updateCompaction({ conversation, confirmed, tokensAfter }: CompactionUpdate): void {
    if (confirmed !== undefined) {
      this.#queue.put(`confirmed:${conversation}`, confirmedWrite(conversation, confirmed));
    }
    if (tokensAfter !== undefined) {
      this.#queue.put(`after:${conversation}`, tokensAfterWrite(conversation, tokensAfter));
    }
  }

  /** Queries rows for {@link CompactionHistory}, after the pending writes; empty while no file is open. */
  query(sql: string, ...values: readonly Value[]): readonly Row[] {
    this.#queue.flush();
    return this.#attempt((statements) => statements.all(sql, ...values)) ?? [];
  }

  #read<T>(reader: (rows: readonly Row[]) => Read<T>, sql: string, ...values: readonly Value[]): readonly T[] {
    const { records, unreadable } = reader(this.query(sql, ...values));
    if (unreadable > 0) this.#options.log.warn('store.rows_unreadable', { rows: unreadable });
    return records;
  }

  /** Runs `work` on the open file; undefined when no file is open or `work` fails. */
  #attempt<T>(work: (statements: Statements) => T): T | undefined {
    const statements = this.#statements;
    if (statements === null) return undefined;
    try {
      return work(statements);
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  #fail(error: unknown): void {
    if (this.#statements === null) return;
    this.#stopUsingFile();
    const failure = new Error(`${messageOf(error)} (${sqliteCode(error)})`, { cause: error });
    this.#failure = failure;
    for (const onFailed of this.#onFailure) onFailed(failure);
  }

  #stopUsingFile(): void {
    this.#statements = null;
    this.#queue.end();
  }
}
