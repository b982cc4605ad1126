/**
 * A `POST /v1/messages` body, read as far as a decision needs it and no further: the outline by looking at brackets and
 * quotes, single messages when they are asked for. Lenient on purpose: whatever the API would accept is accepted;
 * unknown fields and blocks are carried along.
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

/** A sequence of messages that are parsed one by one, when asked for. */
export interface History {
  readonly length: number;
  /** The message at `index`; null for what is none or not of a known shape. */
  message(index: number): Message | null;
  /** The first `count` messages as they came, with all between them; null where that cannot be told. */
  bytesOfFirst(count: number): Buffer | null;
}

/** Messages that are at hand already. */
export const historyFrom = (messages: readonly Message[]): History => ({
  length: messages.length,
  message: (index) => messages[index] ?? null,
  bytesOfFirst: () => null,
});

/** What a body says beside its messages. */
interface Outline {
  readonly model: string;
  readonly maxTokens: number;
  readonly stream: boolean;
  /** `metadata.user_id`, as sent. */
  readonly userId: string | null;
  /**
   * True when the messages are only the newest of a history that the API keeps (beta `message-threads-2026-08-12`,
   * `thread.type: "continue"`; seen on 2.1.330 when forced).
   */
  readonly continuesThread: boolean;
}

const isBlock = (value: unknown): value is Block => isObject(value) && typeof value['type'] === 'string';

const isMessage = (value: unknown): value is Message =>
  isObject(value) &&
  typeof value['role'] === 'string' &&
  (typeof value['content'] === 'string' || (Array.isArray(value['content']) && value['content'].every(isBlock)));

/** A message request: its outline, and its messages. */
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

  /** How many bytes the message at `index` takes up in the body. */
  bytesOf(index: number): number {
    const span = this.#spans[index];
    return span === undefined ? 0 : span.end - span.start;
  }
}

/**
 * Reads the outline of a request body.
 *
 * @returns null for anything that is no message request (no JSON object, no model, no messages): such a body concerns
 *   nobody here and goes to the API as it came
 */
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
