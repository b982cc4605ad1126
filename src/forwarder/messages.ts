/**
 * `POST /v1/messages`: every request goes to the API as it came and is followed on the side, but for one kind. A
 * compaction that may be answered here is read whole first, and then either answered or sent on, byte for byte.
 */
import type { Phase } from '../../machines/phases.ts';
import type { ConversationId } from '../../machines/units.ts';
import type { ByteBudget } from '../byte-budget.ts';
import type { Compactions } from '../conversations/compactions.ts';
import type { Conversations, Turn } from '../conversations/conversations.ts';
import type { SeenRequest } from '../conversations/seen-request.ts';
import { unobserved, type Observe } from '../conversations/observation.ts';
import { formatResponseHead } from '../http1/head.ts';
import type { ModelWindows } from '../upstream/model-windows.ts';
import type { AnswerReader } from '../wire/answer.ts';
import { isSideRequest, readCompaction, type Compaction } from '../wire/compaction.ts';
import { headerValue, withoutHeaders, type RawHeaders } from '../wire/headers.ts';
import { readLaunchSettings } from '../wire/launch-settings.ts';
import { readMessageRequest } from '../wire/message-request.ts';
import { requestLabels, type RequestLabels } from '../wire/speaker.ts';
import { readPassingAnswer, withReadableEncodings, type PassingAnswer } from './answer-observer.ts';
import type { Afterwards } from './afterwards.ts';
import type { Exchange } from './exchange.ts';
import { relay, type RelayObserver, type RelayOptions } from './relay.ts';
import { requestHeaders } from './request-head.ts';
import { BodyCopy, decodeBody } from './body-copy.ts';

export interface MessagesOptions extends RelayOptions {
  readonly conversations: Conversations;
  readonly compactions: Compactions;
  readonly modelWindows: ModelWindows;
  readonly observe?: Observe;
  /** Room for the bodies that are kept while they are read. */
  readonly budget: ByteBudget;
  /** What an exchange meant is read here, once its bytes have left. */
  readonly afterwards: Afterwards;
}

/** What a request turned out to be. */
type Reading =
  | { readonly kind: 'turn'; readonly turn: Turn }
  | { readonly kind: 'compaction'; readonly conversation: ConversationId }
  /** Nobody's turn: auxiliary, unreadable, or not read yet. */
  | { readonly kind: 'none'; readonly conversation: ConversationId | null };

const conversationOf = (reading: Reading): ConversationId | null =>
  reading.kind === 'turn' ? reading.turn.conversation : reading.conversation;

/** What is said of a request that was not read: whose it is, going by its headers. */
const unread = ({ conversations }: MessagesOptions, labels: RequestLabels): Reading => ({
  kind: 'none',
  conversation: conversations.nearest(labels),
});

/** How a compaction served here is marked. */
const SERVED = ['x-double-buffer-served', 'checkpoint'];

const labelled = (phase: Phase, conversation: string): string[] => [
  'x-double-buffer-phase',
  phase,
  'x-double-buffer-conv-id',
  conversation,
];

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Handles one `POST /v1/messages`. */
export function handleMessages(options: MessagesOptions, exchange: Exchange): void {
  const labels = requestLabels(exchange.head.headers);
  options.afterwards.add(labels.session, () => options.observe?.({ type: 'request.received' }));
  const worthHolding = labels.class === 'compaction' || labels.class === 'unknown';
  // What may be served depends on what the answer before has told.
  if (worthHolding) options.afterwards.finish(labels.session);
  if (worthHolding && options.conversations.mayServe) hold(options, exchange, labels);
  else stream(options, exchange, labels);
}

/** The request goes on while it comes in; what it means is read when it is complete. */
function stream(options: MessagesOptions, exchange: Exchange, labels: RequestLabels): void {
  const headers = requestHeaders(exchange.head.headers);
  let reading: Reading | null = null;
  const readingSoFar = (): Reading => (reading ??= unread(options, labels));
  if (labels.class === 'auxiliary') {
    relay(options, exchange, { headers }, observe(options, labels, readingSoFar));
    return;
  }
  const copy = new BodyCopy(options.budget, exchange.framing);
  let isComplete = false;
  let isRead = false;
  const readOnce = (): void => {
    if (isRead || !isComplete || copy.overflowed) return;
    isRead = true;
    reading = read(options, exchange, labels, headers, copy, copy.take()) ?? readingSoFar();
  };
  const when = (): WhenToRead => whenToRead(options, exchange, labels);
  const readIfDue = (): void => {
    if (isRead || !isComplete || when() !== 'at once') return;
    options.afterwards.finish(labels.session);
    readOnce();
  };
  relay(
    options,
    exchange,
    { headers: withReadableEncodings(headers) },
    {
      ...observe(
        options,
        labels,
        readingSoFar,
        { read: readOnce, readIfDue, isDueAfterHead: () => when() !== 'at its end' },
        () => copy.drop(),
      ),
      payload(bytes) {
        if (!copy.add(bytes)) copy.drop();
      },
      requestEnd() {
        isComplete = true;
        // What the answer before has told is known by the time this one's begins: its labels say so.
        options.afterwards.finish(labels.session);
        readIfDue();
      },
    },
  );
}

