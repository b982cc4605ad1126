/**
 * The log lines of facts. Fields are picked by hand, so that neither a credential nor message text gets into the log;
 * event names and fields are what users search for.
 */
import { messageOf } from './errors.ts';
import { createFacts, type ConversationFact, type Facts, type PublishFact } from './facts.ts';
import type { Log, LogFields } from './log.ts';

export interface LogLine {
  readonly level: keyof Log;
  readonly event: string;
  readonly fields: LogFields;
}

const line = (level: keyof Log, event: string, fields: LogFields): LogLine => ({ level, event, fields });

/** A share with four digits after the point. */
const rounded = (share: number): number => Number(share.toFixed(4));

/** The log line of a fact; null for a fact that is not logged. */
export function logLineOf(fact: ConversationFact): LogLine | null {
  switch (fact.type) {
    case 'conversation.opened':
      return line('debug', fact.type, { conversation: fact.conversation });
    case 'conversation.restored':
      return line('info', fact.type, { conversation: fact.conversation, phase: fact.phase });
    case 'conversation.closed':
      return fact.expired ? line('debug', 'conversation.expired', { conversation: fact.conversation }) : null;
    case 'conversation.failed':
      return line('error', fact.type, { conversation: fact.conversation, message: fact.message });
    case 'conversation.reset':
      return line('info', fact.type, { conversation: fact.conversation });
    case 'phase.changed': {
      const { conversation, from, to, utilisation } = fact;
      return line('info', fact.type, { conversation, from, to, utilisation: rounded(utilisation) });
    }
    case 'history.read_failed':
      return line('error', fact.type, { conversation: fact.conversation, message: fact.message });
    case 'history.replaced':
      return line('info', fact.type, { conversation: fact.conversation, confirmed: fact.confirmed });
    case 'checkpoint.started': {
      const { attempt, conversation, messages, model, replaces } = fact;
      return line('info', fact.type, { conversation, attempt, model, messages, replaces });
    }
    case 'checkpoint.completed': {
      const { duration, id, summary, usage } = fact.checkpoint;
      return line('info', fact.type, {
        conversation: fact.conversation,
        checkpoint: id,
        duration_ms: Math.round(duration),
        summary_chars: summary.length,
        input_tokens: usage.input,
        cache_creation_tokens: usage.cacheCreation,
        cache_read_tokens: usage.cacheRead,
        output_tokens: usage.output,
      });
    }
    case 'checkpoint.failed': {
      const { attempt, conversation, failure, message } = fact;
      return line('warn', fact.type, { conversation, attempt, failure, message });
    }
    case 'checkpoint.aborted':
      return line('info', fact.type, { conversation: fact.conversation, attempt: fact.attempt });
    case 'checkpoint.skipped':
      return line('info', fact.type, { conversation: fact.conversation, attempt: fact.attempt, reason: fact.reason });
    case 'checkpoint.not_buffered':
      return line('debug', fact.type, { conversation: fact.conversation, bytes: fact.bytes });
    case 'usage.estimated':
      return line('debug', fact.type, { conversation: fact.conversation, used: fact.used });
    case 'compaction.served':
      return line('info', fact.type, {
        conversation: fact.conversation,
        checkpoint: fact.checkpoint.id,
        computed_for: fact.checkpoint.conversation,
        messages: fact.messages,
        recent_messages: fact.recentMessages,
        recent_chars: fact.recentChars,
        waited_ms: Math.round(fact.waited),
        saved_ms: Math.round(fact.saved),
      });
    case 'compaction.forwarded':
      return line('info', fact.type, { conversation: fact.conversation, reason: fact.reason });
    case 'compaction.loop':
      return line('warn', fact.type, { conversation: fact.conversation, utilisation: rounded(fact.utilisation) });
    case 'compaction.loop_ended':
      return line('info', fact.type, { conversation: fact.conversation, utilisation: rounded(fact.utilisation) });
    case 'conversation.changed':
    case 'history.received':
    case 'checkpoint.postponed':
    case 'checkpoint.deleted':
    case 'compaction.resolved':
    case 'compaction.measured':
    case 'request.received':
    case 'api.answered':
    case 'api.failed':
      return null;
  }
}

/** A subscriber that writes the line of each fact to `log`. */
export function logFacts(log: Log): PublishFact {
  return (fact) => {
    const found = logLineOf(fact);
    if (found !== null) log[found.level](found.event, found.fields);
  };
}

/** A stream of facts that are logged, as are the errors of its subscribers. */
export function createLoggedFacts(log: Log): Facts {
  const facts = createFacts((error) => log.error('observer.failed', { message: messageOf(error) }));
  facts.subscribe(logFacts(log));
  return facts;
}
