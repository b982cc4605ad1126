import { expect } from 'chai';
import { checkpointId, conversationId, milliseconds, timestamp, tokens } from '../../machines/units.ts';
import type { Checkpoint } from '../../src/checkpoint/index.ts';
import { logFacts, logLineOf } from '../../src/fact-log.ts';
import type { ConversationFact } from '../../src/facts.ts';
import { silentLog, type LogFields } from '../../src/log.ts';
import { fullPrefix, lineageOf } from '../../src/wire/lineage.ts';

const conversation = conversationId('s1');
const id = checkpointId('cp-1');
const checkpoint: Checkpoint = {
  id,
  conversation: conversationId('s0'),
  prefix: fullPrefix(lineageOf([{ role: 'user', content: 'secret' }])),
  anchorTokens: tokens(1),
  summary: 'secret',
  model: 'm',
  usage: { input: tokens(1), cacheCreation: tokens(20), cacheRead: tokens(300), output: tokens(4_000) },
  duration: milliseconds(30_000.4),
  createdAt: timestamp(1),
};

/** Facts with the level and the fields of their line; the event is the type where no other is named. */
const LINES: readonly (readonly [ConversationFact, level: string, LogFields, event?: string])[] = [
  [{ type: 'conversation.opened', conversation, identity: { session: 's1', agent: null } }, 'debug', { conversation }],
  [{ type: 'conversation.restored', conversation, phase: 'IDLE' }, 'info', { conversation, phase: 'IDLE' }],
  [{ type: 'conversation.closed', conversation, expired: true }, 'debug', { conversation }, 'conversation.expired'],
  [{ type: 'conversation.failed', conversation, message: 'x' }, 'error', { conversation, message: 'x' }],
  [{ type: 'conversation.reset', conversation }, 'info', { conversation }],
  [
    { type: 'phase.changed', conversation, from: 'IDLE', to: 'CHECKPOINTING', utilisation: 0.722222 },
    'info',
    { conversation, from: 'IDLE', to: 'CHECKPOINTING', utilisation: 0.7222 },
  ],
  [{ type: 'history.read_failed', conversation, message: 'x' }, 'error', { conversation, message: 'x' }],
  [{ type: 'checkpoint.not_buffered', conversation, bytes: 7 }, 'debug', { conversation, bytes: 7 }],
  [{ type: 'usage.estimated', conversation, used: tokens(7) }, 'debug', { conversation, used: 7 }],
  [{ type: 'history.replaced', conversation, confirmed: true }, 'info', { conversation, confirmed: true }],
  [
    { type: 'checkpoint.started', conversation, attempt: 2, model: 'm', messages: 3, replaces: id },
    'info',
    { conversation, attempt: 2, model: 'm', messages: 3, replaces: id },
  ],
  [
    { type: 'checkpoint.completed', conversation, checkpoint },
    'info',
    {
      conversation,
      checkpoint: id,
      duration_ms: 30_000,
      summary_chars: 6,
      input_tokens: 1,
      cache_creation_tokens: 20,
      cache_read_tokens: 300,
      output_tokens: 4_000,
    },
  ],
  [
    { type: 'checkpoint.failed', conversation, attempt: 1, failure: 'rejected', message: 'x' },
    'warn',
    { conversation, attempt: 1, failure: 'rejected', message: 'x' },
  ],
  [{ type: 'checkpoint.aborted', conversation, attempt: 1 }, 'info', { conversation, attempt: 1 }],
  [
    { type: 'checkpoint.skipped', conversation, attempt: 1, reason: 'limit' },
    'info',
    { conversation, attempt: 1, reason: 'limit' },
  ],
  [
    {
      type: 'compaction.served',
      conversation,
      model: 'm',
      tokensBefore: tokens(9),
      checkpoint,
      messages: 4,
      recentMessages: 2,
      recentChars: 50,
      waited: milliseconds(0.6),
      saved: milliseconds(29_999.8),
    },
    'info',
    {
      conversation,
      checkpoint: id,
      computed_for: 's0',
      messages: 4,
      recent_messages: 2,
      recent_chars: 50,
      waited_ms: 1,
      saved_ms: 30_000,
    },
  ],
  [
    { type: 'compaction.forwarded', conversation, model: 'm', tokensBefore: tokens(9), reason: 'stale' },
    'info',
    { conversation, reason: 'stale' },
  ],
  [{ type: 'compaction.loop', conversation, utilisation: 0.81 }, 'warn', { conversation, utilisation: 0.81 }],
  [{ type: 'compaction.loop_ended', conversation, utilisation: 0.5 }, 'info', { conversation, utilisation: 0.5 }],
];

const NOT_LOGGED: readonly ConversationFact[] = [
  { type: 'conversation.closed', conversation, expired: false },
  { type: 'checkpoint.postponed', conversation, pause: milliseconds(1) },
  { type: 'checkpoint.deleted', checkpoint: id },
  { type: 'compaction.resolved', conversation, confirmed: true },
  { type: 'compaction.measured', conversation, tokensAfter: tokens(1) },
  { type: 'request.received' },
  { type: 'api.answered', conversation, status: 200 },
  { type: 'api.failed', conversation },
];

describe('the log lines of facts', () => {
  for (const [fact, level, fields, event = fact.type] of LINES) {
    it(`are ${event} at level ${level}, with fields in their order and nothing of what was said`, () => {
      const found = logLineOf(fact);
      expect(found).to.deep.equal({ level, event, fields });
      expect(Object.keys(found?.fields ?? {})).to.deep.equal(Object.keys(fields));
      expect(JSON.stringify(found)).not.to.include('secret');
    });
  }

  it('are missing for facts that are not logged', () => {
    expect(NOT_LOGGED.map(logLineOf)).to.deep.equal(NOT_LOGGED.map(() => null));
  });

  it('are written to the log', () => {
    const written: unknown[] = [];
    const write = logFacts({ ...silentLog, warn: (event, fields) => written.push([event, fields]) });
    for (const [fact] of LINES) write(fact);
    for (const fact of NOT_LOGGED) write(fact);
    expect(written.map((line) => (line as unknown[])[0])).to.deep.equal(['checkpoint.failed', 'compaction.loop']);
  });
});
