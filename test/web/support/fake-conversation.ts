/** A simulated conversation for the fake proxy: the real statechart with invented events. */
import { createActor, fromPromise, type AnyTransitionDefinition, type InspectionEvent } from 'xstate';
import { readGraph, type ReadGraph } from '../../../src/dashboard/inspector/graph.ts';
import type { BufferedRecord } from '../../../src/dashboard/inspector/records.ts';
import { conversationMachine, type ConversationActor } from '../../../machines/conversation.ts';
import type { CheckpointRef, ConversationEvent } from '../../../machines/conversation-events.ts';
import { phaseOf } from '../../../machines/phases.ts';
import { checkpointId, conversationId, milliseconds, timestamp, tokens, turnId } from '../../../machines/units.ts';
import type {
  ActorView,
  CheckpointView,
  ConversationDetail,
  ConversationView,
  MessagesView,
  MessageView,
  SwapView,
} from '../../../web/contract.ts';

const FOLDERS = [
  'order-import',
  'mobile-app',
  'claude-db-proxy',
  'billing',
  'search-index',
  'docs-site',
  'infra',
  'web-shop',
];
const REQUESTS = [
  'The nightly import loses orders. Start with the reader.',
  'Make the list scroll smoothly with five hundred rows',
  'Why does the build take four minutes?',
  'Move the tax rules out of the controller and test them',
  'Find out who still calls the old endpoint',
  'Write the migration, and the way back',
  'Review the retry logic in the payment client',
  'The date picker shows Sunday first in Germany',
];
const MODELS = ['claude-sonnet-4-6', 'claude-opus-5-5', 'claude-haiku-4-5'];

const SUMMARY = `## 1. What was asked
The nightly import loses orders. The reader cuts the file at every line break **before** it looks at quotes, so a note with a line break in it becomes two broken rows.

## 2. What was found
- \`src/import/reader.ts\`: \`readRows()\` splits at \`\\n\`.
- 41 of 50,212 rows of yesterday's file were dropped; each follows a row whose note is cut off in a quoted field.
- Two callers: the nightly job, and the preview in the back office, which passes a stream.

## 3. What was decided
1. \`src/types.ts\` stays as it is: the mobile app reads it.
2. The fix works on pieces, for the preview passes a stream.
3. No function is called \`parseLines\`; lines are not records.

## 4. Where things stand
The suite is green (612 pass, 3 skipped). The failing test comes first, then the fix.

\`\`\`ts
export function* splitRecords(pieces: Iterable<string>): Generator<string> {
  let quoted = false;
  // …
}
\`\`\``;

const FAILURE = 'the API answered 529 overloaded_error: Overloaded';

type Unnumbered<R> = R extends BufferedRecord ? Omit<R, 'seq'> : never;

export interface FakeConversationOptions {
  readonly number: number;
  readonly now: () => number;
  /** The duration of a checkpoint call. */
  readonly checkpointMs: number;
  readonly failing: boolean;
  readonly passthrough: boolean;
  readonly record: (record: Unnumbered<BufferedRecord>) => void;
  readonly log: (event: string, level: 'info' | 'warn' | 'error', fields: Record<string, string | number>) => void;
}

export class FakeConversation {
  readonly id: string;
  readonly actor: ConversationActor;
  readonly #options: FakeConversationOptions;
  readonly #created: number;
  readonly #graph: ReadGraph;
  readonly #window = 180_000;
  readonly #messages: MessageView[] = [];
  #shown: MessagesView = { state: 'waiting' };
  #samples: ConversationDetail['samples'] = [];
  #marks: ConversationDetail['marks'] = [];
  #phases: ConversationDetail['phases'] = [];
  #checkpoint: CheckpointView | null = null;
  #swap: SwapView | null = null;
  #phaseSince: number;
  #callSince: number | null = null;
  #retryAt: number | null = null;
  #used: number;
  #turn = 0;
  #started = false;
  #statesBefore: string[] = [];
  #taken: AnyTransitionDefinition[] = [];

