/** Classifies message requests and decides when they are parsed. Used by messages.ts and streamed-request.ts. */
import type { Phase } from '../../machines/phases.ts';
import type { ConversationId } from '../../machines/units.ts';
import type { ByteBudget } from '../net/byte-budget.ts';
import type { Compactions } from '../compaction/compactions.ts';
import type { Conversations } from '../conversations/conversations.ts';
import type { Turn, Turns } from '../conversations/turns.ts';
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
  readonly turns: Turns;
  readonly compactions: Compactions;
  readonly modelWindows: ModelWindows;
  readonly publish?: PublishFact;
  /** Limits the memory of copied bodies. */
  readonly budget: ByteBudget;
  /** Runs what follows an exchange, after its bytes have been sent. */
  readonly deferredWork: DeferredWork;
}

/** A completely received request. */
export interface CompleteRequest {
  readonly exchange: Exchange;
  readonly labels: ClientHeaders;
  /** From requestHeaders (request-head.ts). */
  readonly headers: RawHeaders;
  /** Accounts for the body's memory. */
  readonly copy: BodyCopy;
  readonly body: Buffer;
}

export type RequestClassification =
  | { readonly kind: 'turn'; readonly turn: Turn }
  | { readonly kind: 'compaction'; readonly conversation: ConversationId }
  /** No turn: auxiliary, not parseable, or not parsed yet. */
  | { readonly kind: 'none'; readonly conversation: ConversationId | null };

export const conversationOf = (classification: RequestClassification): ConversationId | null =>
  classification.kind === 'turn' ? classification.turn.conversation : classification.conversation;

/** Classifies a request that has not been parsed: the conversation follows from its headers. */
export const classifyByHeaders = (
  { conversations }: MessagesOptions,
  labels: ClientHeaders,
): RequestClassification => ({
  kind: 'none',
  conversation: conversations.latestConversationOf(labels),
});

/** The headers that label an answer with its conversation and phase. */
export const phaseHeaders = (phase: Phase, conversation: string): string[] => [
  'x-double-buffer-phase',
  phase,
  'x-double-buffer-conv-id',
  conversation,
];

/** Above this size parsing takes about as long as the transfer did (measured). */
const LARGE_BODY_BYTES = 256 * 1024;

export type ParseTiming = 'immediate' | 'after-head' | 'after-answer';

/**
 * When a streamed request is parsed:
 * - `immediate`, at its end: the conversation is not certain, or has a checkpoint at stake;
 * - `after-head`, after the answer's head: the same for a large request of a known conversation, whose answer then carries
 *   the phase from before the request;
 * - `after-answer`: the result is not needed any earlier.
 *
 * @param conversation from {@link classifyByHeaders}
 */
export function parseTiming(
  { turns }: MessagesOptions,
  { framing }: Exchange,
  labels: ClientHeaders,
  conversation: ConversationId | null,
): ParseTiming {
  if (labels.class !== 'turn' || labels.compacted || conversation === null) return 'immediate';
  if (!turns.hasCheckpointAtStake(conversation)) return 'after-answer';
  return framing.kind === 'sized' && framing.bytes >= LARGE_BODY_BYTES ? 'after-head' : 'immediate';
}

/**
 * Parses and classifies a request that has already been forwarded. Null when it belongs to no conversation.
 *
 * @param answered true when its answer has already ended
 */
export function classifyStreamed(
  options: MessagesOptions,
  request: CompleteRequest,
  answered: boolean,
): RequestClassification | null {
  const result = parseRequest(options, request);
  if (result === null) return null;
  const { compaction, parsed } = result;
  if (compaction === null) return { kind: 'turn', turn: options.turns.begin(parsed, answered) };
  return { kind: 'compaction', conversation: options.compactions.recordStreamedThrough(parsed, compaction) };
}

/** Parses a request, and the compaction that it asks for; null when it belongs to no conversation. */
export function parseRequest(
  options: MessagesOptions,
  { body, copy, exchange, headers, labels }: CompleteRequest,
): { readonly parsed: ParsedRequest; readonly compaction: Compaction | null } | null {
  const plain = decodeBody(headers, body);
  if (plain !== null && !copy.reserve(plain.length)) return null;
  const request = plain === null ? null : readMessageRequest(plain);
  if (plain === null || request === null) return null;
  // A continued thread's request does not contain its history.
  if (request.continuesThread || (labels.class === 'unknown' && isSideRequest(request))) return null;
  options.modelWindows.learn({ model: request.model, headers });
  const compaction = readCompaction(request, labels.class);
  const history = compaction?.history ?? request;
  // The forwarded headers no longer contain the launcher's.
  const launch = readLaunchSettings(exchange.head.headers);
  return { parsed: { labels, launch, request, history, path: exchange.head.target, headers, body: plain }, compaction };
}
