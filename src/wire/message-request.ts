/**
 * A `POST /v1/messages` body, parsed only where needed: the outline by brackets and quotes, single messages on demand.
 * Accepts whatever the API would accept, with unknown fields and blocks.
 */
import { isObject } from './json.ts';
import { parseSpan, readTopLevel, type Span } from './json-spans.ts';

/** A content block: an object with a `type`; everything else depends on it. */
export interface Block {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** One message. `role` is `user`, `assistant`, or (5.5 models, observed on 2.1.330) `system`. */
export interface Message {
  readonly role: string;
  readonly content: string | readonly Block[];
}

/** Messages that are parsed on demand. */
export interface History {
  readonly length: number;
  /** The message at `index`; null where there is none of a known shape. */
  message(index: number): Message | null;
  /** The received bytes of the first `count` messages, separators included; null where they are not known. */
  bytesOfFirst(count: number): Buffer | null;
}

/** A history of parsed messages. */
export const historyFrom = (messages: readonly Message[]): History => ({
  length: messages.length,
  message: (index) => messages[index] ?? null,
  bytesOfFirst: () => null,
});

/** A body's fields other than its messages. */
interface Outline {
  readonly model: string;
  readonly maxTokens: number;
  readonly stream: boolean;
  /** `metadata.user_id`. */
  readonly userId: string | null;
  /**
   * True when the API keeps the earlier messages (beta `message-threads-2026-08-12`, `thread.type: "continue"`; observed
   * on 2.1.330 when forced).
   */
  readonly continuesThread: boolean;
}

const isBlock = (value: unknown): value is Block => isObject(value) && typeof value['type'] === 'string';

const isMessage = (value: unknown): value is Message =>
  isObject(value) &&
  typeof value['role'] === 'string' &&
  (typeof value['content'] === 'string' || (Array.isArray(value['content']) && value['content'].every(isBlock)));

export class MessageRequest implements Outline, History {
  readonly model: string;
  readonly maxTokens: number;
  readonly stream: boolean;
  readonly userId: string | null;
  readonly continuesThread: boolean;
  readonly #body: Buffer;
  readonly #spans: readonly Span[];
  readonly #system: Span | undefined;

  constructor(outline: Outline, body: Buffer, spans: readonly Span[], system?: Span) {
    this.model = outline.model;
    this.maxTokens = outline.maxTokens;
    this.stream = outline.stream;
    this.userId = outline.userId;
    this.continuesThread = outline.continuesThread;
    this.#body = body;
    this.#spans = spans;
    this.#system = system;
  }

  get length(): number {
    return this.#spans.length;
  }

  message(index: number): Message | null {
    const value = parseSpan(this.#body, this.#spans[index]);
    return isMessage(value) ? value : null;
  }

  bytesOfFirst(count: number): Buffer | null {
    const [first] = this.#spans;
    const last = this.#spans[count - 1];
    return first === undefined || last === undefined ? null : this.#body.subarray(first.start, last.end);
  }

  /** The texts of the system prompt. */
  systemTexts(): readonly string[] {
    const value = parseSpan(this.#body, this.#system);
    if (typeof value === 'string') return [value];
    return Array.isArray(value) ? value.filter(isBlock).flatMap((block) => textOf(block) ?? []) : [];
  }

  /** Size in the body of the message at `index`, in bytes. */
  bytesOf(index: number): number {
    const span = this.#spans[index];
    return span === undefined ? 0 : span.end - span.start;
  }
}

/** Reads the outline of a request body; null when it is not a message request (a JSON object with model and messages). */
export function readMessageRequest(body: Buffer): MessageRequest | null {
  const top = readTopLevel(body, 'messages');
  const messages = top?.elements ?? null;
  if (top === null || messages === null || messages.length === 0) return null;
  const field = (name: string): unknown => parseSpan(body, top.spans.get(name));
  const model = field('model');
  if (typeof model !== 'string') return null;
  const maxTokens = field('max_tokens');
  const metadata = field('metadata');
  const userId = isObject(metadata) ? metadata['user_id'] : null;
  const thread = field('thread');
  const outline: Outline = {
    model,
    maxTokens: typeof maxTokens === 'number' && maxTokens > 0 ? maxTokens : 0,
    stream: field('stream') === true,
    userId: typeof userId === 'string' ? userId : null,
    continuesThread: isObject(thread) && thread['type'] === 'continue',
  };
  return new MessageRequest(outline, body, messages, top.spans.get('system'));
}

/** A message's content as a list of blocks; a plain string is one text block (wire.md, How a history moves). */
export function blocksOf(message: Message): readonly Block[] {
  return typeof message.content === 'string' ? [{ type: 'text', text: message.content }] : message.content;
}

/** The text of a text block, or undefined for any other block. */
export function textOf(block: Block): string | undefined {
  const text = block['text'];
  return block.type === 'text' && typeof text === 'string' ? text : undefined;
}
