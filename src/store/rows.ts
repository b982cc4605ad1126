/** Parses rows of the state file. Invalid rows, from an old version, a bug or a bad disk, are skipped. */
import { createHash } from 'node:crypto';
import * as z from 'zod';
import type { PersistedState } from '../../machines/conversation-events.ts';
import { PHASES } from '../../machines/phases.ts';
import { checkpointId, conversationId, milliseconds, timestamp, tokens } from '../../machines/units.ts';
import type { ConversationRecord, StoredCheckpoint, WalEntry } from '../conversations/repository.ts';
import { copyBytes } from '../wire/lineage.ts';
import type { Row } from './statements.ts';

const count = z.number().int().nonnegative();
const tokenCount = count.transform(tokens);
const moment = z.number().transform(timestamp);
/** libsql returns an ArrayBuffer from `all`, and a Buffer from `get` (0.5.29). */
const bytes = z.union([
  z.instanceof(ArrayBuffer).transform((value) => Buffer.from(value)),
  z.instanceof(Uint8Array).transform(copyBytes),
]);
const checkpointName = z.string().min(1).transform(checkpointId);

const checkpointRef = z.object({ id: checkpointName, anchorMessages: count, anchorTokens: tokenCount });

/** What the machine persists; a field that an older version did not write has its initial value. */
const persistedState = z
  .object({
    model: z.string().nullable(),
    used: tokenCount,
    effectiveWindow: tokenCount,
    messages: count,
    lastActivity: moment.nullable(),
    checkpoint: checkpointRef.nullable(),
    served: z.boolean(),
    /** `lastRefreshStep`, under the name that every version has written. */
    crossing: count.default(0),
    tries: count,
    turnsSinceReplaced: count.nullable().default(null),
    looping: z.boolean().default(false),
    counters: z.object({
      checkpoints: count,
      failures: count,
      skipped: count.default(0),
      served: count,
      confirmed: count,
      forwarded: count,
    }),
  })
  .transform(({ crossing: lastRefreshStep, ...state }): PersistedState => ({ ...state, lastRefreshStep }));

const json = z.string().transform((text, context): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue({ code: 'custom', message: 'no JSON' });
    return z.NEVER;
  }
});

const conversationRow = z
  .object({
    id: z.string().min(1).transform(conversationId),
    session: z.string().nullable(),
    agent: z.string().nullable(),
    roots: json.pipe(z.array(z.string())),
    phase: z.enum(PHASES),
    served: checkpointName.nullable(),
    state: json.pipe(persistedState),
    last_activity: moment,
  })
  .transform(({ last_activity, ...row }): ConversationRecord => ({ ...row, lastActivity: last_activity }));

/** The columns that decide what is served, and to whom. A row whose digest does not match them is invalid. */
export interface DigestedRow {
  readonly key: Buffer;
  readonly bare_key: Buffer;
  readonly details: Buffer;
  readonly summary: Buffer;
}

export function digestOf({ key, bare_key, details, summary }: DigestedRow): Buffer {
  const digest = createHash('sha256');
  for (const part of [key, bare_key, details, summary]) digest.update(`${part.length} `).update(part);
  return digest.digest();
}

const checkpointRow = z
  .object({
    id: checkpointName,
    conversation: z.string().transform(conversationId),
    key: bytes,
    bare_key: bytes,
    anchor_messages: count,
    anchor_tokens: tokenCount,
    details: bytes,
    summary: bytes.refine((value) => value.length > 0),
    /** Null in rows of the first version. */
    digest: bytes.nullable(),
    model: z.string(),
    duration: z.number().nonnegative().transform(milliseconds),
    input: tokenCount,
    cache_creation: tokenCount,
    cache_read: tokenCount,
    output: tokenCount,
    created_at: moment,
    last_needed: moment,
  })
  .refine((row) => row.digest === null || row.digest.equals(digestOf(row)))
  .transform((row): StoredCheckpoint => ({
    lastNeeded: row.last_needed,
    checkpoint: {
      id: row.id,
      conversation: row.conversation,
      prefix: {
        key: row.key.toString('latin1'),
        keyWithoutSystem: row.bare_key.toString('latin1'),
        messages: row.anchor_messages,
        details: row.details,
      },
      anchorTokens: row.anchor_tokens,
      summary: row.summary.toString('utf8'),
      model: row.model,
      usage: {
        input: row.input,
        cacheCreation: row.cache_creation,
        cacheRead: row.cache_read,
        output: row.output,
      },
      duration: row.duration,
      createdAt: row.created_at,
    },
  }));

const walRow = z
  .object({ message: count, fingerprint: z.string().regex(/^([0-9a-f]{2})+$/), bytes: count })
  .transform((row): WalEntry => ({ ...row, fingerprint: Buffer.from(row.fingerprint, 'hex').toString('latin1') }));

/** The valid rows, and the number of invalid ones. */
export interface Read<T> {
  readonly records: readonly T[];
  readonly unreadable: number;
}

function read<T>(schema: z.ZodType<T>, rows: readonly Row[]): Read<T> {
  const records = rows.flatMap((row) => {
    const parsed = schema.safeParse(row);
    return parsed.success ? [parsed.data] : [];
  });
  return { records, unreadable: rows.length - records.length };
}

export const readConversations = (rows: readonly Row[]): Read<ConversationRecord> => read(conversationRow, rows);
export const readCheckpoints = (rows: readonly Row[]): Read<StoredCheckpoint> => read(checkpointRow, rows);
export const readWal = (rows: readonly Row[]): Read<WalEntry> => read(walRow, rows);

/** Serialises the fields of the machine's state that `persistedState` reads. */
export function stateJson(state: PersistedState): string {
  const { checkpoint, counters, effectiveWindow, lastActivity, lastRefreshStep, looping } = state;
  const { messages, model, served, tries, turnsSinceReplaced, used } = state;
  const { checkpoints, confirmed, failures, forwarded, served: servedCount, skipped } = counters;
  const known: z.input<typeof persistedState> = {
    model,
    used,
    effectiveWindow,
    messages,
    lastActivity,
    checkpoint: checkpoint && {
      id: checkpoint.id,
      anchorMessages: checkpoint.anchorMessages,
      anchorTokens: checkpoint.anchorTokens,
    },
    served,
    crossing: lastRefreshStep,
    tries,
    turnsSinceReplaced,
    looping,
    counters: { checkpoints, failures, skipped, served: servedCount, confirmed, forwarded },
  };
  return JSON.stringify(known);
}
