/**
 * Answers of the simulated model: from a script, or else a default answer.
 */
import { type Answer, type AnswerBlock } from './behaviour.ts';
import { type RecordedRequest } from './recorder.ts';
import { type MessagesRequest } from './wire-types.ts';

/** A valid request, as a script gets it. */
export interface Call {
  readonly request: RecordedRequest;
  readonly message: MessagesRequest;
  readonly isSummary: boolean;
  /** Tokens of the prompt by its size. */
  readonly countedTokens: number;
}

/** A script: chooses the answer to a request; `undefined` takes the default answer. */
export type Responder = (call: Call) => Answer | undefined | Promise<Answer | undefined>;

/** The marker by which a summary can be recognised and traced to its request. */
export function summaryMarker(requestNumber: number): string {
  return `SIMULATED-SUMMARY-${requestNumber}`;
}

/** The default content: a summary where one is asked for, JSON where a schema is, else a sentence. */
export function defaultBlocks(call: Call, summaryTokens: number): readonly AnswerBlock[] {
  if (call.isSummary) return [{ type: 'text', text: summaryText(call.request.number, summaryTokens) }];
  const title = { title: 'Simulated conversation' };
  if (wantsJson(call.message)) return [{ type: 'text', text: JSON.stringify(title) }];
  return [{ type: 'text', text: `This is simulated answer ${call.request.number}. I looked at it and all is well.` }];
}

const SECTIONS = [
  'Primary Request and Intent',
  'Key Technical Concepts',
  'Files and Code Sections',
  'Errors and fixes',
  'Problem Solving',
  'All user messages',
  'Pending Tasks',
  'Current Work',
  'Optional Next Step',
];

const FILLER = 'The user asked for a change, it was made in the file in question, and the tests were run again. ';

/** A summary as the client's own compaction gets it, of about `tokens` tokens. */
export function summaryText(requestNumber: number, tokens: number): string {
  const marker = summaryMarker(requestNumber);
  const analysis = `<analysis>\nGoing through the conversation in order (${marker}).\n</analysis>\n\n`;
  const perSection = Math.max(FILLER.length, (tokens * 4 - 500) / SECTIONS.length);
  const filler = FILLER.repeat(Math.ceil(perSection / FILLER.length)).slice(0, perSection);
  const sections = SECTIONS.map((title, index) => `${index + 1}. ${title}:\n   ${filler.trim()}\n`);
  return `${analysis}<summary>\n${marker}\n${sections.join('\n')}\n</summary>`;
}

/** The wording by which the client, and most who imitate it, ask for a summary. */
const ASKS_FOR_SUMMARY = /\bsummary of (?:the|this|our) conversation\b/i;

/** Whether the last user message asks for a summary of the conversation. */
export function asksForSummary(request: MessagesRequest): boolean {
  const content = request.messages.findLast((message) => message.role === 'user')?.content;
  const text = typeof content === 'string' ? content : content?.at(-1)?.text;
  return text !== undefined && ASKS_FOR_SUMMARY.test(text);
}

function wantsJson(request: MessagesRequest): boolean {
  return JSON.stringify(request.output_config ?? null).includes('json_schema');
}