  constructor(options: FakeConversationOptions) {
    this.#options = options;
    const { number, now } = options;
    this.id = `c${(number * 7_919 + 4_099).toString(16).padStart(6, '0')}-${number}`;
    this.#created = now() - (number % 40) * 97_000 - 60_000;
    this.#phaseSince = now();
    this.#used = 20_000 + ((number * 37_000) % 100_000);
    const { checkpointMs, failing, passthrough } = options;
    const machine = conversationMachine.provide({
      actors: {
        computeCheckpoint: fromPromise(async () => {
          this.#callSince = now();
          this.#retryAt = null;
          await new Promise((resolve) => setTimeout(resolve, checkpointMs));
          this.#callSince = null;
          if (failing) {
            this.#retryAt = now() + 8_000;
            throw Object.assign(new Error(FAILURE), { failure: 'transient', retryAfterMs: 8_000 });
          }
          return this.#ref();
        }),
      },
    });
    this.#graph = readGraph(machine);
    this.actor = createActor(machine, {
      input: {
        id: conversationId(this.id),
        thresholds: { checkpoint: 0.7, swap: 0.8 },
        checkpoints: !passthrough,
        ttl: milliseconds(7_200_000),
        maxTries: 5,
        persisted: null,
        checkpointRefresh: 0.1,
      },
      inspect: (event) => this.#inspect(event),
    });
    this.actor.subscribe((snapshot) => this.#recordPhase(phaseOf(snapshot)));
    this.actor.start();
    this.#started = true;
    this.#options.record({ kind: 'started', at: now(), actor: this.actorView() });
    for (let turn = 0; turn < 2 + (number % 5); turn += 1) this.#addTurn();
  }

  /** Plays one turn, or a compaction when the context is full. */
  advance(): void {
    const now = timestamp(this.#options.now());
    const covering = this.#checkpointMatch();
    if (this.#used / this.#window >= 0.83) {
      this.#compact();
      return;
    }
    this.#send({
      type: 'turn.started',
      at: now,
      messages: this.#messages.length + 1,
      coveringCheckpoint: covering,
      continuesCallHistory: true,
    });
    this.#addTurn();
    this.#used += 2_500 + ((this.#turn * 1_733 + this.#options.number * 331) % 9_000);
    this.#turn += 1;
    this.#send({
      type: 'turn.completed',
      at: now,
      turn: turnId(this.#turn),
      thresholds: { checkpoint: 0.7, swap: 0.8 },
      messages: this.#messages.length,
      used: tokens(this.#used),
      effectiveWindow: tokens(this.#window),
      model: this.#model(),
    });
    this.#samples = [...this.#samples, { at: now, used: this.#used, effectiveWindow: this.#window }].slice(-500);
  }

  reset(): void {
    this.#checkpoint = null;
    this.#mark('reset');
    this.#send({
      type: 'turn.started',
      at: timestamp(this.#options.now()),
      messages: this.#messages.length,
      coveringCheckpoint: null,
      continuesCallHistory: false,
    });
  }

