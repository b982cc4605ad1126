/**
 * `POST /v1/messages`: every request goes to the API as it came and is followed on the side, but for one kind. A
 * compaction that may be answered here is read whole first, and then either answered or sent on, byte for byte.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { ConversationId } from '../../machines/units.ts';
import type { Phase } from '../../machines/phases.ts';
import type { Compactions } from '../conversations/compactions.ts';
import type { Conversations, SeenRequest, Turn } from '../conversations/conversations.ts';
import type { ModelWindows } from '../upstream/model-windows.ts';
import type { AnswerReader } from '../wire/answer.ts';
import { isSideRequest, readCompaction, type Compaction } from '../wire/compaction.ts';
import { announcesBody, type RawHeaders } from '../wire/headers.ts';
import { readMessageRequest } from '../wire/message-request.ts';
import { requestLabels, type RequestLabels } from '../wire/speaker.ts';
import { readPassingAnswer, withReadableEncodings, type PassingAnswer } from './answer-observer.ts';
import { BodyTee, decodeBody, MAX_BODY_BYTES } from './body-tee.ts';
import { relay, requestHeaders, type AnswerObserver, type Exchange, type RelayOptions } from './relay.ts';

export interface MessagesOptions extends RelayOptions {
  readonly conversations: Conversations;
  readonly compactions: Compactions;
  readonly modelWindows: ModelWindows;
}

/** What a request turned out to be. */
type Reading =
  | { readonly kind: 'turn'; readonly turn: Turn }
  | { readonly kind: 'compaction'; readonly conversation: ConversationId }
  /** Nobody's turn: auxiliary, unreadable, or not read yet. */
  | { readonly kind: 'none'; readonly conversation: ConversationId | null };

/** How a compaction served here is marked. */
const SERVED = ['x-double-buffer-served', 'checkpoint'];

const labelled = (phase: Phase, conversation: string): string[] => [
  'x-double-buffer-phase',
  phase,
  'x-double-buffer-conv-id',
  conversation,
];

/** Handles one `POST /v1/messages`. */
export function handleMessages(options: MessagesOptions, request: IncomingMessage, response: ServerResponse): void {
  const labels = requestLabels(request.rawHeaders);
  const exchange = { request, response };
  const worthHolding = labels.class === 'compaction' || labels.class === 'unknown';
  if (worthHolding && options.conversations.mayServe) hold(options, exchange, labels);
  else stream(options, exchange, labels);
}

/** The request goes on while it comes in; what it means is read when it is complete. */
function stream(options: MessagesOptions, exchange: Exchange, labels: RequestLabels): void {
  const { request } = exchange;
  const headers = requestHeaders(request.rawHeaders);
  let reading: Reading = { kind: 'none', conversation: options.conversations.nearest(labels) };
  const follow = observe(options, () => reading);
  if (labels.class === 'auxiliary' || !announcesBody(request.rawHeaders)) {
    relay(options, exchange, announcesBody(request.rawHeaders) ? request : null, headers, follow);
    return;
  }
  const tee = new BodyTee((body) => {
    reading = read(options, request, labels, headers, body) ?? reading;
  });
  request.pipe(tee);
  relay(options, exchange, tee, withReadableEncodings(headers), follow);
}

/** The request is read whole before anything is decided. */
function hold(options: MessagesOptions, exchange: Exchange, labels: RequestLabels): void {
  const { request } = exchange;
  const headers = requestHeaders(request.rawHeaders);
  const chunks: Buffer[] = [];
  let bytes = 0;
  const onData = (chunk: Buffer): void => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes <= MAX_BODY_BYTES) return;
    // Too large for the API: let it say so itself.
    request.off('data', onData);
    request.off('end', onEnd);
    request.pause();
    const none: Reading = { kind: 'none', conversation: options.conversations.nearest(labels) };
    relay(
      options,
      exchange,
      chained(chunks, request),
      headers,
      observe(options, () => none),
    );
  };
  const onEnd = (): void => {
    decide(options, exchange, labels, headers, Buffer.concat(chunks)).catch((error: unknown) => {
      options.log.error('compaction.failed', { message: error instanceof Error ? error.message : String(error) });
      sendOn(options, exchange, headers, Buffer.concat(chunks), { kind: 'none', conversation: null });
    });
  };
  request.on('data', onData);
  request.on('end', onEnd);
}

