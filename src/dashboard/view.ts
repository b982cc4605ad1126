/**
 * What leaves the proxy about a conversation: field by field, picked by hand, from what its machine and `ConversationViews` know.
 * Pure. Nothing here spreads an object that it was given: a field that is added elsewhere stays in the house.
 */
import type { ConversationSnapshot } from '../../machines/conversation.ts';
import type {
  CheckpointCallView,
  CheckpointView,
  ConversationName,
  ConversationView,
  Phase,
} from '../../web/contract.ts';
import type { Checkpoint } from '../checkpoint/index.ts';
import { truncateWithEllipsis } from '../wire/text.ts';
import type { ConversationTitle } from '../wire/title.ts';
import { clientCompactionPoint } from '../wire/windows.ts';

/** What the machine does not know of its conversation. */
export interface ConversationFacts {
  readonly name: ConversationName;
  readonly kind: 'main' | 'subagent';
  readonly parent: string | null;
  readonly created: number;
  readonly phase: Phase;
  readonly phaseSince: number;
  /** When the running call began, and when a failed one is tried again. */
  readonly callSince: number | null;
  readonly retryAt: number | null;
}

const NAME_LENGTH = 80;

/** The name that people recognise: the folder, else the first words, else the id. */
export function conversationName(id: string, { folder, words }: ConversationTitle): ConversationName {
  const last = folder?.split(/[\\/]/).findLast((part) => part !== '') ?? null;
  if (last !== null) return { text: truncateWithEllipsis(last, NAME_LENGTH), from: 'folder', folder, words };
  if (words !== null) return { text: truncateWithEllipsis(words, NAME_LENGTH), from: 'words', folder, words };
  return { text: truncateWithEllipsis(id, NAME_LENGTH), from: 'id', folder, words };
}

const CALL_STATES = {
  idle: 'idle',
  considering: 'idle',
  running: 'running',
  waitingToRetry: 'waiting',
  givenUp: 'given_up',
} as const;

/** Read off the value itself: `matches` takes microseconds, and this is asked for thousands of times a second. */
export function callState({ value }: Pick<ConversationSnapshot, 'value'>): CheckpointCallView['state'] {
  return typeof value === 'string' ? 'idle' : CALL_STATES[value.alive.call];
}

function callView(snapshot: ConversationSnapshot, facts: ConversationFacts): CheckpointCallView {
  const { failure, maxTries, tries } = snapshot.context;
  const state = callState(snapshot);
  return {
    state,
    tries,
    maxTries,
    startedAt: state === 'running' ? facts.callSince : null,
    retryAt: state === 'waiting' ? facts.retryAt : null,
    // A call that was not made is nothing that failed.
    failure: failure === null || failure.kind === 'skipped' ? null : { kind: failure.kind, message: failure.message },
  };
}

export function conversationView(snapshot: ConversationSnapshot, facts: ConversationFacts): ConversationView {
  const { context } = snapshot;
  const { counters, effectiveWindow, thresholds } = context;
  return {
    id: context.id,
    name: facts.name,
    kind: facts.kind,
    parent: facts.parent,
    model: context.model,
    phase: facts.phase,
    phaseSince: facts.phaseSince,
    call: callView(snapshot, facts),
    used: context.used,
    effectiveWindow,
    marks:
      effectiveWindow === 0
        ? null
        : {
            checkpoint: Math.round(effectiveWindow * thresholds.checkpoint),
            swap: Math.round(effectiveWindow * thresholds.swap),
            client: clientCompactionPoint(effectiveWindow),
          },
    messages: context.messages,
    covered: context.checkpoint?.anchorMessages ?? null,
    created: facts.created,
    lastActivity: context.lastActivity ?? facts.created,
    counters: {
      checkpoints: counters.checkpoints,
      failures: counters.failures,
      served: counters.served,
      confirmed: counters.confirmed,
      forwarded: counters.forwarded,
    },
  };
}

/** @param conversation the one that is shown: a checkpoint may have been computed for another */
export const checkpointView = (checkpoint: Checkpoint, conversation: string): CheckpointView => ({
  id: checkpoint.id,
  created: checkpoint.createdAt,
  model: checkpoint.model,
  summary: checkpoint.summary,
  covered: checkpoint.prefix.messages,
  durationMs: Math.round(checkpoint.duration),
  tokens: checkpoint.usage,
  computedFor: checkpoint.conversation === conversation ? null : checkpoint.conversation,
});
