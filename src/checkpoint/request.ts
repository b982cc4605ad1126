/**
 * The body of a checkpoint call: the conversation's last request, byte for byte, with one user message appended. A changed
 * byte before that message would be a miss of the API's prompt cache for the whole history (wire.md, A checkpoint that
 * costs little); `stream` and `max_tokens` are not part of the cached prefix.
 */
import { isObject } from '../wire/json.ts';
import { parseSpan, readTopLevel, type Span } from '../wire/json-spans.ts';
import { CHECKPOINT_INSTRUCTION } from './instruction.ts';

/** `max_tokens` for a summary: what the client itself reserves, a little more than the largest real summaries (wire.md). */
const SUMMARY_TOKENS = 20_000;
/** Upper bound for the tokens of the instruction. */
const INSTRUCTION_TOKENS = 1_000;

interface Edit extends Span {
  readonly text: string;
}

function apply(body: Buffer, edits: readonly Edit[]): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (const edit of [...edits].sort((a, b) => a.start - b.start)) {
    parts.push(body.subarray(at, edit.start), Buffer.from(edit.text));
    at = edit.end;
  }
  parts.push(body.subarray(at));
  return Buffer.concat(parts);
}

/**
 * `max_tokens` for the summary: unchanged, unless it is too small for a summary or no longer fits the window with the
 * history. Always more than the thinking budget, because the API refuses less.
 */
function summaryMaxTokens(requested: number, freeTokens: number, thinkingBudget: number): number {
  const least = Math.max(SUMMARY_TOKENS, thinkingBudget + 1_024);
  if (requested < least) return least;
  return requested > freeTokens ? Math.max(least, Math.min(requested, freeTokens)) : requested;
}

/**
 * Builds the body of a checkpoint call from the body of the last request.
 *
 * @param freeTokens tokens that are free in the context window after the last answer
 * @returns null when `body` is not the JSON of a message request (never the case for one that was answered)
 */
export function checkpointBody(body: Buffer, freeTokens: number): Buffer | null {
  const top = readTopLevel(body, 'messages');
  const messages = top?.spans.get('messages');
  if (top === null || messages === undefined || !top.elements?.length) return null;
  const { spans } = top;
  const end = messages.end - 1;
  const edits: Edit[] = [
    { start: end, end, text: `,${JSON.stringify({ role: 'user', content: CHECKPOINT_INSTRUCTION })}` },
  ];
  const thinking = parseSpan(body, spans.get('thinking'));
  const budget = isObject(thinking) && typeof thinking['budget_tokens'] === 'number' ? thinking['budget_tokens'] : 0;
  const maxTokens = spans.get('max_tokens');
  const requested = parseSpan(body, maxTokens);
  if (maxTokens !== undefined && typeof requested === 'number') {
    const wanted = summaryMaxTokens(requested, freeTokens - INSTRUCTION_TOKENS, budget);
    if (wanted !== requested) edits.push({ ...maxTokens, text: String(wanted) });
  }
  const stream = spans.get('stream');
  if (stream === undefined) edits.push({ start: messages.end, end: messages.end, text: ',"stream":true' });
  else if (parseSpan(body, stream) !== true) edits.push({ ...stream, text: 'true' });
  return apply(body, edits);
}
