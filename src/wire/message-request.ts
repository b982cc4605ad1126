/**
 * A `POST /v1/messages` body, read as far as a decision needs it and no further.
 * Lenient on purpose: whatever the API would accept is accepted; unknown fields and blocks are carried along.
 */

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

/** The parts of a message request that decisions are made from. */
export interface MessageRequest {
  readonly model: string;
  readonly messages: readonly Message[];
  readonly maxTokens: number;
  readonly stream: boolean;
  /** How many tools the request offers. */
  readonly tools: number;
  /** `metadata.user_id`, as sent. */
  readonly userId: string | null;
  /**
   * True when `messages` are only the newest of a history that the API keeps (beta `message-threads-2026-08-12`,
   * `thread.type: "continue"`; seen on 2.1.330 when forced).
   */
  readonly continuesThread: boolean;
}

type Json = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isBlock = (value: unknown): value is Block => isObject(value) && typeof value['type'] === 'string';

const isMessage = (value: unknown): value is Message =>
  isObject(value) &&
  typeof value['role'] === 'string' &&
  (typeof value['content'] === 'string' || (Array.isArray(value['content']) && value['content'].every(isBlock)));

/**
 * Reads a request body.
 *
 * @returns null for anything that is no message request (not JSON, no messages, content of an unknown shape): such a
 *   body concerns nobody here and goes to the API as it came.
 */
export function parseMessageRequest(body: Buffer): MessageRequest | null {
  let json: unknown;
  try {
    json = JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
  if (!isObject(json)) return null;
  const { model, messages, max_tokens: maxTokens, stream, tools, metadata, thread } = json;
  if (typeof model !== 'string' || !Array.isArray(messages) || messages.length === 0) return null;
  if (!messages.every(isMessage)) return null;
  const userId = isObject(metadata) ? metadata['user_id'] : null;
  return {
    model,
    messages,
    maxTokens: typeof maxTokens === 'number' && maxTokens > 0 ? maxTokens : 0,
    stream: stream === true,
    tools: Array.isArray(tools) ? tools.length : 0,
    userId: typeof userId === 'string' ? userId : null,
    continuesThread: isObject(thread) && thread['type'] === 'continue',
  };
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
