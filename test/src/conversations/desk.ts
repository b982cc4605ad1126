/**
 * The conversations with their real machines, as the forwarder meets them, over an API that answers when a test says so.
 * Time stands still unless a test lets it pass; nothing here opens a socket.
 */
import { createActor, fromCallback, fromPromise, SimulatedClock } from 'xstate';
import { conversationMachine, type ConversationActor } from '../../../machines/conversation.ts';
import { serviceMachine, type ServiceName } from '../../../machines/service.ts';
import { conversationChild, supervisorMachine } from '../../../machines/supervisor.ts';
import { milliseconds, timestamp, tokens, type ConversationId, type Timestamp } from '../../../machines/units.ts';
import { parseConfig, type Config, type Environment } from '../../../src/config/config.ts';
import { ByteBudget } from '../../../src/net/byte-budget.ts';
import { CheckpointGate, loggedBreakerMachine } from '../../../src/checkpoint/gate.ts';
import { CheckpointCalls } from '../../../src/checkpoint/calls.ts';
import { CheckpointIndex } from '../../../src/checkpoint/index.ts';
import { Compactions, type CompactionOutcome } from '../../../src/compaction/compactions.ts';
import { recordCompactions } from '../../../src/compaction/records.ts';
import { Conversations } from '../../../src/conversations/conversations.ts';
import { RequestWindows } from '../../../src/conversations/request-windows.ts';
import { Turns, type Turn } from '../../../src/conversations/turns.ts';
import type { ActorHost } from '../../../src/conversations/actors.ts';
import type { ParsedRequest } from '../../../src/conversations/parsed-request.ts';
import { ConversationDirectory } from '../../../src/conversations/directory.ts';
import { nullRepository, type StateRepository } from '../../../src/conversations/repository.ts';
import { createFacts, publishingRepository, type ConversationFact } from '../../../src/facts.ts';
import { logFacts } from '../../../src/fact-log.ts';
import { UpstreamUnreachableError } from '../../../src/errors.ts';
import { silentLog, type Log, type LogFields } from '../../../src/log.ts';
import type { HttpClient, HttpCallEvents, HttpRequest } from '../../../src/upstream/http-client.ts';
import { AnswerReader, NO_USAGE, type Usage } from '../../../src/wire/answer-reader.ts';
import { readCompaction, type Compaction } from '../../../src/wire/compaction.ts';
import { readLaunchSettings } from '../../../src/wire/launch-settings.ts';
import { readMessageRequest, type Message } from '../../../src/wire/message-request.ts';
import { readClientHeaders } from '../../../src/wire/identity.ts';
import { SseReader } from '../../../src/wire/sse.ts';
import { requestBody } from '../../support/histories.ts';

interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly fields: LogFields;
}

/** What the client asks with (2.1.330), as far as it matters. */
export const INSTRUCTION = `CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.

Your task is to create a detailed summary of the conversation so far, paying close attention to the user's explicit requests and your previous actions.

REMINDER: Do NOT call any tools. Respond with plain text only — an <analysis> block followed by a <summary> block.`;

/** A checkpoint call as the API sees it. */
export interface PendingCall {
  readonly request: HttpRequest;
  readonly body: string;
  /** The messages that a summary is asked of. */
  readonly messages: readonly Message[];
  /** The model that is asked. */
  readonly model: string;
  readonly aborted: boolean;
  /** Answers with a summary. Does nothing that could be seen when the call was aborted. */
  succeed(summary: string): void;
  /** Answers with an error status. */
  fail(status: number, type?: string, headers?: readonly string[]): void;
  /** The connection breaks. */
  breakOff(): void;
}

class Call implements PendingCall {
  aborted = false;
  readonly request: HttpRequest;
  readonly #events: HttpCallEvents;

  constructor(request: HttpRequest, events: HttpCallEvents) {
    this.request = request;
    this.#events = events;
  }

  get body(): string {
    const { body } = this.request;
    if (!Buffer.isBuffer(body)) throw new Error('a checkpoint call has its body at hand');
    return body.toString('utf8');
  }

  get messages(): readonly Message[] {
    const { messages } = JSON.parse(this.body) as { messages: readonly Message[] };
    return messages.slice(0, -1);
  }

  get model(): string {
    return (JSON.parse(this.body) as { model: string }).model;
  }

  succeed(summary: string): void {
    const block = { type: 'text', text: `<summary>${summary}</summary>` };
    this.#events.onHead(200, 'OK', ['content-type', 'text/event-stream']);
    this.#send({ type: 'message_start', message: { usage: { input_tokens: 500, cache_read_input_tokens: 100_000 } } });
    this.#send({ type: 'content_block_start', index: 0, content_block: block });
    this.#send({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 700 } });
    this.#send({ type: 'message_stop' });
    this.#events.onEnd([]);
  }

