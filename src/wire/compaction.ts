/**
 * Is this request a compaction, which one, and of which history?
 *
 * A compaction is the history plus one instruction (wire.md, Compaction; observed on 1.0.128 to 2.1.330). The
 * instruction is a message of its own, or one more text block at the end of the last user message: in 2.1.330 when it
 * fires in a tool loop, in older clients whenever the history ends with a user message. With 5.5 models a `system`
 * message can follow it.
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

/** The sentence that every version from 1.0.128 to 2.1.330 asks with. */
const WHOLE = 'Your task is to create a detailed summary of the conversation so far';
/** How 2.1.112 and later begin every compaction's instruction, whatever the server makes of the rest. */
const TEXT_ONLY = 'CRITICAL: Respond with TEXT ONLY';
/** Looser, for versions that we have not seen; trusted only where the request's class says compaction. */
const PROBABLY_WHOLE =
  /summar\w{1,12}\s+(of\s+)?(the|this|our)\s+(entire\s+|whole\s+|full\s+)?conversation(\s+so\s+far)?\b/i;
/** Marks of the instructions for parts (`from here`, `up to here`; 2.1.330). */
const PARTIAL = [
  'RECENT portion of the conversation',
  'earlier retained context',
  'newer messages that build on this context will follow',
];
/** How 1.0.128 to 2.1.330 append the user's words. Elsewhere the instruction only mentions the phrase in quotes. */
const INSTRUCTED = /\n\nAdditional Instructions:\n\s*\S/;

/** Position of the message that may hold the instruction: the last one, but for `system` messages (5.5 models). */
function lastSpoken(history: History): number {
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
    // Somebody may talk about compaction: only an instruction that begins as the client's own does is taken for one.
    const begins = text.startsWith(WHOLE) || (text.startsWith(TEXT_ONLY) && text.includes('<summary>'));
    if (!begins) return null;
  } else if (!text.startsWith(TEXT_ONLY) && !text.includes(WHOLE) && !PROBABLY_WHOLE.test(text)) return 'other';
  if (PARTIAL.some((mark) => instruction.includes(mark))) return 'other';
  return INSTRUCTED.test(instruction) ? 'instructed' : 'whole';
}

/** Reads a request as a compaction; null when it is none. */
export function readCompaction(request: History, requestClass: RequestClass): Compaction | null {
  if (requestClass === 'turn' || requestClass === 'auxiliary') return null;
  const at = lastSpoken(request);
  const instruction = instructionOf(request.message(at));
  if (instruction === undefined) return requestClass === 'compaction' ? { kind: 'other', history: request } : null;
  const kind = kindOf(instruction, requestClass);
  return kind === null ? null : { kind, history: withoutInstruction(request, at) };
}

/** How requests begin that carry the main history and a question beside it (`auxiliary` where classes are sent). */
const SIDE_REQUESTS = ['[SUGGESTION MODE:', '<system-reminder>This is a side question from the user'];

/**
 * True for a request that a client without class headers makes beside the conversation, with its whole history
 * (prompt suggestions, observed on 2.1.63 to 2.1.200): no turn of it.
 */
export function isSideRequest(history: History): boolean {
  const last = history.message(history.length - 1);
  if (last?.role !== 'user') return false;
  return blocksOf(last).some((block) => SIDE_REQUESTS.some((opening) => textOf(block)?.startsWith(opening) === true));
}

/** How a history begins that goes on from a summary (2.0.76 to 2.1.330). */
export const CONTINUATION = 'This session is being continued from a previous conversation';

/**
 * The text with which a compacted history begins: the first user message's text with the summary in it; null when this
 * history does not begin with a summary.
 */
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