  view(): ConversationView {
    const { context } = this.actor.getSnapshot();
    const { number } = this.#options;
    const call = this.actor.getSnapshot().value as { alive: { call: string } };
    const known = context.effectiveWindow > 0;
    return {
      id: this.id,
      name: {
        text: FOLDERS[number % FOLDERS.length] ?? 'project',
        from: 'folder',
        folder: `/home/ada/work/${FOLDERS[number % FOLDERS.length] ?? 'project'}`,
        words: REQUESTS[(number * 3) % REQUESTS.length] ?? null,
      },
      kind: number % 5 === 4 ? 'subagent' : 'main',
      parent: null,
      model: context.model,
      phase: phaseOf(this.actor.getSnapshot()),
      phaseSince: this.#phaseSince,
      call: {
        state:
          (
            { running: 'running', waitingToRetry: 'waiting', givenUp: 'given_up' } as Record<
              string,
              ConversationView['call']['state']
            >
          )[call.alive.call] ?? 'idle',
        tries: context.tries,
        maxTries: context.maxTries,
        startedAt: this.#callSince,
        retryAt: call.alive.call === 'waitingToRetry' ? this.#retryAt : null,
        failure: context.failure === null ? null : { kind: 'transient', message: context.failure.message },
      },
      used: context.used,
      effectiveWindow: context.effectiveWindow,
      marks: known ? { checkpoint: 126_000, swap: 144_000, client: number % 3 === 0 ? 167_000 : 144_000 } : null,
      messages: this.#messages.length,
      covered: this.#checkpoint?.covered ?? null,
      created: this.#created,
      lastActivity: context.lastActivity ?? this.#created,
      counters: context.counters,
    };
  }

  detail(): ConversationDetail {
    return {
      id: this.id,
      phases: this.#phases,
      samples: this.#samples,
      marks: this.#marks,
      messages: this.#shown,
      checkpoint: this.#checkpoint,
      lastSwap: this.#swap,
    };
  }

  actorView(): ActorView {
    return {
      session: this.actor.sessionId,
      id: `conversation:${this.id}`,
      parent: 'root',
      machine: 'conversation',
      kind: 'machine',
      status: 'active',
      states: this.#states(),
    };
  }

  stop(): void {
    this.actor.stop();
  }

