/** What the API refuses before any model sees it, in its own words. Pure. */
import { invalid, type ApiError } from './api-errors.ts';
import { type PromptBlock, type Ttl } from './prompt-blocks.ts';
import { type SimulatedModel } from './models.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import { blocksOf, type Block, type MessagesRequest } from './wire-types.ts';

/** Marks that one request may carry. */
const MAX_MARKS = 4;

const ROLES: readonly unknown[] = ['user', 'assistant', 'system'];

/** Checks the shape of a body: the first thing wrong with it, or nothing. */
export function shapeError(json: unknown, options: { readonly needsMaxTokens: boolean }): ApiError | undefined {
  if (!isObject(json)) return invalid('The request body is not valid JSON: expected an object');
  const { model, messages, max_tokens: maxTokens, system, tools, stream } = json as Record<string, unknown>;
  if (model === undefined) return invalid('model: Field required');
  if (typeof model !== 'string') return invalid('model: Input should be a valid string');
  if (messages === undefined) return invalid('messages: Field required');
  if (!Array.isArray(messages)) return invalid('messages: Input should be a valid list');
  if (messages.length === 0) return invalid('messages: at least one message is required');
  if (options.needsMaxTokens) {
    if (maxTokens === undefined) return invalid('max_tokens: Field required');
    if (!Number.isInteger(maxTokens)) return invalid('max_tokens: Input should be a valid integer');
    if (Number(maxTokens) < 1) return invalid('max_tokens: Input should be greater than or equal to 1');
  }
  if (stream !== undefined && typeof stream !== 'boolean') return invalid('stream: Input should be a valid boolean');
  if (tools != null && !isListOfObjects(tools)) return invalid('tools: Input should be a valid list');
  if (system != null && typeof system !== 'string' && !isListOfBlocks(system)) {
    return invalid('system: Input should be a valid list');
  }
  return firstOf(messages, messageError);
}

/** Checks a well-formed request against the rules that span its parts, and against its model. */
export function ruleError(
  request: MessagesRequest,
  blocks: readonly PromptBlock[],
  model: SimulatedModel,
): ApiError | undefined {
  return orderError(request) ?? toolPairError(request) ?? markError(blocks) ?? limitError(request, model);
}

function messageError(message: unknown, index: number): ApiError | undefined {
  const at = `messages.${index}`;
  if (!isObject(message)) return invalid(`${at}: Input should be an object`);
  if (!ROLES.includes(message['role'])) return invalid(`${at}.role: Input should be 'user' or 'assistant'`);
  const content = message['content'];
  if (content === undefined) return invalid(`${at}.content: Field required`);
  if (typeof content === 'string') return undefined;
  if (!isListOfBlocks(content)) return invalid(`${at}.content: Input should be a valid list`);
  return firstOf(content, (block, position) =>
    block.type === 'text' && block.text === ''
      ? invalid(`${at}.content.${position}: text content blocks must be non-empty`)
      : undefined,
  );
}

function orderError({ messages }: MessagesRequest): ApiError | undefined {
  const first = messages.find((message) => message.role !== 'system');
  if (first?.role === 'assistant') return invalid('messages: first message must use the "user" role');
  if (messages.at(-1)?.role !== 'assistant') return undefined;
  return invalid(
    'This model does not support assistant message prefill. The conversation must end with a user message.',
  );
}

/** Each `tool_use` needs its `tool_result` in the next user turn, and the other way round. */
function toolPairError({ messages }: MessagesRequest): ApiError | undefined {
  let called: readonly string[] = [];
  let calledAt = 0;
  let answered: string[] = [];
  const turns = [...messages.entries()].filter(([, message]) => message.role !== 'system');
  for (const [turn, [index, message]] of turns.entries()) {
    const blocks = blocksOf(message.content);
    if (message.role === 'user') {
      for (const [position, { type, tool_use_id: id }] of blocks.entries()) {
        if (type !== 'tool_result' || id === undefined) continue;
        if (!called.includes(id)) return strayResult(index, position, id);
        answered.push(id);
      }
      if (turns[turn + 1]?.[1].role === 'user') continue; // one turn, in two messages
      const missing = called.filter((id) => !answered.includes(id));
      if (missing.length > 0) return missingResult(calledAt, missing);
    }
    called = message.role === 'assistant' ? toolCalls(blocks) : [];
    calledAt = index;
    answered = [];
  }
  return undefined;
}

function strayResult(index: number, position: number, id: string): ApiError {
  return invalid(
    `messages.${index}.content.${position}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${id}. ` +
      'Each `tool_result` block must have a corresponding `tool_use` block in the previous message.',
  );
}

function missingResult(index: number, ids: readonly string[]): ApiError {
  return invalid(
    `messages.${index}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ` +
      `${ids.join(', ')}. Each \`tool_use\` block must have a corresponding \`tool_result\` block in the next message.`,
  );
}

function toolCalls(blocks: readonly Block[]): readonly string[] {
  return blocks.flatMap((block) => (block.type === 'tool_use' && block.id !== undefined ? [block.id] : []));
}

function markError(blocks: readonly PromptBlock[]): ApiError | undefined {
  const marks = blocks.flatMap((block): Ttl[] => (block.mark ? [block.mark] : []));
  if (marks.length > MAX_MARKS) {
    return invalid(`A maximum of ${MAX_MARKS} blocks with cache_control may be provided. Found ${marks.length}.`);
  }
  const firstShort = marks.indexOf('5m');
  if (firstShort === -1 || marks.lastIndexOf('1h') < firstShort) return undefined;
  return invalid("a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block.");
}

function limitError(request: MessagesRequest, model: SimulatedModel): ApiError | undefined {
  if (request.max_tokens > model.maxTokens) {
    return invalid(
      `max_tokens: ${request.max_tokens} > ${model.maxTokens}, which is the maximum allowed number of output tokens for ${request.model}`,
    );
  }
  const budget = isObject(request.thinking) ? request.thinking['budget_tokens'] : undefined;
  if (typeof budget !== 'number' || budget < request.max_tokens) return undefined;
  return invalid('`max_tokens` must be greater than `thinking.budget_tokens`.');
}

function isListOfObjects(value: unknown): value is readonly JsonObject[] {
  return Array.isArray(value) && value.every(isObject);
}

function isListOfBlocks(value: unknown): value is readonly Block[] {
  return isListOfObjects(value) && value.every((block) => typeof block['type'] === 'string');
}

function firstOf<Item>(
  items: readonly Item[],
  check: (item: Item, index: number) => ApiError | undefined,
): ApiError | undefined {
  for (const [index, item] of items.entries()) {
    const error = check(item, index);
    if (error !== undefined) return error;
  }
  return undefined;
}
