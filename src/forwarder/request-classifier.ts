/** What a message request turns out to be, and when that is read. Used by messages.ts and exchange-observer.ts. */
import type { Phase } from '../../machines/phases.ts';
import type { ConversationId } from '../../machines/units.ts';
import type { ByteBudget } from '../net/byte-budget.ts';
import type { Compactions } from '../compaction/compactions.ts';
import type { Conversations, Turn } from '../conversations/conversations.ts';
import type { PublishFact } from '../facts.ts';
import type { ParsedRequest } from '../conversations/parsed-request.ts';
import type { ModelWindows } from '../upstream/model-windows.ts';
import { isSideRequest, readCompaction, type Compaction } from '../wire/compaction.ts';
import type { RawHeaders } from '../wire/headers.ts';
import { readLaunchSettings } from '../wire/launch-settings.ts';
import { readMessageRequest } from '../wire/message-request.ts';
import type { ClientHeaders } from '../wire/identity.ts';
import type { DeferredWork } from './deferred-work.ts';
import { decodeBody, type BodyCopy } from './body-copy.ts';
import type { Exchange } from './exchange.ts';
import type { RelayOptions } from './relay.ts';

export interface MessagesOptions extends RelayOptions {
  readonly conversations: Conversations;
  readonly compactions: Compactions;
  readonly modelWindows: ModelWindows;
  readonly observe?: PublishFact;
  /** Room for the bodies that are kept while they are read. */
  readonly budget: ByteBudget;
  /** What an exchange meant is read here, once its bytes have left. */
  readonly afterwards: DeferredWork;
}

/** A request that has come in whole. */
export interface WholeRequest {
  readonly exchange: Exchange;
  readonly labels: ClientHeaders;
  /** As requestHeaders (request-head.ts) gives them. */
  readonly headers: RawHeaders;
  /** Where room is accounted for the body. */
  readonly copy: BodyCopy;
  readonly body: Buffer;
}

/** What a request turned out to be. */
export type RequestClassification =
  | { readonly kind: 'turn'; readonly turn: Turn }
  | { readonly kind: 'compaction'; readonly conversation: ConversationId }
  /** Nobody's turn: auxiliary, unreadable, or not read yet. */
  | { readonly kind: 'none'; readonly conversation: ConversationId | null };

export const conversationOf = (reading: RequestClassification): ConversationId | null =>
  reading.kind === 'turn' ? reading.turn.conversation : reading.conversation;

/** What is said of a request that was not read: whose it is, going by its headers. */
export const classifyByHeaders = (
  { conversations }: MessagesOptions,
  labels: ClientHeaders,
): RequestClassification => ({
  kind: 'none',
  conversation: conversations.latestConversationOf(labels),
});

/** The headers that tell whose an answer is, and how it stands with that conversation. */
export const phaseHeaders = (phase: Phase, conversation: string): string[] => [
  'x-double-buffer-phase',
  phase,
  'x-double-buffer-conv-id',
  conversation,
];

/** Requests of this many bytes take as long to read as they were under way. */
const LARGE_BODY = 256 * 1024;

export type WhenToRead = 'at once' | 'after the head' | 'at its end';

/**
 * When a request is read that goes on while it comes in. What it means is worth knowing early only where somebody may act
 * on it before its answer has ended. A large one of a known conversation is not read before its answer's first byte has
 * passed: the labels on that answer then tell the phase that was before it.
 *
 * @param conversation what the request's headers say, see {@link classifyByHeaders}
 */
export function parseTiming(
  { conversations }: MessagesOptions,
  { framing }: Exchange,
  labels: ClientHeaders,
  conversation: ConversationId | null,
): WhenToRead {
  if (labels.class !== 'turn' || labels.compacted || conversation === null) return 'at once';
  if (!conversations.hasCheckpointAtStake(conversation)) return 'at its end';
  return framing.kind === 'sized' && framing.bytes >= LARGE_BODY ? 'after the head' : 'at once';
}

/**
 * Reads a request that is already on its way. Null when it is of no conversation.
 *
 * @param answered its answer has ended already
 */
export function classifyStreamed(
  options: MessagesOptions,
  request: WholeRequest,
  answered: boolean,
): RequestClassification | null {
  const found = parseRequest(options, request);
  if (found === null) return null;
  const { compaction, seen } = found;
  if (compaction === null) return { kind: 'turn', turn: options.conversations.beginTurn(seen, answered) };
  return { kind: 'compaction', conversation: options.compactions.recordStreamedThrough(seen, compaction) };
}

/** What a request says, and the compaction that it asks for; null when it is of no conversation. */
export function parseRequest(
  options: MessagesOptions,
  { body, copy, exchange, headers, labels }: WholeRequest,
): { readonly seen: ParsedRequest; readonly compaction: Compaction | null } | null {
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
