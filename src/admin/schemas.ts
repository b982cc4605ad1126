/**
 * The answers of the HTTP API as schemas: the OpenAPI document is made from them, tests hold real answers against that,
 * and the compiler holds them against the contract. So none of the four can drift from the others.
 */
import * as z from 'zod';
import { CALL_FAILURE_KINDS } from '../../machines/conversation-events.ts';
import { PHASES } from '../../machines/phases.ts';
import type {
  ConversationAnswer,
  ConversationsAnswer,
  ConversationView,
  ErrorAnswer,
  ResetAnswer,
} from '../../web/contract.ts';
import type { Health } from './health.ts';
import type { HistoryAnswer } from './history-routes.ts';

const count = z.int().min(0);
const time = z.number().describe('Milliseconds since the Unix epoch.');
const duration = z.number().min(0).describe('Milliseconds.');
const phase = z.enum(PHASES);
/** Spellings that installed launchers of older versions read, see `LegacyHealth`. */
const legacy = <T extends z.ZodType>(type: T): T => type.meta({ deprecated: true });

const tokens = z.strictObject({ input: count, cacheCreation: count, cacheRead: count, output: count });

const conversation = z.strictObject({
  id: z.string(),
  name: z.strictObject({
    text: z.string().describe('What people know it by.'),
    from: z.enum(['folder', 'words', 'id']),
    folder: z.string().nullable(),
    words: z.string().nullable(),
  }),
  kind: z.enum(['main', 'subagent']),
  parent: z.string().nullable().describe('Whose subagent it is, where that is known.'),
  model: z.string().nullable(),
  phase,
  phaseSince: time,
  call: z.strictObject({
    state: z.enum(['idle', 'running', 'waiting', 'given_up']),
    tries: count,
    maxTries: count,
    startedAt: time.nullable(),
    retryAt: time.nullable(),
    failure: z.strictObject({ kind: z.enum(CALL_FAILURE_KINDS), message: z.string() }).nullable(),
  }),
  used: count.describe('Tokens of context in use.'),
  effectiveWindow: count.describe('Tokens that the client reckons with; 0 while unknown.'),
  marks: z.strictObject({ checkpoint: count, swap: count, client: count }).nullable(),
  messages: count,
  covered: count.nullable().describe('Messages that the servable checkpoint covers.'),
  created: time,
  lastActivity: time,
  counters: z.strictObject({
    checkpoints: count,
    failures: count,
    served: count,
    confirmed: count,
    forwarded: count,
  }),
}) satisfies z.ZodType<ConversationView>;

const detail = z.strictObject({
  id: z.string(),
  phases: z.array(z.strictObject({ at: time, phase })),
  samples: z.array(z.strictObject({ at: time, used: count, effectiveWindow: count })),
  marks: z.array(
    z.strictObject({
      at: time,
      kind: z.enum(['checkpoint', 'failed', 'swap', 'compaction', 'replaced', 'reset']),
      used: count,
    }),
  ),
  checkpoint: z
    .strictObject({
      id: z.string(),
      created: time,
      model: z.string(),
      summary: z.string(),
      covered: count,
      durationMs: duration,
      tokens,
      computedFor: z.string().nullable(),
    })
    .nullable(),
  lastSwap: z
    .strictObject({
      at: time,
      checkpoint: z.string(),
      messagesBefore: count,
      usedBefore: count,
      summaryChars: count,
      recentMessages: count,
      recentChars: count,
      usedAfter: count.nullable(),
      taken: z.boolean().nullable(),
      waitedMs: duration,
      savedMs: duration,
    })
    .nullable(),
});

const compactionEntry = z.strictObject({
  at: time,
  conversation: z.string(),
  model: z.string(),
  outcome: z.enum(['served', 'forwarded']),
  reason: z.string().nullable().describe('Why it went to the API.'),
  tokensBefore: count,
  tokensAfter: count.nullable(),
  confirmed: z.boolean().nullable().describe('Whether the client went on from the summary.'),
  waitedMs: duration,
  savedMs: duration,
  checkpoint: z.strictObject({ id: z.string(), durationMs: duration, tokens }).nullable(),
});

const checkpointEntry = z.strictObject({
  id: z.string(),
  conversation: z.string(),
  at: time,
  model: z.string(),
  anchorTokens: count,
  durationMs: duration,
  tokens,
  fate: z.enum(['used', 'ready', 'wasted']),
});

export const SCHEMAS = {
  Health: z.strictObject({
    status: z.literal('ok'),
    version: z.string(),
    uptimeSeconds: z.number().min(0),
    conversations: count,
    checkpoints: count,
    passthrough: z.boolean(),
    checkpointBreaker: z.enum(['closed', 'open', 'half_open']),
    checkpointsResumeAt: z.iso.datetime().nullable(),
    store: z.enum(['open', 'closed']),
    totalConnections: count.describe('All open connections of clients on both ports.'),
    bufferedBytes: count,
    checkpointThreshold: z.number(),
    swapThreshold: z.number(),
    activeConnections: count.describe("Clients' connections to the API, blind tunnels included."),
    checkpointCalls: count,
    uptime_s: legacy(z.number().min(0)),
    checkpoint_threshold: legacy(z.number()),
    swap_threshold: legacy(z.number()),
    open_connections: legacy(count),
    checkpoint_calls: legacy(count),
    pid: count,
  }) satisfies z.ZodType<Health>,
  Conversation: conversation,
  Conversations: z.strictObject({ conversations: z.array(conversation) }) satisfies z.ZodType<ConversationsAnswer>,
  ConversationDetail: z.strictObject({ conversation, detail }) satisfies z.ZodType<ConversationAnswer>,
  Reset: z.strictObject({ conversation }) satisfies z.ZodType<ResetAnswer>,
  History: z.strictObject({
    complete: z.boolean().describe('False while the state file cannot be read.'),
    totals: z.strictObject({
      served: count,
      forwarded: count,
      forwardedBy: z.record(z.string(), count),
      savedMs: duration,
      checkpoints: z.strictObject({ made: count, used: count, ready: count, wasted: count }),
      tokens,
    }),
    compactions: z.array(compactionEntry),
    checkpoints: z.array(checkpointEntry),
  }) satisfies z.ZodType<HistoryAnswer>,
  Error: z.strictObject({
    type: z.literal('error'),
    error: z.strictObject({ type: z.string(), message: z.string() }),
  }) satisfies z.ZodType<ErrorAnswer>,
} as const;
