/** Records compactions for `claude-db-proxy history` and `/api/history`. */
import { randomUUID } from 'node:crypto';
import { milliseconds, type Timestamp } from '../../machines/units.ts';
import type { StateRepository } from '../conversations/repository.ts';
import type { PublishFact } from '../facts.ts';

const NONE = milliseconds(0);

/** A subscriber that saves a record of each compaction. */
export function recordCompactions(
  repository: Pick<StateRepository, 'addCompaction' | 'updateCompaction'>,
  now: () => Timestamp,
): PublishFact {
  return (fact) => {
    switch (fact.type) {
      case 'compaction.served': {
        const { checkpoint, conversation, model, saved, tokensBefore, waited } = fact;
        const times = { at: now(), waited, saved };
        const served = { outcome: 'served', reason: null, checkpoint: checkpoint.id } as const;
        repository.addCompaction({ id: randomUUID(), conversation, model, tokensBefore, ...served, ...times });
        return;
      }
      case 'compaction.forwarded': {
        const { conversation, model, reason, tokensBefore } = fact;
        const times = { at: now(), waited: NONE, saved: NONE };
        const forwarded = { outcome: 'forwarded', reason, checkpoint: null } as const;
        repository.addCompaction({ id: randomUUID(), conversation, model, tokensBefore, ...forwarded, ...times });
        return;
      }
      case 'compaction.resolved':
        repository.updateCompaction({ conversation: fact.conversation, confirmed: fact.confirmed });
        return;
      case 'compaction.measured':
        repository.updateCompaction({ conversation: fact.conversation, tokensAfter: fact.tokensAfter });
        return;
      case 'conversation.opened':
      case 'conversation.restored':
      case 'conversation.changed':
      case 'conversation.closed':
      case 'conversation.failed':
      case 'conversation.reset':
      case 'phase.changed':
      case 'history.read_failed':
      case 'usage.estimated':
      case 'history.received':
      case 'history.replaced':
      case 'checkpoint.started':
      case 'checkpoint.completed':
      case 'checkpoint.failed':
      case 'checkpoint.aborted':
      case 'checkpoint.skipped':
      case 'checkpoint.not_buffered':
      case 'checkpoint.postponed':
      case 'checkpoint.deleted':
      case 'compaction.loop':
      case 'compaction.loop_ended':
      case 'request.received':
      case 'api.answered':
      case 'api.failed':
        return;
    }
  };
}