/** Requests of this many bytes take as long to read as they were under way. */
const LARGE_BODY = 256 * 1024;

type WhenToRead = 'at once' | 'after the head' | 'at its end';

/**
 * When a request is read that goes on while it comes in. What it means is worth knowing early only where somebody may act
 * on it before its answer has ended. A large one of a known conversation is not read before its answer's first byte has
 * passed: the labels on that answer then tell the phase that was before it.
 */
function whenToRead({ conversations }: MessagesOptions, { framing }: Exchange, labels: RequestLabels): WhenToRead {
  if (labels.class !== 'turn' || labels.compacted) return 'at once';
  const conversation = conversations.nearest(labels);
  if (conversation === null) return 'at once';
  if (!conversations.hasSomethingToLose(conversation)) return 'at its end';
  return framing.kind === 'sized' && framing.bytes >= LARGE_BODY ? 'after the head' : 'at once';
}

/** The request is read whole before anything is decided. */
function hold(options: MessagesOptions, exchange: Exchange, labels: RequestLabels): void {
  const { head, out } = exchange;
  const expects = headerValue(head.headers, 'expect') !== undefined;
  // Who waits for a go-ahead would wait for ever; it is given here, and so not asked for again.
  if (expects) out.write(formatResponseHead({ status: 100, reason: 'Continue', headers: [] }));
  const headers = withoutHeaders(requestHeaders(head.headers), (name) => name === 'expect');
  const copy = new BodyCopy(options.budget, exchange.framing);
  exchange.onOver(() => copy.drop());
  /** What is sent on later: as it came where that is not the copy itself. */
  const framed: Buffer[] | null = exchange.framing.kind === 'sized' ? null : [];
  let decided = false;
  const sendOn = (reading: Reading, early: readonly Buffer[], complete: boolean): void => {
    decided = true;
    const readable = withReadableEncodings(headers);
    relay(
      options,
      exchange,
      { headers: readable, early, complete },
      observe(options, labels, () => reading),
    );
  };
  exchange.readBody({
    framed(bytes) {
      framed?.push(bytes);
      if (!copy.overflowed) return true;
      // Too large for the API: let it say so itself. Or there is no room to hold it: nothing is served then. The relay
      // goes on reading where this stops.
      if (!decided) sendOn(unread(options, labels), framed ?? [copy.take(), bytes], false);
      copy.drop();
      return false;
    },
    payload: (bytes) => void copy.add(bytes, framed === null ? 1 : 2),
    end() {
      if (copy.overflowed || decided) return;
      // The answer before may have ended while this came in.
      options.afterwards.finish(labels.session);
      const body = copy.take();
      const early = framed ?? [body];
      decide(options, exchange, labels, headers, copy, body).then(
        (reading) => {
          if (reading !== null) sendOn(reading, early, true);
        },
        (error: unknown) => {
          options.log.error('compaction.failed', { message: messageOf(error) });
          sendOn(unread(options, labels), early, true);
        },
      );
    },
  });
}

/** Decides on a request that was read whole; null when it has been answered (or nobody waits for an answer any more). */
async function decide(
  options: MessagesOptions,
  exchange: Exchange,
  labels: RequestLabels,
  headers: RawHeaders,
  copy: BodyCopy,
  body: Buffer,
): Promise<Reading | null> {
  const { compactions, conversations } = options;
  const found = see(options, exchange, labels, headers, copy, body);
  if (found === null) return unread(options, labels);
  if (found.compaction === null) return { kind: 'turn', turn: conversations.beginTurn(found.seen) };
  const gone = new AbortController();
  exchange.tell({ onGone: () => gone.abort() });
  const outcome = await compactions.decide(found.seen, found.compaction, gone.signal);
  exchange.tell(null);
  if (gone.signal.aborted) return null;
  const { conversation } = outcome;
  switch (outcome.kind) {
    case 'abandoned':
      return null;
    case 'forward':
      return { kind: 'compaction', conversation };
    case 'serve': {
      const marks = [...labelled(conversations.phase(conversation), conversation), ...SERVED];
      exchange.respond(200, 'OK', [...outcome.answer.headers, ...marks], outcome.answer.body);
      return null;
    }
  }
}

