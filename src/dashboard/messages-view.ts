/**
 * The messages of a history as a page shows them: newest first until there is enough, texts cut. Read in slices, like
 * lineages, because nobody's bytes may wait for somebody's curiosity.
 */
import { performance } from 'node:perf_hooks';
import { setImmediate as nextRound } from 'node:timers/promises';
import type { BlockView, MessageView } from '../../web/contract.ts';
import { isObject } from '../wire/json.ts';
import { blocksOf, textOf, type Block, type History, type Message } from '../wire/message-request.ts';
import { truncate } from '../wire/text.ts';

/** Of one block … */
export const BLOCK_CHARS = 20_000;
/** … and of all of them, so many characters are shown. */
export const TOTAL_CHARS = 1_000_000;
const MAX_MESSAGES = 500;
/** How long a slice may hold the event loop, in milliseconds. */
const SLICE_MS = 3;

/** The text of a tool's result; pictures and the like by their kind. */
function resultText(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .flatMap((item: unknown) => {
      if (!isObject(item)) return [];
      return typeof item['text'] === 'string' ? [item['text']] : [`[${String(item['type'])}]`];
    })
    .join('\n');
}

const nameIn = (block: Block): string | null => (typeof block['name'] === 'string' ? block['name'] : null);

function blockView(block: Block): BlockView & { readonly toolUse: string | null } {
  const of = (type: BlockView['type'], text: string, more: { name?: string | null; toolUse?: unknown } = {}) => ({
    type,
    text: truncate(text, BLOCK_CHARS),
    chars: text.length,
    name: more.name ?? null,
    failed: block['is_error'] === true,
    toolUse: typeof more.toolUse === 'string' ? more.toolUse : null,
  });
  switch (block.type) {
    case 'text':
      return of('text', textOf(block) ?? '');
    case 'thinking':
      return of('thinking', typeof block['thinking'] === 'string' ? block['thinking'] : '');
    case 'redacted_thinking':
      return of('thinking', '');
    case 'tool_use':
    case 'server_tool_use':
    case 'mcp_tool_use': {
      const input = JSON.stringify(block['input'] ?? {}, null, 2);
      return of('tool_use', input, { name: nameIn(block), toolUse: block['id'] });
    }
    case 'tool_result':
    case 'mcp_tool_result':
      return of('tool_result', resultText(block['content']), { toolUse: block['tool_use_id'] });
    case 'image':
    case 'document':
      return of(block.type, '');
    default:
      return of('other', '', { name: block.type });
  }
}

type Unnamed = Omit<MessageView, 'blocks'> & { readonly blocks: readonly ReturnType<typeof blockView>[] };

/** A result has its tool's id only; the call that it answers stands before it. */
function named(messages: readonly Unnamed[]): MessageView[] {
  const names = new Map<string, string | null>();
  return messages.map(({ index, role, blocks }) => ({
    index,
    role,
    blocks: blocks.map(({ toolUse, type, text, chars, name, failed }) => {
      if (type === 'tool_use' && toolUse !== null) names.set(toolUse, name);
      const known = type === 'tool_result' && toolUse !== null ? (names.get(toolUse) ?? null) : name;
      return { type, text, chars, name: known, failed };
    }),
  }));
}

const sizeOf = (message: Unnamed): number => message.blocks.reduce((sum, block) => sum + block.text.length, 0);

const viewOf = (message: Message, index: number): Unnamed => ({
  index,
  role: message.role,
  blocks: blocksOf(message).map(blockView),
});

/** The newest messages of a history, oldest first. A message of no known shape is left out. */
export async function readMessagesView(history: History): Promise<readonly MessageView[]> {
  const messages: Unnamed[] = [];
  let size = 0;
  let began = performance.now();
  for (let at = history.length - 1; at >= 0 && messages.length < MAX_MESSAGES; at -= 1) {
    const message = history.message(at);
    if (message !== null) {
      const view = viewOf(message, at);
      size += sizeOf(view);
      if (size > TOTAL_CHARS && messages.length > 0) break;
      messages.push(view);
    }
    if (performance.now() - began < SLICE_MS) continue;
    await nextRound();
    began = performance.now();
  }
  return named(messages.reverse());
}
