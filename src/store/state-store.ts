/**
 * The state that outlives the process, in one SQLite file. It never throws at those who use it and never makes them
 * wait: a file that fails is reported, what was to be written is kept, and whoever supervises the store opens it again.
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
import { identityOf, isSound, openDatabase, release, sqliteCode, storeError, type Database } from './database.ts';
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

/** How long the history of compactions is kept. */
const HISTORY_MS = 90 * 86_400_000;

export interface StateStoreOptions {
  readonly file: string;
  readonly log: Log;
  readonly now: () => Timestamp;
  /** Conversations and checkpoints that nobody needed for this long are gone when the file is opened. */
  readonly ttl: Milliseconds;
}

export interface Opened {
  /** True when nothing that was saved before is in the file: it is a new one. */
  readonly fresh: boolean;
}

export class StateStore implements StateRepository {
  readonly #options: StateStoreOptions;
  readonly #queue: WriteQueue;
  readonly #onFailure = new Set<(error: Error) => void>();
  /** The file as it was opened; it stays so over a failure, because a second opening would find it locked. */
  #database: Database | null = null;
  /** Which file that is. */
  #identity: string | null = null;
  /** Why it failed last. */
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
   * Opens the file, forgets what has expired, and writes what has waited.
   *
   * @throws StoreError when there can be no file, or when it fails again with the first of that
   */
  open(): Opened {
    if (this.#statements !== null) return { fresh: false };
    const { file, log, now } = this.#options;
    const sound = this.#resume();
    const { database, fresh } = sound ?? openDatabase(file, log, () => new Date(now()));
    this.#database = database;
    this.#identity = identityOf(file);
    this.#statements = new Statements(database);
    this.#deleteExpired();
    this.deleteOldHistory();
    if (this.isOpen) this.#queue.begin(database);
    // The queue and the reads above report a failure to `#fail`, and throw nothing.
    if (!this.isOpen && this.#failure !== null) throw storeError(file, this.#failure);
    return { fresh };
  }

  /** The database that failed, if it can be used again; null when the file has to be opened anew. */
  #resume(): { readonly database: Database; readonly fresh: false } | null {
    const database = this.#database;
    if (database === null) return null;
    if (identityOf(this.#options.file) === this.#identity && isSound(database)) return { database, fresh: false };
    release(database);
    this.#database = null;
    return null;
  }

  /** Notices when somebody has taken the file away or put another in its place: nothing written to it would be found. */
  checkFile(): void {
    if (this.#statements === null || identityOf(this.#options.file) === this.#identity) return;
    this.#fail(new Error(`${this.#options.file} is no longer the file that was opened`));
  }

  /** Writes what waits and lets go of the file. */
  close(): void {
    this.#queue.flush();
    this.#stopUsingFile();
    const database = this.#database;
    this.#database = null;
    if (database !== null) release(database);
  }

  /** Called when the file can no longer be used. Returns how to stop being called. */
  onFailure(told: (error: Error) => void): () => void {
    this.#onFailure.add(told);
    return () => this.#onFailure.delete(told);
  }

  /** Writes everything that waits, now. */
  flush(): void {
    this.#queue.flush();
  }

  /** Takes history out that is older than people want to see it. */
  deleteOldHistory(): void {
    const before = this.#options.now() - HISTORY_MS;
    this.#attempt((statements) => {
      statements.run('DELETE FROM compaction_history WHERE at < ?', before);
      statements.run('DELETE FROM checkpoint_history WHERE at < ?', before);
    });
  }

  /**
   * Takes out what nobody needed for too long. Only when the file is opened: while the process lives, those who hold the
   * conversations and checkpoints say when they are gone.
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

  conversationsOf(speaker: ClientIdentity): readonly ConversationRecord[] {
    return this.#read(
      readConversations,
      'SELECT * FROM conversations WHERE session IS ? AND agent IS ? ORDER BY last_activity',
      speaker.session,
      speaker.agent,
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

  /** Rows for {@link CompactionHistory}; empty while there is no file. What waits to be written is written first. */
  query(sql: string, ...values: readonly Value[]): readonly Row[] {
    this.#queue.flush();
    return this.#attempt((statements) => statements.all(sql, ...values)) ?? [];
  }

  #read<T>(reader: (rows: readonly Row[]) => Read<T>, sql: string, ...values: readonly Value[]): readonly T[] {
    const { records, unreadable } = reader(this.query(sql, ...values));
    if (unreadable > 0) this.#options.log.warn('store.rows_unreadable', { rows: unreadable });
    return records;
  }

  /** Runs `work` if there is a file; undefined when there is none or it fails. */
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
    for (const told of this.#onFailure) told(failure);
  }

  #stopUsingFile(): void {
    this.#statements = null;
    this.#queue.end();
  }
}