async function* follow(chunks: readonly Buffer[], rest: IncomingMessage): AsyncGenerator<Buffer> {
  yield* chunks;
  yield* rest as AsyncIterable<Buffer>;
}

const chained = (chunks: readonly Buffer[], rest: IncomingMessage): Readable => Readable.from(follow(chunks, rest));

async function decide(
  options: MessagesOptions,
  exchange: Exchange,
  labels: RequestLabels,
  headers: RawHeaders,
  body: Buffer,
): Promise<void> {
  const { compactions, conversations } = options;
  const found = see(options, exchange.request, labels, headers, body);
  if (found === null) {
    sendOn(options, exchange, headers, body, { kind: 'none', conversation: conversations.nearest(labels) });
    return;
  }
  if (found.compaction === null) {
    sendOn(options, exchange, headers, body, { kind: 'turn', turn: conversations.beginTurn(found.seen) });
    return;
  }
  const gone = new AbortController();
  const leave = (): void => gone.abort();
  exchange.response.once('close', leave);
  const outcome = await compactions.decide(found.seen, found.compaction, gone.signal);
  exchange.response.off('close', leave);
  if (exchange.response.destroyed) return;
  const { conversation } = outcome;
  switch (outcome.kind) {
    case 'forward':
      sendOn(options, exchange, headers, body, { kind: 'compaction', conversation });
      return;
    case 'serve': {
      const { answer } = outcome;
      const marks = [...labelled(conversations.phase(conversation), conversation), ...SERVED];
      const framing = ['content-length', String(answer.body.length)];
      exchange.response.writeHead(200, [...answer.headers, ...framing, ...marks]);
      exchange.response.end(answer.body);
    }
  }
}

function sendOn(
  options: MessagesOptions,
  exchange: Exchange,
  headers: RawHeaders,
  body: Buffer,
  reading: Reading,
): void {
  relay(
    options,
    exchange,
    body,
    withReadableEncodings(headers),
    observe(options, () => reading),
  );
}

/** Reads a request that is already on its way. Null when it is of no conversation. */
function read(
  options: MessagesOptions,
  request: IncomingMessage,
  labels: RequestLabels,
  headers: RawHeaders,
  body: Buffer,
): Reading | null {
  try {
    const found = see(options, request, labels, headers, body);
    if (found === null) return null;
    if (found.compaction === null) return { kind: 'turn', turn: options.conversations.beginTurn(found.seen) };
    return { kind: 'compaction', conversation: options.compactions.noteUnheld(found.seen, found.compaction) };
  } catch (error) {
    options.log.error('request.unread', { message: error instanceof Error ? error.message : String(error) });
    return null;
  }
}

function see(
  options: MessagesOptions,
  incoming: IncomingMessage,
  labels: RequestLabels,
  headers: RawHeaders,
  body: Buffer,
): { readonly seen: SeenRequest; readonly compaction: Compaction | null } | null {
  const plain = decodeBody(headers, body);
  const request = plain === null ? null : readMessageRequest(plain);
  if (plain === null || request === null) return null;
  // Of a continued thread the history is not in the request: nothing can be said about it, nothing computed from it.
  if (request.continuesThread || (labels.class === 'unknown' && isSideRequest(request))) return null;
  options.modelWindows.learn(request.model, headers);
  const compaction = readCompaction(request, labels.class);
  const history = compaction?.history ?? request;
  return { seen: { labels, request, history, path: incoming.url ?? '/v1/messages', headers, body: plain }, compaction };
}

/** Follows the answer: labels it, and tells the conversation how it ended. */
function observe(options: MessagesOptions, reading: () => Reading): AnswerObserver {
  const { conversations } = options;
  let passing: PassingAnswer | null = null;
  const ended = (reader: AnswerReader): void => {
    if (!reader.completed) return;
    const now = reading();
    if (now.kind === 'turn') conversations.completeTurn(now.turn, reader.usage);
    else if (now.kind === 'compaction') conversations.notePassed(now.conversation);
  };
  return {
    head(status, headers) {
      const now = reading();
      if (status === 200 && now.kind !== 'none') passing = readPassingAnswer(headers, ended);
      const conversation = now.kind === 'turn' ? now.turn.conversation : now.conversation;
      return conversation === null
        ? labelled('IDLE', 'none')
        : labelled(conversations.phase(conversation), conversation);
    },
    data: (chunk) => passing?.push(chunk),
    end: () => passing?.end(),
  };
}
