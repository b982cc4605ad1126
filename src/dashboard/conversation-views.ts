/**
 * What people see of each conversation beside its machine's state: built from facts, queried by the dashboard's pages
 * (push/) and routes (admin/conversation-routes.ts). It is small and holds no content except names.
 *
 * Messages are not stored. While a page watches a conversation, the messages of its newest request are read for that page.
 */
import type { ConversationSnapshot } from '../../machines/conversation.ts';
import { phaseOf } from '../../machines/phases.ts';
import type { CheckpointId, ConversationId } from '../../machines/units.ts';
import type {
  CheckpointView,
  ConversationDetail,
  ConversationName,
  ConversationView,
  MessagesView,
  Phase,
  PhaseChange,
  SeriesMark,
  SwapView,
} from '../../web/contract.ts';
import type { Checkpoint } from '../checkpoint/index.ts';
import type { ParsedRequest } from '../conversations/parsed-request.ts';
import type { ConversationFact } from '../facts.ts';
import { readTitle } from '../wire/title.ts';
import { readMessagesView } from './messages-view.ts';
import { RingBuffer, DownsampledSeries } from './series.ts';
import { callState, checkpointView, conversationName, conversationView } from './view.ts';

const PHASES_KEPT = 200;
const MARKS_KEPT = 200;
const SAMPLES_KEPT = 500;

const WAITING: MessagesView = { state: 'waiting' };

export interface ConversationViewsOptions {
  readonly now: () => number;
  /** The checkpoint of that name, where it is still kept. */
  readonly checkpoint: (id: CheckpointId) => Checkpoint | null;
  /** Called whenever there is something else to see of a conversation, its end included. */
  readonly onChange: (conversation: ConversationId) => void;
}

/** What is recorded of one conversation. */
class Entry {
  readonly id: ConversationId;
  readonly created: number;
  readonly kind: 'main' | 'subagent';
  readonly phases = new RingBuffer<PhaseChange>(PHASES_KEPT);
  readonly marks = new RingBuffer<SeriesMark>(MARKS_KEPT);
  readonly samples = new DownsampledSeries(SAMPLES_KEPT);
  name: ConversationName;
  named = false;
  parent: ConversationId | null = null;
  snapshot: ConversationSnapshot | null = null;
  phase: Phase = 'IDLE';
  phaseSince: number;
  callSince: number | null = null;
  retryAt: number | null = null;
  lastSwap: SwapView | null = null;
  /** A history was replaced, and no answer has told yet how much of the window the new one takes. */
  justReplaced = false;
  messages: MessagesView = WAITING;
  checkpoint: CheckpointView | null = null;
  /** Number of the request whose messages are read, so that an older one that takes longer does not replace it. */
  reading = 0;

  constructor(id: ConversationId, kind: 'main' | 'subagent', now: number) {
    this.id = id;
    this.kind = kind;
    this.created = now;
    this.phaseSince = now;
    this.name = conversationName(id, { folder: null, words: null });
  }

  get used(): number {
    return this.snapshot?.context.used ?? 0;
  }
}

export class ConversationViews {
  readonly #options: ConversationViewsOptions;
  readonly #entries = new Map<ConversationId, Entry>();
  /** Conversations that pages have open, and how many. */
  readonly #watched = new Map<ConversationId, number>();

  constructor(options: ConversationViewsOptions) {
    this.#options = options;
  }