  fail(status: number, type = 'api_error', headers: readonly string[] = []): void {
    this.#events.onHead(status, 'x', headers);
    this.#events.onData(Buffer.from(JSON.stringify({ type: 'error', error: { type, message: type } })));
    this.#events.onEnd([]);
  }

  breakOff(): void {
    this.#events.onError(new UpstreamUnreachableError('the connection was lost'));
  }

  #send(event: { readonly type: string; readonly [field: string]: unknown }): void {
    this.#events.onData(Buffer.from(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`));
  }
}

/** What a request says of itself; what is left out is as an ordinary turn of 2.1.330 has it. */
export interface Asking {
  readonly messages: readonly Message[];
  readonly session?: string;
  readonly agent?: string | null;
  /** The class header; null for a client that sends no headers of its own. */
  readonly class?: 'main' | 'subagent' | 'compaction' | 'auxiliary' | null;
  readonly compacted?: boolean;
  readonly model?: string;
  readonly maxTokens?: number;
  readonly stream?: boolean;
  /** Headers of the launch. */
  readonly launch?: readonly string[];
}

export function seenOf(asking: Asking): { readonly seen: ParsedRequest; readonly compaction: Compaction | null } {
  const { session = 's1', agent = null, class: requestClass = 'main', compacted = false } = asking;
  const { model = 'claude-sonnet-4-6', maxTokens = 32_000, stream = true } = asking;
  const own = [
    ...['x-claude-code-session-id', session, 'x-claude-code-request-class', requestClass ?? ''],
    ...(agent === null ? [] : ['x-claude-code-agent-id', agent]),
    ...(compacted ? ['x-claude-code-context-compacted', 'auto'] : []),
  ];
  const headers = ['x-api-key', 'sk-test', ...(requestClass === null ? [] : own)];
  const metadata = { user_id: JSON.stringify({ device_id: 'd', account_uuid: '', session_id: session }) };
  const body = requestBody(asking.messages, { model, max_tokens: maxTokens, stream, metadata });
  const request = readMessageRequest(body);
  if (request === null) throw new Error('this is no message request');
  const labels = readClientHeaders(headers);
  const compaction = readCompaction(request, labels.class);
  const history = compaction?.history ?? request;
  const seen = { labels, request, history, path: '/v1/messages?beta=true', headers, body };
  return { seen: { ...seen, launch: readLaunchSettings(asking.launch ?? []) }, compaction };
}

/** A compaction of a history: the instruction as a message of its own, or as the last block of the last message. */
export function compactionOf(messages: readonly Message[], words = '', merged = false): Message[] {
  const text = words === '' ? INSTRUCTION : `${INSTRUCTION}\n\nAdditional Instructions:\n${words}`;
  const last = messages.at(-1);
  if (!merged || last?.role !== 'user') return [...messages, { role: 'user', content: text }];
  const blocks = typeof last.content === 'string' ? [{ type: 'text', text: last.content }] : last.content;
  return [...messages.slice(0, -1), { ...last, content: [...blocks, { type: 'text', text }] }];
}

export const usageOf = (used: number): Usage => ({ ...NO_USAGE, cacheRead: tokens(used - 1), output: tokens(1) });

/** Lets everything happen that can happen by itself. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The text of an answer that was served. */
export function servedText(outcome: CompactionOutcome): string {
  if (outcome.kind !== 'serve')
    throw new Error(`nothing was served: ${outcome.kind === 'forward' ? outcome.reason : outcome.kind}`);
  const reader = new AnswerReader({ keepText: true });
  const { body } = outcome.answer;
  if (body.subarray(0, 6).toString() === 'event:') new SseReader((event) => reader.takeEvent(event)).push(body);
  else reader.takeBody(body.toString());
  return reader.text;
}

/** The desk whose machines are running: `provide` is made once, because it costs more than a whole test. */
let current: Desk | null = null;

const conversation = conversationMachine.provide({
  actors: {
    computeCheckpoint: fromPromise(({ input, signal }) => {
      if (current === null) throw new Error('there is no desk');
      return current.calls.compute(input, signal);
    }),
  },
});

const supervisor = supervisorMachine.provide({
  actors: {
    conversation,
    service: serviceMachine.provide({
      actors: {
        start: fromPromise<{ port: number | null }, { name: ServiceName }>(() => Promise.resolve({ port: null })),
        watch: fromCallback(() => undefined),
        close: fromPromise(() => Promise.resolve(undefined)),
      },
    }),
  },
});

/** Who keeps the conversations' actors: the supervisor, or for thousands of quick desks nobody but a map. */
interface Keeper extends ActorHost {
  stop(): void;
}

function supervised(clock: SimulatedClock): Keeper {
  const actor = createActor(supervisor, { clock }).start();
  const get: Keeper['get'] = (id) => actor.getSnapshot().children[conversationChild(id)] as ReturnType<Keeper['get']>;
  return {
    open(input) {
      actor.send({ type: 'conversation.opened', input });
      return get(input.id);
    },
    get,
    close: (id) => actor.send({ type: 'conversation.closed', id }),
    stop: () => actor.stop(),
  };
}