/** Reads a request that is already on its way. Null when it is of no conversation. */
function read(
  options: MessagesOptions,
  exchange: Exchange,
  labels: RequestLabels,
  headers: RawHeaders,
  copy: BodyCopy,
  body: Buffer,
): Reading | null {
  const found = see(options, exchange, labels, headers, copy, body);
  if (found === null) return null;
  if (found.compaction === null) return { kind: 'turn', turn: options.conversations.beginTurn(found.seen) };
  return { kind: 'compaction', conversation: options.compactions.noteUnheld(found.seen, found.compaction) };
}

function see(
  options: MessagesOptions,
  exchange: Exchange,
  labels: RequestLabels,
  headers: RawHeaders,
  copy: BodyCopy,
  body: Buffer,
): { readonly seen: SeenRequest; readonly compaction: Compaction | null } | null {
  const plain = decodeBody(headers, body);
  if (plain !== null && !copy.growTo(plain.length)) return null;
  const request = plain === null ? null : readMessageRequest(plain);
  if (plain === null || request === null) return null;
  // Of a continued thread the history is not in the request: nothing can be said about it, nothing computed from it.
  if (request.continuesThread || (labels.class === 'unknown' && isSideRequest(request))) return null;
  options.modelWindows.learn(request.model, headers);
  const compaction = readCompaction(request, labels.class);
  const history = compaction?.history ?? request;
  // They are taken off the headers that go on.
  const launch = readLaunchSettings(exchange.head.headers);
  return { seen: { labels, launch, request, history, path: exchange.head.target, headers, body: plain }, compaction };
}

/** How a request is read that was not when its answer begins. */
interface LaterReading {
  /** Reads it, unless that has happened; `reading` can be relied upon then. */
  readonly read: () => void;
  /** Reads it if somebody may act on it. */
  readonly readIfDue: () => void;
  /** True when it is to be read once the answer's head has left; else once the answer has ended. */
  readonly isDueAfterHead: () => boolean;
}

/**
 * Follows the answer: labels it, and tells the conversation how it ended.
 *
 * @param onOver called when nothing more will be read, however the exchange ended
 */
function observe(
  options: MessagesOptions,
  { session }: RequestLabels,
  reading: () => Reading,
  later?: LaterReading,
  onOver?: () => void,
): RelayObserver {
  const { afterwards, conversations, observe: tell = unobserved } = options;
  const afterThat = (work: () => void): void => afterwards.add(session, work);
  let passing: PassingAnswer | null = null;
  const ended = (reader: AnswerReader): void => {
    if (!reader.completed) return;
    later?.read();
    const now = reading();
    if (now.kind === 'turn') conversations.completeTurn(now.turn, reader.usage);
    else if (now.kind === 'compaction') conversations.notePassed(now.conversation);
  };
  return {
    head(status, headers) {
      // The labels tell whose turn it is.
      later?.readIfDue();
      const now = reading();
      const followed = now.kind !== 'none' || later !== undefined;
      if (status === 200 && followed) passing = readPassingAnswer(headers, ended, onOver);
      const conversation = conversationOf(now);
      afterThat(() => {
        // Without headers it is an answer of our own to a failure, which `failed` hears of.
        if (headers.length > 0) {
          if (status >= 400) options.log.warn('api.error', { conversation, status });
          tell({ type: 'api.answered', conversation, status });
        }
        if (later?.isDueAfterHead() === true) later.read();
      });
      return conversation === null
        ? labelled('IDLE', 'none')
        : labelled(conversations.phase(conversation), conversation);
    },
    later: afterThat,
    data: (chunk) => passing?.push(chunk),
    end: () => passing?.end(),
    failed: () => afterThat(() => tell({ type: 'api.failed', conversation: conversationOf(reading()) })),
    over(whole) {
      // What was to be done once the head had left may still wait, and need what is given up here.
      if (!whole) afterThat(() => onOver?.());
      else if (passing === null) onOver?.();
    },
  };
}
