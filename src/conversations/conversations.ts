/**
 * The conversations of all clients: finds the one that a request belongs to, restores what an earlier process has saved
 * of it, and releases what is kept for it when it ends. Its turns are handled in turns.ts, its compactions in
 * src/compaction.
 */
import type { ConversationSnapshot } from '../../machines/conversation.ts';
import type { ConversationId, Timestamp } from '../../machines/units.ts';
import type { CheckpointCalls } from '../checkpoint/calls.ts';
import type { CheckpointIndex } from '../checkpoint/index.ts';
import { ServedSummaryTracker } from '../compaction/served-summary-tracker.ts';
import type { Config } from '../config/config.ts';
import type { ConversationFact, Facts } from '../facts.ts';
import type { ClientIdentity } from '../wire/identity.ts';
import { rootOf } from '../wire/lineage.ts';
import { ConversationActors, type ActorHost } from './actors.ts';
import type { ConversationDirectory, Located } from './directory.ts';
import { LineageReader } from './lineage-reader.ts';
import { identityOf, type ParsedRequest } from './parsed-request.ts';
import { ConversationPersistence } from './persistence.ts';
import type { StateRepository } from './repository.ts';

export interface ConversationsOptions {
  readonly config: Config;
  readonly actors: ActorHost;
  readonly directory: ConversationDirectory;
  readonly index: CheckpointIndex;
  readonly calls: CheckpointCalls;
  readonly repository: StateRepository;
  readonly now: () => Timestamp;
  readonly facts: Facts;
}

/** True while a checkpoint call runs or will be retried, and so needs its request. */
export const needsRequest = (snapshot: ConversationSnapshot): boolean =>
  snapshot.matches({ alive: { call: 'running' } }) || snapshot.matches({ alive: { call: 'waitingToRetry' } });

export class Conversations {
  readonly actors: ConversationActors;
  readonly persistence: ConversationPersistence;
  readonly servedSummaries = new ServedSummaryTracker();
  readonly lineages = new LineageReader();
  readonly #options: ConversationsOptions;

  constructor(options: ConversationsOptions) {
    const { actors, config, directory, facts, index, now, repository } = options;
    const { servedSummaries } = this;
    this.#options = options;
    this.actors = new ConversationActors({ host: actors, config, publish: facts.publish });
    this.persistence = new ConversationPersistence({
      directory,
      repository,
      index,
      servedSummaries,
      ttl: config.conversationTtl,
      now,
      snapshot: (conversation) => this.actors.snapshot(conversation),
    });
    facts.subscribe((fact) => this.#onFact(fact));
  }

  /**
   * The conversation that a request is a turn of; a new one is opened when there is none.
   *
   * @param continuation true when the history begins with a summary, or the client says that it has just compacted
   */
  ofTurn(parsed: ParsedRequest, continuation: boolean): Located {
    const identity = identityOf(parsed);
    this.#restore(identity);
    const located = this.#options.directory.locate({ ...identity, root: rootOf(parsed.history), continuation });
    this.#receive(located.id, identity, parsed);
    return located;
  }

  /** The conversation that a compaction is about. */
  ofCompaction(parsed: ParsedRequest): ConversationId {
    const { directory } = this.#options;
    const identity = identityOf(parsed);
    this.#restore(identity);
    const query = { ...identity, root: rootOf(parsed.history), continuation: false };
    const conversation = directory.locateCompaction(query) ?? directory.locate(query).id;
    this.#receive(conversation, identity, parsed);
    return conversation;
  }

  /** The conversation under which a request is shown that is neither a turn nor a compaction; null for none. */
  latestConversationOf(identity: ClientIdentity): ConversationId | null {
    const { directory } = this.#options;
    const known = directory.latestOf(identity);
    if (known !== null) return known;
    this.#restore(identity);
    return directory.latestOf(identity);
  }

  /**
   * Deletes a conversation's checkpoint and all others that were computed for it, aborts its running call, and forgets
   * its attempts and failure. Its token count is kept. Returns false when there is no such conversation.
   */
  reset(conversation: ConversationId): boolean {
    const { calls, facts, index, now } = this.#options;
    const snapshot = this.actors.snapshot(conversation);
    if (snapshot === undefined) return false;
    const servable = snapshot.context.checkpoint?.id;
    this.actors.send(conversation, { type: 'conversation.reset', at: now() });
    calls.release(conversation);
    for (const checkpoint of index.checkpoints) {
      if (checkpoint.id === servable || checkpoint.conversation === conversation) index.delete(checkpoint.id);
    }
    facts.publish({ type: 'conversation.reset', conversation });
    return true;
  }

  /** Opens the saved conversations of a client at its first request. */
  #restore(identity: ClientIdentity): void {
    for (const { conversation, state } of this.persistence.restore(identity)) {
      this.actors.open(conversation, identity, state);
      const phase = this.actors.phase(conversation);
      this.#options.facts.publish({ type: 'conversation.restored', conversation, phase });
    }
  }

  #receive(conversation: ConversationId, { agent, session }: ClientIdentity, parsed: ParsedRequest): void {
    this.actors.open(conversation, { session, agent });
    const parent =
      session === null || agent === null
        ? null
        : (this.latestConversationOf({ session, agent: parsed.labels.parentAgent }) ??
          this.latestConversationOf({ session, agent: null }));
    this.#options.facts.publish({ type: 'history.received', conversation, parent, parsed });
  }

  #onFact(fact: ConversationFact): void {
    switch (fact.type) {
      case 'conversation.changed':
        if (!needsRequest(fact.snapshot)) this.#options.calls.release(fact.conversation);
        this.persistence.recordChange(fact.conversation, fact.snapshot);
        return;
      case 'conversation.closed':
        this.#forget(fact.conversation, fact.expired);
        return;
      case 'conversation.failed':
        this.#forget(fact.conversation, true);
        return;
      case 'conversation.opened':
      case 'conversation.restored':
      case 'conversation.reset':
      case 'phase.changed':
      case 'usage.estimated':
      case 'history.received':
      case 'history.read_failed':
      case 'history.replaced':
      case 'checkpoint.started':
      case 'checkpoint.completed':
      case 'checkpoint.failed':
      case 'checkpoint.aborted':
      case 'checkpoint.skipped':
      case 'checkpoint.not_buffered':
      case 'checkpoint.postponed':
      case 'checkpoint.deleted':
      case 'compaction.served':
      case 'compaction.forwarded':
      case 'compaction.resolved':
      case 'compaction.measured':
      case 'compaction.loop':
      case 'compaction.loop_ended':
      case 'request.received':
      case 'api.answered':
      case 'api.failed':
        return;
    }
  }

  /** Releases what is kept for a conversation that has ended. `forGood`: deletes what is saved of it as well. */
  #forget(conversation: ConversationId, forGood: boolean): void {
    this.servedSummaries.forget(conversation);
    this.#options.calls.forget(conversation);
    this.lineages.forget(conversation);
    this.persistence.forget(conversation, forGood);
    this.#options.directory.forget(conversation);
  }
}