function unsupervised(clock: SimulatedClock): Keeper {
  const actors = new Map<ConversationId, ConversationActor>();
  return {
    open(input) {
      const actor = createActor(conversation, { clock, input });
      actors.set(input.id, actor);
      actor.subscribe({ complete: () => actors.delete(input.id) });
      return actor.start();
    },
    get: (id) => actors.get(id),
    close: (id) => {
      actors.get(id)?.stop();
    },
    stop() {
      for (const actor of actors.values()) actor.stop();
    },
  };
}

const config = (env: Environment): Config => parseConfig({ HOME: '/nowhere', DBPROXY_COMPACTION_WAIT: '5s', ...env });
const PLAIN = config({});

export class Desk {
  readonly clock = new SimulatedClock();
  readonly log: LogLine[] = [];
  /** Calls to the API, oldest first. */
  readonly sent: PendingCall[] = [];
  /** All facts that were published, oldest first. */
  readonly published: ConversationFact[] = [];
  readonly facts = createFacts((error) => {
    throw error;
  });
  readonly index = new CheckpointIndex(publishingRepository(nullRepository, this.facts.publish));
  readonly directory = new ConversationDirectory();
  readonly budget = new ByteBudget({ limit: PLAIN.maxBufferedBytes, log: silentLog });
  readonly gate: CheckpointGate;
  readonly calls: CheckpointCalls;
  readonly conversations: Conversations;
  readonly turns: Turns;
  readonly compactions: Compactions;
  readonly #keeper: Keeper;

  constructor(
    env: Environment | null = null,
    keeper: 'supervised' | 'unsupervised' = 'supervised',
    repository: StateRepository = nullRepository,
  ) {
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- whose machines run, see `current`
    current = this;
    const settings = env === null ? PLAIN : config(env);
    const at =
      (level: string) =>
      (event: string, fields: LogFields = {}) =>
        void this.log.push({ level, event, fields });
    const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
    const now = () => this.now();
    const upstream: HttpClient = {
      origin: 'http://nowhere',
      send: (request, events) => {
        const call = new Call(request, events);
        this.sent.push(call);
        return { abort: () => void (call.aborted = true), resume: () => undefined };
      },
      close: () => Promise.resolve(),
    };
    const breaker = createActor(loggedBreakerMachine(log), { clock: this.clock }).start();
    this.gate = new CheckpointGate({ limit: settings.maxCheckpoints, now, breaker: () => breaker });
    const { budget, facts, gate } = this;
    const { publish } = facts;
    facts.subscribe((fact) => void this.published.push(fact));
    facts.subscribe(logFacts(log));
    facts.subscribe(recordCompactions(repository, now));
    this.calls = new CheckpointCalls({ upstream, gate, index: this.index, budget, now, monotonicNow: now, publish });
    this.#keeper = keeper === 'supervised' ? supervised(this.clock) : unsupervised(this.clock);
    const { index, calls, directory } = this;
    const inputs = { config: settings, index, calls, now };
    const conversations = new Conversations({ ...inputs, actors: this.#keeper, directory, repository, facts });
    const windows = new RequestWindows({ config: settings, learned: { listed: new Map(), limits: new Map() } });
    const shared = { ...inputs, conversations, windows, monotonicNow: now, publish };
    this.conversations = conversations;
    this.turns = new Turns(shared);
    this.compactions = new Compactions({ ...shared, turns: this.turns });
  }

  now(): Timestamp {
    return timestamp(this.clock.now());
  }

  /** Begins a turn. */
  begin(asking: Asking): Turn {
    const { seen, compaction } = seenOf(asking);
    if (compaction !== null) throw new Error('this is a compaction');
    return this.turns.begin(seen);
  }

  /** A whole turn, with so many tokens in use at its end. */
  async turn(asking: Asking, used: number): Promise<ConversationId> {
    const turn = this.begin(asking);
    this.turns.complete(turn, usageOf(used));
    await settle();
    return turn.conversation;
  }

  /** A compaction of `asking.messages`, which are given without the instruction. */
  compact(
    asking: Asking,
    form: { readonly words?: string; readonly merged?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<CompactionOutcome> {
    const messages = compactionOf(asking.messages, form.words, form.merged);
    const { seen, compaction } = seenOf({ class: 'compaction', ...asking, messages });
    if (compaction === null) throw new Error('this is no compaction');
    return this.compactions.decide(seen, compaction, form.signal ?? new AbortController().signal);
  }

  /** The call that is not answered yet; there is just one. */
  get pending(): PendingCall {
    const call = this.sent.at(-1);
    if (call === undefined) throw new Error('there was no call');
    return call;
  }

  async pass(ms: number): Promise<void> {
    this.clock.increment(milliseconds(ms));
    await settle();
  }

  events(name: string): LogLine[] {
    return this.log.filter(({ event }) => event === name);
  }

  stop(): void {
    this.#keeper.stop();
  }
}
