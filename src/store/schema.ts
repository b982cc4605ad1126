/**
 * The tables of the state file, as the steps that lead to them. A step is never changed once it was released: a newer
 * version appends one. `PRAGMA user_version` counts the steps that a file has seen.
 *
 * Steps add: tables, indexes, columns that may be null or have a default. Then a version that does not know them can
 * still read and write the file, and who goes back to it after an update keeps every checkpoint. A step that takes
 * something away, or gives it another meaning, is counted by {@link NEEDED_STEPS}.
 *
 * Times are milliseconds since the Unix epoch. No table has room for a message, a header or a credential; a summary is
 * the one piece of content that is kept, because it is what was paid for.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    session TEXT,
    agent TEXT,
    roots TEXT NOT NULL,
    phase TEXT NOT NULL,
    used INTEGER NOT NULL,
    effective_window INTEGER NOT NULL,
    checkpoint TEXT,
    served TEXT,
    state TEXT NOT NULL,
    last_activity INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX conversations_by_speaker ON conversations (session, agent);
  CREATE INDEX conversations_by_activity ON conversations (last_activity);

  CREATE TABLE checkpoints (
    id TEXT PRIMARY KEY,
    conversation TEXT NOT NULL,
    key BLOB NOT NULL,
    bare_key BLOB NOT NULL,
    anchor_messages INTEGER NOT NULL,
    anchor_tokens INTEGER NOT NULL,
    details BLOB NOT NULL,
    summary BLOB NOT NULL,
    model TEXT NOT NULL,
    duration INTEGER NOT NULL,
    input INTEGER NOT NULL,
    cache_creation INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    output INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_needed INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE wal (
    conversation TEXT NOT NULL,
    message INTEGER NOT NULL,
    checkpoint TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (conversation, message)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE checkpoint_history (
    id TEXT PRIMARY KEY,
    conversation TEXT NOT NULL,
    at INTEGER NOT NULL,
    model TEXT NOT NULL,
    anchor_tokens INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    input INTEGER NOT NULL,
    cache_creation INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    output INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX checkpoint_history_by_time ON checkpoint_history (at);

  CREATE TABLE compaction_history (
    id TEXT PRIMARY KEY,
    conversation TEXT NOT NULL,
    at INTEGER NOT NULL,
    model TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    tokens_before INTEGER NOT NULL,
    tokens_after INTEGER,
    confirmed INTEGER,
    checkpoint TEXT,
    waited INTEGER NOT NULL,
    saved INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX compaction_history_by_time ON compaction_history (at);
  CREATE INDEX compaction_history_by_checkpoint ON compaction_history (checkpoint);
  CREATE INDEX compaction_history_by_conversation ON compaction_history (conversation, at);
  `,
  // What a disk changed by itself is found by this: SQLite's pages have no checksums.
  `ALTER TABLE checkpoints ADD COLUMN digest BLOB;`,
  // How many steps a version must know at least to use this file: the one row.
  `CREATE TABLE schema (needs INTEGER NOT NULL) STRICT; INSERT INTO schema VALUES (0);`,
];

/** Steps up to the last one that versions before it cannot live with. */
export const NEEDED_STEPS = 1;
