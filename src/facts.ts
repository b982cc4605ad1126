/**
 * What happens to conversations, for those who count and show it. Whoever observes is told and never asked: nothing here
 * waits for it, and a throw in it is contained where it is put in (proxy.ts).
 *
 * Requests are passed on as they are, bodies and headers included: what is kept of them is the observer's to answer for.
 */
import type { CallFailureKind, ForwardReason } from '../machines/conversation-events.ts';
import type { ConversationSnapshot } from '../machines/conversation.ts';
import type { CheckpointId, ConversationId, Milliseconds } from '../machines/units.ts';
import type { ClientIdentity } from './wire/identity.ts';
import type { Checkpoint, CheckpointRepository } from './checkpoint/index.ts';
import type { ParsedRequest } from './conversations/parsed-request.ts';

export type Fact =
  /** A conversation is tracked from now on: a new one, or one that an earlier process knew. */
  | { readonly type: 'conversation.opened'; readonly conversation: ConversationId; readonly speaker: ClientIdentity }
  /** Its actor has taken an event. */
  | {
      readonly type: 'conversation.changed';
      readonly conversation: ConversationId;
      readonly snapshot: ConversationSnapshot;
    }
  | { readonly type: 'conversation.closed'; readonly conversation: ConversationId }
  | { readonly type: 'conversation.reset'; readonly conversation: ConversationId }
  /** A request with its history has come, a turn or a compaction. `parent`: whose subagent it is, where that is known. */
  | {
      readonly type: 'history.seen';
      readonly conversation: ConversationId;
      readonly parent: ConversationId | null;
      readonly seen: ParsedRequest;
    }
  | { readonly type: 'history.replaced'; readonly conversation: ConversationId; readonly confirmed: boolean }
  | { readonly type: 'checkpoint.completed'; readonly checkpoint: Checkpoint }
  | { readonly type: 'checkpoint.failed'; readonly conversation: ConversationId; readonly failure: CallFailureKind }
  /** A failed call is tried again after a pause. */
  | { readonly type: 'checkpoint.postponed'; readonly conversation: ConversationId; readonly pause: Milliseconds }
  /** A checkpoint is kept no longer: nobody needed it, another took its place, or a reset. */
  | { readonly type: 'checkpoint.dropped'; readonly checkpoint: CheckpointId }
  | {
      readonly type: 'compaction.served';
      readonly conversation: ConversationId;
      readonly checkpoint: Checkpoint;
      /** Messages of the history that was replaced. */
      readonly messages: number;
      /** What follows the summary. */
      readonly recentMessages: number;
      readonly recentChars: number;
      /** How long the client waited, and how much longer it would have. */
      readonly waited: Milliseconds;
      readonly saved: Milliseconds;
    }
  | { readonly type: 'compaction.forwarded'; readonly conversation: ConversationId; readonly reason: ForwardReason }
  /** A `POST /v1/messages` has come. */
  | { readonly type: 'request.received' }
  /** The API's answer to one has begun. */
  | { readonly type: 'api.answered'; readonly conversation: ConversationId | null; readonly status: number }
  /** The API could not be reached, or its answer broke off. */
  | { readonly type: 'api.failed'; readonly conversation: ConversationId | null };

export type PublishFact = (fact: Fact) => void;

/** The stream of facts: every subscriber gets every fact, in the order of subscription. */
export interface Facts {
  readonly publish: PublishFact;
  /** Returns how to unsubscribe. */
  subscribe(subscriber: PublishFact): () => void;
}

/** @param onError called with what a subscriber threw: a throw reaches neither the publisher nor the other subscribers */
export function createFacts(onError: (error: unknown) => void): Facts {
  const subscribers = new Set<PublishFact>();
  return {
    publish(fact) {
      for (const subscriber of subscribers) {
        try {
          subscriber(fact);
        } catch (error) {
          onError(error);
        }
      }
    },
    subscribe(subscriber) {
      subscribers.add(subscriber);
      return () => subscribers.delete(subscriber);
    },
  };
}

/** For parts that run without an observer. */
export const noSubscriber: PublishFact = () => undefined;

/** A keeper of checkpoints that tells of those that are kept no longer. */
export const observedKeeper = (keeper: CheckpointRepository, observe: PublishFact): CheckpointRepository => ({
  saveCheckpoint: (checkpoint) => keeper.saveCheckpoint(checkpoint),
  touchCheckpoint: (id) => keeper.touchCheckpoint(id),
  deleteCheckpoint(id) {
    keeper.deleteCheckpoint(id);
    observe({ type: 'checkpoint.dropped', checkpoint: id });
  },
});
