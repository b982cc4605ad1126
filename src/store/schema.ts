/**
 * The schema of the state file, as migration steps. A released step never changes: a newer version appends one.
 * `PRAGMA user_version` counts the steps that a file has.
 *
 * A step adds tables, indexes, or columns that are nullable or have a default. Older versions can still read and write
 * the file then, so that a downgrade keeps every checkpoint. A step that removes something or changes its meaning is
 * counted by {@link NEEDED_STEPS}.
 *
 * Times are milliseconds since the Unix epoch. Messages, headers and credentials are never stored; summaries are the only
 * content, because their tokens were paid for.
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
  // Detects changes by a bad disk: SQLite's pages have no checksums.
  `ALTER TABLE checkpoints ADD COLUMN digest BLOB;`,
  // One row: how many steps a version must know to use this file.
  `CREATE TABLE schema (needs INTEGER NOT NULL) STRICT; INSERT INTO schema VALUES (0);`,
];

/** Number of steps up to the last one that is incompatible with older versions. */
export const NEEDED_STEPS = 1;
