/** One conversation on a simulated clock, whose checkpoint calls the test ends itself. */
import { createActor, fromPromise, SimulatedClock } from 'xstate';
import { conversationMachine, type ConversationActor } from '../../machines/conversation.ts';
import type {
  CheckpointCallInput,
  CheckpointRef,
  ConversationEvent,
  ConversationInput,
} from '../../machines/conversation-events.ts';
import { checkpointId, conversationId, milliseconds, timestamp, tokens, turnId } from '../../machines/units.ts';
import { settle, type TransitionRecorder } from './walk.ts';

export const INPUT: ConversationInput = {
  id: conversationId('session-1'),
  thresholds: { checkpoint: 0.7, swap: 0.8 },
  checkpointRefresh: 0.1,
  checkpoints: true,
  ttl: milliseconds(7_200_000),
  maxTries: 3,
  persisted: null,
};

/** A checkpoint call as the machine made it. */
export interface MadeCall {
  readonly input: CheckpointCallInput;
  readonly signal: AbortSignal;
  complete(checkpoint?: CheckpointRef): Promise<void>;
  fail(error: unknown): Promise<void>;
}

export const CHECKPOINT: CheckpointRef = { id: checkpointId('own'), anchorMessages: 9, anchorTokens: tokens(700) };
export const OTHER: CheckpointRef = { id: checkpointId('of a fork'), anchorMessages: 5, anchorTokens: tokens(650) };

/** What `CheckpointError` looks like to the machine. */
export const failure = (kind: string, retryAfterMs?: number): object => ({
  failure: kind,
  message: `it was ${kind}`,
  ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
});

let moments = 0;
const at = () => timestamp((moments += 1));

/** Events, as short as they can be said. The window is 1,000 tokens: `used` reads as per mille. */
export const said = {
  started: (covering: CheckpointRef | null = null, continuesCallHistory = true): ConversationEvent => ({
    type: 'turn.started',
    at: at(),
    messages: 11,
    coveringCheckpoint: covering,
    continuesCallHistory,
  }),
  completed: (used: number, turn = 7, messages = 11, thresholds = INPUT.thresholds): ConversationEvent => ({
    type: 'turn.completed',
    at: at(),
    turn: turnId(turn),
    messages,
    used: tokens(used),
    effectiveWindow: tokens(1_000),
    model: 'claude-sonnet-4-6',
    thresholds,
  }),
  requested: (covering: CheckpointRef | null): ConversationEvent => ({
    type: 'compaction.requested',
    at: at(),
    coveringCheckpoint: covering,
  }),
  served: (checkpoint = CHECKPOINT): ConversationEvent => ({ type: 'compaction.served', at: at(), checkpoint }),
  forwarded: (): ConversationEvent => ({ type: 'compaction.forwarded', at: at(), reason: 'no_checkpoint' }),
  completedByApi: (): ConversationEvent => ({ type: 'compaction.completed_by_api', at: at() }),
  replaced: (confirmed: boolean): ConversationEvent => ({ type: 'history.replaced', at: at(), confirmed }),
  reset: (): ConversationEvent => ({ type: 'conversation.reset', at: at() }),
};

export class ConversationRig {
  readonly clock = new SimulatedClock();
  readonly calls: MadeCall[] = [];
  readonly actor: ConversationActor;

  constructor(recorder: TransitionRecorder, input: Partial<ConversationInput> = {}) {
    const computeCheckpoint = fromPromise<CheckpointRef, CheckpointCallInput>(
      ({ input: given, signal }) =>
        new Promise((resolve, reject) => {
          this.calls.push({
            input: given,
            signal,
            complete: (checkpoint = CHECKPOINT) => (resolve(checkpoint), settle()),
            // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- anything may be thrown
            fail: (error) => (reject(error), settle()),
          });
        }),
    );
    this.actor = createActor(conversationMachine.provide({ actors: { computeCheckpoint } }), {
      clock: this.clock,
      input: { ...INPUT, ...input },
      inspect: recorder.inspect,
    });
    this.actor.start();
  }

  get snapshot() {
    return this.actor.getSnapshot();
  }

  get context() {
    return this.snapshot.context;
  }

  /** The call that was made last. */
  get call(): MadeCall {
    const call = this.calls.at(-1);
    if (call === undefined) throw new Error('no checkpoint call was made');
    return call;
  }

  /** Where the two regions are: `buffer/call`. */
  get where(): string {
    const { value } = this.snapshot;
    if (typeof value === 'string') return value;
    const { buffer, call } = value.alive;
    return `${typeof buffer === 'string' ? buffer : buffer.ready}/${call}`;
  }

  tell(...events: readonly ConversationEvent[]): this {
    for (const event of events) this.actor.send(event);
    return this;
  }
}
