/**
 * Reads usage, stop reason and text of an answer of the Messages API, from the events of a stream (wire.md, Streaming and
 * errors) or from a JSON message. Ignores unknown events, blocks and fields.
 */
import { tokens, type Tokens } from '../../machines/units.ts';
import { isObject, parseJson } from './json.ts';
import type { ServerSentEvent } from './sse.ts';

/** Tokens of one answer by kind, as the API bills them. */
export interface Usage {
  readonly input: Tokens;
  readonly cacheCreation: Tokens;
  readonly cacheRead: Tokens;
  readonly output: Tokens;
}

export const NO_USAGE: Usage = { input: tokens(0), cacheCreation: tokens(0), cacheRead: tokens(0), output: tokens(0) };

/** Tokens of the context window in use after an answer (wire.md, Compaction). */
export const usedTokens = (usage: Usage): Tokens =>
  tokens(usage.input + usage.cacheCreation + usage.cacheRead + usage.output);

/** An `error` event, or an error body: `{"type":"error","error":{"type","message"}}`. */
export interface ApiError {
  readonly type: string;
  readonly message: string;
}

const largerCount = (value: unknown, before: Tokens): Tokens =>
  typeof value === 'number' && Number.isFinite(value) && value > before ? tokens(value) : before;

/** Usage fields are cumulative, and some gateways end with zeros: the larger value is kept (wire.md, Usage; 2.1.330). */
function mergeUsage(before: Usage, usage: unknown): Usage {
  if (!isObject(usage)) return before;
  return {
    input: largerCount(usage['input_tokens'], before.input),
    cacheCreation: largerCount(usage['cache_creation_input_tokens'], before.cacheCreation),
    cacheRead: largerCount(usage['cache_read_input_tokens'], before.cacheRead),
    output: largerCount(usage['output_tokens'], before.output),
  };
}

/**
 * The last message iteration of a usage: with server-side tools the totals are the sum of all iterations, and only the
 * last one is what the context holds (wire.md, Usage; 2.1.332). Null where there is none.
 */
function lastIteration(usage: unknown): Usage | null {
  const iterations: readonly unknown[] =
    isObject(usage) && Array.isArray(usage['iterations']) ? usage['iterations'] : [];
  const last = iterations.findLast((iteration) => isObject(iteration) && iteration['type'] === 'message');
  const read = mergeUsage(NO_USAGE, last);
  return usedTokens(read) > 0 ? read : null;
}

/** Reads the API's error shape; null for anything else. */
export function readApiError(json: unknown): ApiError | null {
  const error = isObject(json) ? json['error'] : null;
  if (!isObject(error)) return null;
  const { type, message } = error;
  return {
    type: typeof type === 'string' ? type : 'api_error',
    message: typeof message === 'string' ? message : '',
  };
}

/** Reads one answer. `text` is kept only on request: an answer that is only forwarded needs none. */
export class AnswerReader {
  /** What the answer is billed by. */
  usage: Usage = NO_USAGE;
  #lastIteration: Usage | null = null;
  stopReason: string | null = null;
  error: ApiError | null = null;
  /** True after `message_stop`, or a whole JSON message. */
  completed = false;
  /** Types of the content blocks, in order. */
  readonly blocks: string[] = [];
  readonly #keepText: boolean;
  #text: string[] = [];
  #textBlocks = new Set<unknown>();

  constructor(options: { readonly keepText: boolean }) {
    this.#keepText = options.keepText;
  }

  /** True for the names of events that are needed when the text is not kept. */
  static readonly readsWithoutText = (event: string): boolean =>
    event !== 'ping' && !event.startsWith('content_block_');

  /** The tokens in the context after this answer, which can be fewer than are billed. */
  get contextUsage(): Usage {
    return this.#lastIteration ?? this.usage;
  }

  /** The text blocks, joined by blank lines; empty unless `keepText` is set. */
  get text(): string {
    return this.#text.join('');
  }

  takeEvent(event: ServerSentEvent): void {
    if (this.#keepText || AnswerReader.readsWithoutText(event.event)) this.#take(parseJson(event.data));
  }

  /** Reads a whole JSON answer (`stream: false`), a message or an error. */
  takeBody(body: string): void {
    const json = parseJson(body);
    this.error = readApiError(json);
    if (!isObject(json) || json['type'] !== 'message') return;
    this.#takeUsage(json['usage']);
    this.stopReason = typeof json['stop_reason'] === 'string' ? json['stop_reason'] : null;
    this.completed = true;
    const content: readonly unknown[] = Array.isArray(json['content']) ? json['content'] : [];
    content.forEach((block, index) => this.#startBlock(block, index));
  }

  #take(json: unknown): void {
    if (!isObject(json)) return;
    switch (json['type']) {
      case 'message_start':
        if (isObject(json['message'])) this.#takeUsage(json['message']['usage']);
        return;
      case 'content_block_start':
        this.#startBlock(json['content_block'], json['index']);
        return;
      case 'content_block_delta': {
        const delta = json['delta'];
        if (isObject(delta) && delta['type'] === 'text_delta' && this.#textBlocks.has(json['index'])) {
          if (typeof delta['text'] === 'string') this.#text.push(delta['text']);
        }
        return;
      }
      case 'message_delta': {
        this.#takeUsage(json['usage']);
        const delta = json['delta'];
        if (isObject(delta) && typeof delta['stop_reason'] === 'string') this.stopReason = delta['stop_reason'];
        return;
      }
      case 'message_stop':
        this.completed = true;
        return;
      case 'error':
        this.error = readApiError(json) ?? { type: 'api_error', message: '' };
        return;
      default:
        return;
    }
  }

  #takeUsage(usage: unknown): void {
    this.usage = mergeUsage(this.usage, usage);
    this.#lastIteration = lastIteration(usage) ?? this.#lastIteration;
  }

  #startBlock(block: unknown, index: unknown): void {
    if (!isObject(block) || typeof block['type'] !== 'string') return;
    this.blocks.push(block['type']);
    if (block['type'] !== 'text' || !this.#keepText) return;
    if (this.#textBlocks.size > 0) this.#text.push('\n\n');
    this.#textBlocks.add(index);
    if (typeof block['text'] === 'string') this.#text.push(block['text']);
  }
}