  #states(): string[] {
    return this.actor
      .getSnapshot()
      ._nodes.toSorted((a, b) => a.order - b.order)
      .map(({ id }) => id);
  }

  #send(event: ConversationEvent): void {
    this.actor.send(event);
  }

  #inspect(event: InspectionEvent): void {
    if (event.actorRef !== (this.actor as unknown)) return;
    if (event.type === '@xstate.microstep') this.#taken.push(...event._transitions);
    if (event.type === '@xstate.event') this.#statesBefore = this.#started ? this.#states() : [];
    if (event.type !== '@xstate.snapshot') return;
    const taken = this.#taken;
    this.#taken = [];
    const { type } = event.event;
    this.#options.record({
      kind: 'event',
      at: this.#options.now(),
      sender: type.startsWith('xstate.') ? this.actor.sessionId : null,
      receiver: this.actor.sessionId,
      type,
      before: this.#statesBefore,
      after: this.#states(),
      edges: taken.flatMap((transition) => [...this.#graph.edgesOf(transition)]),
      event: event.event,
      snapshot: event.snapshot,
    });
  }

  #recordPhase(phase: ConversationView['phase']): void {
    const now = this.#options.now();
    const last = this.#phases.at(-1);
    if (last?.phase === phase) return;
    this.#phases = [...this.#phases, { at: now, phase }].slice(-200);
    this.#phaseSince = now;
    if (last !== undefined) this.#options.log('phase.changed', 'info', { from: last.phase, to: phase });
    if (phase === 'IDLE' && this.actor.getSnapshot().context.failure !== null) {
      this.#mark('failed');
      this.#options.log('checkpoint.failed', 'warn', { message: FAILURE, retry_after_ms: 8_000 });
    }
  }

  #mark(kind: ConversationDetail['marks'][number]['kind']): void {
    this.#marks = [...this.#marks, { at: this.#options.now(), kind, used: this.#used }].slice(-200);
  }

  #ref(): CheckpointRef {
    const now = this.#options.now();
    this.#checkpoint = {
      id: `k${this.#turn}-${this.id}`,
      created: now,
      model: this.#model(),
      summary: SUMMARY,
      covered: this.#messages.length,
      durationMs: this.#options.checkpointMs,
      tokens: { input: 1_420, cacheCreation: 900, cacheRead: this.#used, output: 4_810 },
      computedFor: null,
    };
    this.#mark('checkpoint');
    this.#options.log('checkpoint.completed', 'info', {
      duration_ms: this.#options.checkpointMs,
      output_tokens: 4_810,
    });
    return {
      id: checkpointId(this.#checkpoint.id),
      anchorMessages: this.#messages.length,
      anchorTokens: tokens(this.#used),
    };
  }

  #checkpointMatch(): CheckpointRef | null {
    if (this.#checkpoint === null) return null;
    const { id, covered } = this.#checkpoint;
    return { id: checkpointId(id), anchorMessages: covered, anchorTokens: tokens(this.#used) };
  }

  #model(): string {
    return MODELS[this.#options.number % MODELS.length] ?? 'claude-sonnet-4-6';
  }

  #compact(): void {
    const now = timestamp(this.#options.now());
    const checkpoint = this.#checkpointMatch();
    this.#send({ type: 'compaction.requested', at: now, coveringCheckpoint: checkpoint });
    if (checkpoint === null) {
      this.#mark('compaction');
      this.#options.log('compaction.forwarded', 'warn', { reason: 'no_checkpoint' });
      this.#send({ type: 'compaction.forwarded', at: now, reason: 'no_checkpoint' });
      this.#send({ type: 'compaction.completed_by_api', at: now });
    } else {
      this.#mark('swap');
      this.#options.log('compaction.served', 'info', { waited_ms: 21, saved_ms: 34_200 });
      this.#swap = {
        at: now,
        checkpoint: checkpoint.id,
        messagesBefore: this.#messages.length,
        usedBefore: this.#used,
        summaryChars: SUMMARY.length,
        recentMessages: this.#messages.length - checkpoint.anchorMessages,
        recentChars: 12_400,
        usedAfter: null,
        taken: null,
        waitedMs: 21,
        savedMs: 34_200,
      };
      this.#send({ type: 'compaction.served', at: now, checkpoint });
    }
    this.#checkpoint = null;
    this.#used = 26_000;
    this.#messages.splice(0, this.#messages.length - 1);
    this.#renumber();
    this.#send({ type: 'history.replaced', at: now, confirmed: checkpoint !== null });
    this.#mark('replaced');
    if (this.#swap !== null) this.#swap = { ...this.#swap, usedAfter: 26_000, taken: true };
  }

  #renumber(): void {
    this.#messages.forEach((message, index) => (this.#messages[index] = { ...message, index }));
    this.#updateMessages();
  }

  /** Replaces the shown messages, since an unchanged field of a detail stays the same object, as in `ConversationViews`. */
  #updateMessages(): void {
    const messages = [...this.#messages];
    this.#shown = { state: 'shown', at: this.#options.now(), total: messages.length, messages };
  }

  #addTurn(): void {
    const at = this.#messages.length;
    const asked = REQUESTS[(this.#options.number * 3 + at) % REQUESTS.length] ?? '';
    const block = { chars: 0, name: null, failed: false } as const;
    const read = `${'1  import { createReadStream } from "node:fs";\n2  export function readRows(text: string) {\n'.repeat(12)}…`;
    this.#messages.push(
      { index: at, role: 'user', blocks: [{ ...block, type: 'text', text: asked, chars: asked.length }] },
      {
        index: at + 1,
        role: 'assistant',
        blocks: [{ ...block, type: 'tool_use', name: 'Read', text: '{"file_path":"src/import/reader.ts"}', chars: 36 }],
      },
      {
        index: at + 2,
        role: 'user',
        blocks: [{ ...block, type: 'tool_result', name: 'Read', text: read, chars: 18_230 }],
      },
      {
        index: at + 3,
        role: 'assistant',
        blocks: [
          {
            ...block,
            type: 'text',
            text: 'The reader cuts the file at every line break before it looks at quotes. A note with a line break in it becomes two broken rows.',
            chars: 130,
          },
        ],
      },
    );
    this.#updateMessages();
  }
}
