/**
 * The stream of facts: what happens to conversations and to requests, published once. The log line (fact-log.ts), the
 * compaction records (compaction/records.ts) and the dashboard's views, statistics and metrics subscribe to it; each
 * switches over all types of fact, so that the compiler shows what a new type needs.
 *
 * Facts hold requests as they are, bodies and headers included: each subscriber picks what it keeps.
 */
import type { CallFailureKind, ForwardReason } from '../machines/conversation-events.ts';
import type { ConversationSnapshot } from '../machines/conversation.ts';
import type { Phase } from '../machines/phases.ts';
import type { CheckpointId, ConversationId, Milliseconds, Tokens } from '../machines/units.ts';
import type { Checkpoint, CheckpointRepository } from './checkpoint/index.ts';
import type { ParsedRequest } from './conversations/parsed-request.ts';
import type { ClientIdentity } from './wire/identity.ts';

/** What happened to one conversation. */
interface Of<Type extends string> {
  readonly type: Type;
  readonly conversation: ConversationId;
}

/** A compaction request and what it was about. */
interface Compacted<Type extends string> extends Of<Type> {
  /** The model that the compaction asked. */
  readonly model: string;
  /** Tokens in use before the compaction. */
  readonly tokensBefore: Tokens;
}

export type ConversationFact =
  /** A conversation is tracked from now on: a new one, or one that an earlier process knew. */
  | (Of<'conversation.opened'> & { readonly identity: ClientIdentity })
  /** An earlier process knew the conversation; it was opened with that state. */
  | (Of<'conversation.restored'> & { readonly phase: Phase })
  /** Its actor has handled an event. */
  | (Of<'conversation.changed'> & { readonly snapshot: ConversationSnapshot })
  /** It is no longer tracked, because it was idle for too long or because the proxy stops. */
  | (Of<'conversation.closed'> & { readonly expired: boolean })
  /** Its actor failed; it is no longer tracked. */
  | (Of<'conversation.failed'> & { readonly message: string })
  | Of<'conversation.reset'>
  /** `utilisation`: share of the effective window in use. */
  | (Of<'phase.changed'> & { readonly from: Phase; readonly to: Phase; readonly utilisation: number })
  /** A request with its history has come, a turn or a compaction. `parent`: the conversation that runs this subagent. */
  | (Of<'history.received'> & { readonly parent: ConversationId | null; readonly parsed: ParsedRequest })
  /** Reading the history of a turn threw an error. */
  | (Of<'history.read_failed'> & { readonly message: string })
  /** The history was replaced by a summary; by the one served here if `confirmed`. */
  | (Of<'history.replaced'> & { readonly confirmed: boolean })
  /** The checkpoint call was sent. `replaces`: the checkpoint that the new one is to replace. */
  | (Of<'checkpoint.started'> & {
      readonly attempt: number;
      readonly model: string;
      /** Messages of the history that is summarised. */
      readonly messages: number;
      readonly replaces: CheckpointId | null;
    })
  | (Of<'checkpoint.completed'> & { readonly checkpoint: Checkpoint })
  | (Of<'checkpoint.failed'> & {
      readonly attempt: number;
      readonly failure: CallFailureKind;
      readonly message: string;
    })
  | (Of<'checkpoint.aborted'> & { readonly attempt: number })
  /** A checkpoint call that was wanted was not made. */
  | (Of<'checkpoint.skipped'> & { readonly attempt: number; readonly reason: string })
  /** There was no memory to keep a request of so many bytes for the next call. */
  | (Of<'checkpoint.not_buffered'> & { readonly bytes: number })
  /** A failed call is tried again after a pause. */
  | (Of<'checkpoint.postponed'> & { readonly pause: Milliseconds })
  /** A checkpoint was deleted: it expired, was replaced, or its conversation was reset. */
  | { readonly type: 'checkpoint.deleted'; readonly checkpoint: CheckpointId }
  | (Compacted<'compaction.served'> & {
      readonly checkpoint: Checkpoint;
      /** Messages of the history that was replaced. */
      readonly messages: number;
      /** Messages that follow the summary, and their length as text. */
      readonly recentMessages: number;
      readonly recentChars: number;
      /** How long the client waited, and how much longer the API would have taken. */
      readonly waited: Milliseconds;
      readonly saved: Milliseconds;
    })
  | (Compacted<'compaction.forwarded'> & { readonly reason: ForwardReason })
  /** A request after a served compaction shows whether the client uses the summary. */
  | (Of<'compaction.resolved'> & { readonly confirmed: boolean })
  /** The API reported no usage of a turn; so many tokens in use are an estimate from its request's size. */
  | (Of<'usage.estimated'> & { readonly used: Tokens })
  /** The first turn of a new history has ended with so many tokens in use. */
  | (Of<'compaction.measured'> & { readonly tokensAfter: Tokens })
  /** A conversation that was compacted is over the threshold again at once; its compactions go to the API for now. */
  | (Of<'compaction.loop'> & { readonly utilisation: number })
  | (Of<'compaction.loop_ended'> & { readonly utilisation: number })
  /** A `POST /v1/messages` has come. */
  | { readonly type: 'request.received' }
  /** The API's answer to one has begun. */
  | { readonly type: 'api.answered'; readonly conversation: ConversationId | null; readonly status: number }
  /** The API could not be reached, or its answer broke off. */
  | { readonly type: 'api.failed'; readonly conversation: ConversationId | null };

export type PublishFact = (fact: ConversationFact) => void;

/** The stream of facts: every subscriber gets every fact, in the order of subscription. */
export interface Facts {
  readonly publish: PublishFact;
  /** Returns a function that ends the subscription. */
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

/** For parts that run without subscribers. */
export const noSubscriber: PublishFact = () => undefined;

/** A repository of checkpoints that publishes each deletion. */
export const publishingRepository = (repository: CheckpointRepository, publish: PublishFact): CheckpointRepository => ({
  saveCheckpoint: (checkpoint) => repository.saveCheckpoint(checkpoint),
  touchCheckpoint: (id) => repository.touchCheckpoint(id),
  deleteCheckpoint(id) {
    repository.deleteCheckpoint(id);
    publish({ type: 'checkpoint.deleted', checkpoint: id });
  },
});
