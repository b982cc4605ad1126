/**
 * Recognises compaction requests, their kind and their history.
 *
 * A compaction is the history plus one instruction (wire.md, Compaction; observed on 1.0.128 to 2.1.330). The
 * instruction is a message of its own, or one more text block at the end of the last user message: in 2.1.330 when it
 * fires in a tool loop, in older clients whenever the history ends with a user message. With 5.5 models a `system`
 * message can follow.
 */
import { blocksOf, textOf, type History, type Message } from './message-request.ts';
import type { RequestClass } from './identity.ts';

/**
 * - `whole`: asks for a summary of everything before the instruction
 * - `instructed`: the same with words of the user on what to summarise (`/compact <words>`, a PreCompact hook)
 * - `other`: anything else, such as a summary of only a part of the conversation
 */
export type CompactionKind = 'whole' | 'instructed' | 'other';

export interface Compaction {
  readonly kind: CompactionKind;
  /** The messages to be summarised: without the instruction. */
  readonly history: History;
}

/** In the instruction of every version from 1.0.128 to 2.1.330. */
const SUMMARY_INSTRUCTION = 'Your task is to create a detailed summary of the conversation so far';
/** Start of every compaction's instruction from 2.1.112 on; the server can change the rest. */
const INSTRUCTION_START = 'CRITICAL: Respond with TEXT ONLY';
/** For versions that were not observed; applied only to requests of the class `compaction`. */
const LIKELY_SUMMARY_INSTRUCTION =
  /summar\w{1,12}\s+(of\s+)?(the|this|our)\s+(entire\s+|whole\s+|full\s+)?conversation(\s+so\s+far)?\b/i;
/** In the instructions for parts of a conversation (`from here`, `up to here`; 2.1.330). */
const PARTIAL_INSTRUCTION_MARKS = [
  'RECENT portion of the conversation',
  'earlier retained context',
  'newer messages that build on this context will follow',
];
/** The user's words after the instruction (1.0.128 to 2.1.330). Elsewhere the phrase occurs only in quotes. */
const USER_INSTRUCTIONS = /\n\nAdditional Instructions:\n\s*\S/;

/** Index of the message that can contain the instruction: the last one that is not `system` (5.5 models). */
function instructionIndex(history: History): number {
  let at = history.length - 1;
  while (history.message(at)?.role === 'system') at -= 1;
  return at;
}

function instructionOf(message: Message | null): string | undefined {
  const last = message?.role === 'user' ? blocksOf(message).at(-1) : undefined;
  return last === undefined ? undefined : textOf(last);
}

/** The history without the last block of the message at `at`, and without that message if nothing else is in it. */
function withoutInstruction(history: History, at: number): History {
  const holder = history.message(at);
  const rest = holder === null ? [] : blocksOf(holder).slice(0, -1);
  const bytesOfFirst = (count: number): Buffer | null => (count <= at ? history.bytesOfFirst(count) : null);
  if (holder === null || rest.length === 0) {
    return {
      length: history.length - 1,
      message: (index) => history.message(index < at ? index : index + 1),
      bytesOfFirst,
    };
  }
  const kept = { ...holder, content: rest };
  return { length: history.length, message: (index) => (index === at ? kept : history.message(index)), bytesOfFirst };
}

function kindOf(instruction: string, requestClass: RequestClass): CompactionKind | null {
  const text = instruction.trimStart();
  if (requestClass === 'unknown') {
    // A user can quote the instruction: it must stand at the start of the text.
    const begins =
      text.startsWith(SUMMARY_INSTRUCTION) || (text.startsWith(INSTRUCTION_START) && text.includes('<summary>'));
    if (!begins) return null;
  } else if (
    !text.startsWith(INSTRUCTION_START) &&
    !text.includes(SUMMARY_INSTRUCTION) &&
    !LIKELY_SUMMARY_INSTRUCTION.test(text)
  )
    return 'other';
  if (PARTIAL_INSTRUCTION_MARKS.some((mark) => instruction.includes(mark))) return 'other';
  return USER_INSTRUCTIONS.test(instruction) ? 'instructed' : 'whole';
}

/** The compaction that a request asks for; null for none. */
export function readCompaction(request: History, requestClass: RequestClass): Compaction | null {
  if (requestClass === 'turn' || requestClass === 'auxiliary') return null;
  const at = instructionIndex(request);
  const instruction = instructionOf(request.message(at));
  if (instruction === undefined) return requestClass === 'compaction' ? { kind: 'other', history: request } : null;
  const kind = kindOf(instruction, requestClass);
  return kind === null ? null : { kind, history: withoutInstruction(request, at) };
}

/** Starts of the questions that side requests append to the history (`auxiliary` where classes are sent). */
const SIDE_REQUESTS = ['[SUGGESTION MODE:', '<system-reminder>This is a side question from the user'];

/**
 * True for a side request of a client without class headers: it has the whole history, but is not a turn (prompt
 * suggestions, observed on 2.1.63 to 2.1.200).
 */
export function isSideRequest(history: History): boolean {
  const last = history.message(history.length - 1);
  if (last?.role !== 'user') return false;
  return blocksOf(last).some((block) => SIDE_REQUESTS.some((opening) => textOf(block)?.startsWith(opening) === true));
}

/** Start of a history that continues from a summary (2.0.76 to 2.1.330). */
export const CONTINUATION = 'This session is being continued from a previous conversation';

/** The text at the start of a compacted history, with the summary in it; null when the history is not compacted. */
export function continuationText(history: History): string | null {
  for (let at = 0; at < history.length; at += 1) {
    const message = history.message(at);
    if (message === null || message.role === 'assistant') return null;
    for (const block of blocksOf(message)) {
      const text = textOf(block);
      if (text?.includes(CONTINUATION)) return text;
    }
  }
  return null;
}