  get ids(): readonly ConversationId[] {
    return [...this.#entries.keys()];
  }

  /** A conversation under a name that somebody else has made up; null for none. */
  find(name: string): ConversationId | null {
    return this.#entries.get(name as ConversationId)?.id ?? null;
  }

  view(id: ConversationId): ConversationView | null {
    const entry = this.#entries.get(id);
    return entry?.snapshot == null ? null : conversationView(entry.snapshot, entry);
  }

  /** All conversations, most recently active first. */
  all(): readonly ConversationView[] {
    return this.ids.flatMap((id) => this.view(id) ?? []).sort((a, b) => b.lastActivity - a.lastActivity);
  }

  /** The phase of each conversation. */
  *phases(): Generator<Phase> {
    for (const { phase } of this.#entries.values()) yield phase;
  }

  /** Every field is the same object as long as it has not changed. */
  detail(id: ConversationId): ConversationDetail | null {
    const entry = this.#entries.get(id);
    if (entry === undefined) return null;
    return {
      id,
      phases: entry.phases.values,
      samples: entry.samples.values,
      marks: entry.marks.values,
      messages: entry.messages,
      checkpoint: this.#checkpoint(entry),
      lastSwap: entry.lastSwap,
    };
  }

  /** Reads messages of a conversation from its next request on, until the returned function is called. */
  watch(id: ConversationId): () => void {
    this.#watched.set(id, (this.#watched.get(id) ?? 0) + 1);
    let watching = true;
    return () => {
      if (!watching) return;
      watching = false;
      const others = (this.#watched.get(id) ?? 1) - 1;
      if (others > 0) this.#watched.set(id, others);
      else {
        this.#watched.delete(id);
        const entry = this.#entries.get(id);
        if (entry === undefined) return;
        entry.reading += 1;
        entry.messages = WAITING;
      }
    };
  }

  onFact(fact: ConversationFact): void {
    switch (fact.type) {
      case 'conversation.opened': {
        const { conversation, identity } = fact;
        const kind = identity.agent === null ? 'main' : 'subagent';
        this.#entries.set(conversation, new Entry(conversation, kind, this.#options.now()));
        return;
      }
      case 'conversation.closed':
      case 'conversation.failed':
        this.#entries.delete(fact.conversation);
        this.#options.onChange(fact.conversation);
        return;
      case 'conversation.changed':
        this.#update(fact, (entry) => this.#follow(entry, fact.snapshot));
        return;
      case 'conversation.reset':
        this.#update(fact, (entry) => this.#mark(entry, 'reset'));
        return;
      case 'history.received':
        this.#update(fact, (entry) => {
          entry.parent = fact.parent;
          this.#read(entry, fact.parsed);
        });
        return;
      case 'history.replaced':
        this.#update(fact, (entry) => {
          this.#mark(entry, 'replaced');
          this.#noteTaken(entry, fact.confirmed);
          entry.justReplaced = true;
        });
        return;
      case 'checkpoint.completed':
        this.#update(fact, (entry) => this.#mark(entry, 'checkpoint'));
        return;
      case 'checkpoint.failed':
        this.#update(fact, (entry) => this.#mark(entry, 'failed'));
        return;
      case 'checkpoint.postponed':
        this.#update(fact, (entry) => {
          entry.retryAt = this.#options.now() + fact.pause;
        });
        return;
      case 'compaction.forwarded':
        this.#update(fact, (entry) => this.#mark(entry, 'compaction'));
        return;
      case 'compaction.served':
        this.#update(fact, (entry) => {
          this.#mark(entry, 'swap');
          entry.lastSwap = {
            at: this.#options.now(),
            checkpoint: fact.checkpoint.id,
            messagesBefore: fact.messages,
            usedBefore: entry.used,
            summaryChars: fact.checkpoint.summary.length,
            recentMessages: fact.recentMessages,
            recentChars: fact.recentChars,
            usedAfter: null,
            taken: null,
            waitedMs: Math.round(fact.waited),
            savedMs: Math.round(fact.saved),
          };
        });
        return;
      case 'conversation.restored':
      case 'phase.changed':
      case 'usage.estimated':
      case 'history.read_failed':
      case 'checkpoint.started':
      case 'checkpoint.aborted':
      case 'checkpoint.skipped':
      case 'checkpoint.not_buffered':
      case 'checkpoint.deleted':
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

  #update({ conversation }: { readonly conversation: ConversationId }, change: (entry: Entry) => void): void {
    const entry = this.#entries.get(conversation);
    if (entry === undefined) return;
    change(entry);
    this.#options.onChange(conversation);
  }

  #mark(entry: Entry, kind: SeriesMark['kind']): void {
    entry.marks.push({ at: this.#options.now(), kind, used: entry.used });
  }

  #noteTaken(entry: Entry, taken: boolean): void {
    if (entry.lastSwap?.taken === null) entry.lastSwap = { ...entry.lastSwap, taken };
  }

  #follow(entry: Entry, snapshot: ConversationSnapshot): void {
    const before = entry.snapshot;
    const now = this.#options.now();
    entry.snapshot = snapshot;
    const { context } = snapshot;
    const phase = phaseOf(snapshot);
    if (before === null || phase !== entry.phase) {
      entry.phase = phase;
      entry.phaseSince = now;
      entry.phases.push({ at: now, phase });
    }
    if (callState(snapshot) === 'running') {
      const goesOn = before !== null && callState(before) === 'running';
      if (!goesOn || before.context.tries !== context.tries) entry.callSince = now;
    }
    if (context.turn !== null && context.turn !== before?.context.turn) this.#sample(entry, now);
    // The old history goes on after a summary was served: the client did not take it.
    if (entry.lastSwap?.taken !== null || before === null) return;
    if (before.matches({ alive: { buffer: 'served' } }) && snapshot.matches({ alive: { buffer: 'ready' } })) {
      this.#noteTaken(entry, false);
    }
  }

  #sample(entry: Entry, at: number): void {
    const { used = 0, effectiveWindow = 0 } = entry.snapshot?.context ?? {};
    entry.samples.push({ at, used, effectiveWindow });
    if (!entry.justReplaced) return;
    entry.justReplaced = false;
    if (entry.lastSwap?.taken === true && entry.lastSwap.usedAfter === null) {
      entry.lastSwap = { ...entry.lastSwap, usedAfter: used };
    }
  }

  /** Reads what a request tells of its conversation's name, once, and for those who watch its messages. */
  #read(entry: Entry, { history, request }: ParsedRequest): void {
    if (!entry.named) {
      entry.named = true;
      entry.name = conversationName(entry.id, readTitle(request));
    }
    if (!this.#watched.has(entry.id)) return;
    entry.reading += 1;
    const reading = entry.reading;
    const at = this.#options.now();
    void readMessagesView(history).then((messages) => {
      if (entry.reading !== reading) return;
      entry.messages = { state: 'shown', at, total: history.length, messages };
      this.#options.onChange(entry.id);
    });
  }

  #checkpoint(entry: Entry): CheckpointView | null {
    const id = entry.snapshot?.context.checkpoint?.id;
    const checkpoint = id === undefined ? null : this.#options.checkpoint(id);
    if (checkpoint === null) entry.checkpoint = null;
    else if (entry.checkpoint?.id !== checkpoint.id) entry.checkpoint = checkpointView(checkpoint, entry.id);
    return entry.checkpoint;
  }
}
