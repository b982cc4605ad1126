/** The writes to the state file as SQL; `rows.ts` parses the rows. */
import type { ConversationId, Timestamp, Tokens } from '../../machines/units.ts';
import type { Checkpoint } from '../checkpoint/index.ts';
import type { CompactionRecord, ConversationRecord, WalRecord } from '../conversations/repository.ts';
import { digestOf, stateJson } from './rows.ts';
import type { Statements } from './statements.ts';
import type { Write } from './write-queue.ts';

export function writeConversation(statements: Statements, record: ConversationRecord): void {
  const { state } = record;
  statements.run(
    `INSERT INTO conversations
       (id, session, agent, roots, phase, used, effective_window, checkpoint, served, state, last_activity)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET roots = excluded.roots, phase = excluded.phase, used = excluded.used,
       effective_window = excluded.effective_window, checkpoint = excluded.checkpoint, served = excluded.served,
       state = excluded.state, last_activity = excluded.last_activity`,
    record.id,
    record.session,
    record.agent,
    JSON.stringify(record.roots),
    record.phase,
    state.used,
    state.effectiveWindow,
    state.checkpoint?.id ?? null,
    record.served,
    stateJson(state),
    record.lastActivity,
  );
}

/** Replaces a write-ahead log; null deletes it. */
export function writeWal(statements: Statements, conversation: ConversationId, record: WalRecord | null): void {
  statements.run('DELETE FROM wal WHERE conversation = ?', conversation);
  if (record === null) return;
  // One statement for all entries is faster than one for each.
  const entries = record.entries.map(({ bytes, fingerprint, message }) => [
    message,
    Buffer.from(fingerprint, 'latin1').toString('hex'),
    bytes,
  ]);
  statements.run(
    `INSERT INTO wal (conversation, checkpoint, message, fingerprint, bytes)
     SELECT ?, ?, value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)`,
    conversation,
    record.checkpoint.id,
    JSON.stringify(entries),
  );
}

/** Writes a checkpoint and its entry in the history. */
export function checkpointWrite(checkpoint: Checkpoint, lastNeeded: Timestamp): Write {
  const { conversation, createdAt, id, model, anchorTokens, prefix, usage } = checkpoint;
  const cost = [usage.input, usage.cacheCreation, usage.cacheRead, usage.output];
  const duration = Math.round(checkpoint.duration);
  const served = {
    key: Buffer.from(prefix.key, 'latin1'),
    bare_key: Buffer.from(prefix.keyWithoutSystem, 'latin1'),
    details: prefix.details,
    // As bytes: SQLite's text ends at a NUL.
    summary: Buffer.from(checkpoint.summary),
  };
  return (statements) => {
    statements.run(
      `INSERT OR REPLACE INTO checkpoints (id, conversation, key, bare_key, anchor_messages, anchor_tokens, details,
         summary, digest, model, duration, input, cache_creation, cache_read, output, created_at, last_needed)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      id,
      conversation,
      served.key,
      served.bare_key,
      prefix.messages,
      anchorTokens,
      served.details,
      served.summary,
      digestOf(served),
      model,
      duration,
      ...cost,
      createdAt,
      lastNeeded,
    );
    statements.run(
      `INSERT OR REPLACE INTO checkpoint_history
         (id, conversation, at, model, anchor_tokens, duration, input, cache_creation, cache_read, output)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      id,
      conversation,
      createdAt,
      model,
      anchorTokens,
      duration,
      ...cost,
    );
  };
}

export function writeCompaction(statements: Statements, record: CompactionRecord): void {
  statements.run(
    `INSERT OR REPLACE INTO compaction_history
       (id, conversation, at, model, outcome, reason, tokens_before, checkpoint, waited, saved)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    record.id,
    record.conversation,
    record.at,
    record.model,
    record.outcome,
    record.reason,
    record.tokensBefore,
    record.checkpoint,
    Math.round(record.waited),
    Math.round(record.saved),
  );
}

/** A conversation's latest compaction. */
const LATEST = '(SELECT id FROM compaction_history WHERE conversation = ? ORDER BY at DESC, rowid DESC LIMIT 1)';

/** Records whether the client uses the summary of its latest compaction; true is final. */
export function confirmedWrite(conversation: ConversationId, confirmed: boolean): Write {
  const sql = `UPDATE compaction_history SET confirmed = ? WHERE confirmed IS NOT 1 AND id = ${LATEST}`;
  return (statements) => statements.run(sql, confirmed ? 1 : 0, conversation);
}

/** Records the tokens in use after the first turn that follows the latest compaction. */
export function tokensAfterWrite(conversation: ConversationId, tokens: Tokens): Write {
  const sql = `UPDATE compaction_history SET tokens_after = ? WHERE tokens_after IS NULL AND id = ${LATEST}`;
  return (statements) => statements.run(sql, tokens, conversation);
}
