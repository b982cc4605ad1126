/**
 * A request laid out as the model reads it: tools, then system, then messages, block by block.
 * Both the token count and the prompt cache are defined over this one list.
 */
import { isObject, type JsonObject } from '../wire/json.ts';
import { blocksOf, type Block, type MessagesRequest } from './wire-types.ts';

/** Where in the prompt a block stands. */
export type Section = 'tools' | 'system' | 'messages';

/** How long a cached prefix lives. */
export type Ttl = '5m' | '1h';

/** One block of the prompt. `canonical` is its content without marks: equal content, equal string. */
export interface PromptBlock {
  readonly section: Section;
  readonly canonical: string;
  readonly tokens: number;
  readonly mark: Ttl | undefined;
}

/** Characters per token where a test sets nothing else. */
export const CHARS_PER_TOKEN = 4;

/** An image costs by its pixels, not by the length of its base64. */
const IMAGE_TOKENS = 1_500;

/** The client's first system block: bookkeeping that differs in each request and is no part of the prompt. */
const BILLING_HEADER = 'x-anthropic-billing-header:';

/** Lays `request` out in the order of the prompt. */
export function promptBlocks(request: MessagesRequest, charsPerToken = CHARS_PER_TOKEN): readonly PromptBlock[] {
  const blocks: PromptBlock[] = [];
  const add = (section: Section, role: string, block: JsonObject | Block): void => {
    const canonical = role + JSON.stringify(withoutMarks(block));
    const tokens = hasImage(block) ? IMAGE_TOKENS : Math.max(1, Math.ceil(canonical.length / charsPerToken));
    blocks.push({ section, canonical, tokens, mark: markOf(block) });
  };
  for (const tool of request.tools ?? []) add('tools', '', tool);
  for (const block of systemBlocks(request)) add('system', '', block);
  for (const message of request.messages) {
    // The role goes into each block: two user messages in a row are one turn to the model.
    for (const block of blocksOf(message.content)) add('messages', message.role, block);
  }
  return withAutomaticMark(blocks, request);
}

/** Tokens of a whole prompt by its size. */
export function countTokens(blocks: readonly PromptBlock[]): number {
  return blocks.reduce((sum, block) => sum + block.tokens, 0);
}

function systemBlocks(request: MessagesRequest): readonly Block[] {
  const blocks = blocksOf(request.system ?? []);
  return blocks[0]?.text?.startsWith(BILLING_HEADER) === true ? blocks.slice(1) : blocks;
}

/** A `cache_control` on the request itself marks its last block. */
function withAutomaticMark(blocks: PromptBlock[], request: MessagesRequest): readonly PromptBlock[] {
  const last = blocks.at(-1);
  const mark = markOf(request);
  if (mark === undefined || last === undefined || last.mark !== undefined) return blocks;
  return [...blocks.slice(0, -1), { ...last, mark }];
}

function markOf(marked: JsonObject | Block | MessagesRequest): Ttl | undefined {
  const mark: unknown = 'cache_control' in marked ? marked.cache_control : undefined;
  if (!isObject(mark)) return undefined;
  return mark['ttl'] === '1h' ? '1h' : '5m';
}

function withoutMarks(block: JsonObject | Block): JsonObject {
  const bare: Record<string, unknown> = { ...block };
  delete bare['cache_control'];
  const { content } = bare;
  if (Array.isArray(content))
    bare['content'] = content.map((inner: unknown) => (isObject(inner) ? withoutMarks(inner) : inner));
  return bare;
}

function hasImage(block: JsonObject | Block): boolean {
  if (block['type' as keyof typeof block] === 'image') return true;
  const content: unknown = 'content' in block ? block.content : undefined;
  return Array.isArray(content) && content.some((inner: unknown) => isObject(inner) && inner['type'] === 'image');
}
