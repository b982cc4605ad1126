/**
 * Renders the messages after a checkpoint as text that follows its summary. Text of user and assistant is complete; tool
 * calls and results are shortened to fit the budget. When the text alone does not fit, the compaction is forwarded.
 */
import { isObject } from '../wire/json.ts';
import { blocksOf, textOf, type Block, type Message } from '../wire/message-request.ts';
import { splitReminders, USER_VISIBLE_REMINDER, visibleText } from '../wire/reminders.ts';
import { truncate } from '../wire/text.ts';

/** How many characters of each tool call and result are kept, from generous to none. */
const ABBREVIATIONS = [2_000, 800, 300, 100, 0];
/** The newest message gets this many times as much: older clients keep nothing of it themselves. */
const NEWEST_FACTOR = 4;

const HEADING = `## Since then

What follows was said after the summary above was written, oldest first. Words are complete; tool calls and their results are shortened.`;

function shorten(text: string, limit: number): string {
  if (text.length <= limit) return text;
  if (limit === 0) return `[${text.length} characters left out]`;
  const head = truncate(text, Math.ceil(limit * 0.7));
  const tail = truncate(text, text.length - Math.floor(limit * 0.3)).length;
  return `${head} [… ${tail - head.length} characters left out …] ${text.slice(tail)}`;
}

/** The beginning of tool results that are the user's words: a rejected call, an answered question (2.1.330). */
const USER_WORDS = /^(The user |User has )/;

/** A tool result: its output is shortened, the user's words in it are complete. */
function describeResult(content: unknown, limit: number): string {
  const items: readonly unknown[] =
    typeof content === 'string' ? [{ type: 'text', text: content }] : Array.isArray(content) ? content : [];
  const output: string[] = [];
  const userWords: string[] = [];
  for (const item of items) {
    if (!isObject(item) || typeof item['type'] !== 'string') continue;
    if (typeof item['text'] !== 'string') {
      output.push(`[${item['type']}]`);
      continue;
    }
    const { text, visibleReminders } = splitReminders(item['text']);
    if (text !== '') output.push(text);
    userWords.push(...visibleReminders);
  }
  const text = output.join('\n');
  return [USER_WORDS.test(text) ? text : shorten(text, limit), ...userWords].join('\n');
}

function describeBlock(block: Block, limit: number, toolNames: Map<unknown, string>): string | null {
  const text = textOf(block);
  if (text !== undefined) return visibleText(text);
  switch (block.type) {
    case 'thinking':
    case 'redacted_thinking':
      return null;
    case 'tool_use':
    case 'server_tool_use':
    case 'mcp_tool_use': {
      const name = typeof block['name'] === 'string' ? block['name'] : 'tool';
      toolNames.set(block['id'], name);
      return `[Tool call ${name}: ${shorten(JSON.stringify(block['input'] ?? {}), limit)}]`;
    }
    case 'tool_result': {
      const name = toolNames.get(block['tool_use_id']) ?? 'tool';
      const failed = block['is_error'] === true ? ', failed' : '';
      return `[Result of ${name}${failed}: ${describeResult(block['content'], limit)}]`;
    }
    case 'image':
    case 'document':
      return `[${block.type}]`;
    default:
      return `[${block.type}: ${shorten(JSON.stringify(block), limit)}]`;
  }
}

const SPEAKERS: Readonly<Record<string, string>> = { user: 'User', assistant: 'Assistant' };

function render(messages: readonly Message[], limit: number): string {
  const toolNames = new Map<unknown, string>();
  const parts: string[] = [];
  messages.forEach((message, index) => {
    const room = index === messages.length - 1 ? limit * NEWEST_FACTOR : limit;
    const speaker = SPEAKERS[message.role];
    const lines = blocksOf(message).flatMap((block) => {
      const described = describeBlock(block, room, toolNames);
      if (described === null || described.trim() === '') return [];
      // Messages of the client itself are shortened, unless they quote the user (5.5 models).
      return [speaker === undefined && !USER_VISIBLE_REMINDER.test(described) ? shorten(described, room) : described];
    });
    if (lines.length > 0) parts.push(`### ${speaker ?? 'System'}\n${lines.join('\n')}`);
  });
  return parts.join('\n\n');
}

/**
 * Renders the messages after a checkpoint.
 *
 * @param messages the history from the anchor on, without the compaction's instruction
 * @param budget how many characters the text may have
 * @returns the text; '' when there is none; null when it does not fit even without tool calls and results
 */
export function recentMessages(messages: readonly Message[], budget: number): string | null {
  for (const limit of ABBREVIATIONS) {
    const text = render(messages, limit);
    if (text === '') return '';
    const whole = `${HEADING}\n\n${text}`;
    if (whole.length <= budget) return whole;
  }
  return null;
}
