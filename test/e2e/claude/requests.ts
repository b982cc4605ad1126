/** What the simulated API got, sorted by who sent it and why, and what it says. */
import { CHECKPOINT_INSTRUCTION } from '../../../src/checkpoint/instruction.ts';
import { blocksOf, type Message } from '../../../src/simulated-api/wire-types.ts';
import { promptTokensOf, type RecordedRequest } from '../../../src/simulated-api/index.ts';

/**
 * `checkpoint` is the proxy's own call; everything else is the client's. `auxiliary`: titles and other small helpers.
 */
export type Kind = 'main' | 'subagent' | 'compaction' | 'checkpoint' | 'auxiliary';

/** How the client's own instructions begin (2.1.90 and later; 2.1.63 and older). */
const INSTRUCTIONS = [
  'CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.',
  'Your task is to create a detailed summary of the conversation so far',
];

/** How a question beside the conversation is announced (`/btw`): with all of its history, and older clients say no class. */
const ASIDE = 'This is a side question from the user';

const lastUserMessage = (messages: readonly Message[]): Message | undefined =>
  messages.findLast((message) => message.role === 'user');

function lastUserText(messages: readonly Message[]): string {
  const last = lastUserMessage(messages);
  return last === undefined ? '' : (blocksOf(last.content).at(-1)?.text ?? '').trimStart();
}

/** Who sent a request for a message, and why. */
export function kindOf(request: RecordedRequest): Kind {
  const { headers, message } = request;
  if (message === undefined) return 'auxiliary';
  const text = lastUserText(message.messages);
  // First of all: it carries the headers of the request that it repeats.
  if (text === CHECKPOINT_INSTRUCTION) return 'checkpoint';
  const requestClass = headers['x-claude-code-request-class'];
  if (requestClass === 'compaction' || INSTRUCTIONS.some((opening) => text.startsWith(opening))) return 'compaction';
  if (headers['x-claude-code-agent-id'] !== undefined) return 'subagent';
  if (requestClass !== undefined) return requestClass === 'main' ? 'main' : 'auxiliary';
  if (JSON.stringify(lastUserMessage(message.messages)).includes(ASIDE)) return 'auxiliary';
  const tools = message.tools?.map((tool) => tool['name']) ?? [];
  if (tools.length === 0 || said(request).includes('Warmup')) return 'auxiliary';
  // Only the main conversation may start subagents.
  return tools.includes('Agent') || tools.includes('Task') ? 'main' : 'subagent';
}

/** Everything that a request's messages say, for a look whether some words are in it. */
export function said(request: RecordedRequest | undefined): string {
  return JSON.stringify(request?.message?.messages ?? null);
}

/** The one block that asks for a summary. */
export function instructionIn(request: RecordedRequest | undefined): string {
  return lastUserText(request?.message?.messages ?? []);
}

/** How many times some words stand in a text. */
export function countOf(words: string, text: string): number {
  return text.split(words).length - 1;
}

/** One line about a request, for the report of a failed test. */
export function describeRequest(request: RecordedRequest): string {
  const { message, status, outcome, usage } = request;
  const size = message === undefined ? '' : `${message.model} ${message.messages.length} messages`;
  const used = usage === undefined ? '' : `${promptTokensOf(usage)} tokens`;
  const told = request.headers['x-claude-code-request-class']?.toString() ?? '-';
  return `#${request.number} ${kindOf(request)} (${told}) ${size} ${status ?? 'no status'} ${outcome} ${used}`;
}
