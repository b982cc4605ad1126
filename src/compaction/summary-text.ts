/** Reads and writes summaries in the form that Claude Code parses: `<summary>…</summary>`. */

/** Tags with a meaning for the client or the model. */
const TAGS = /<(\/?)(summary|analysis|system-reminder)>/gi;

/** Escapes tags, so that a quoted one neither ends the summary for the client nor is a reminder for the model. */
export const escapeTags = (text: string): string => text.replace(TAGS, '&lt;$1$2&gt;');

/**
 * The summary in a model's answer, parsed as the client does (wire.md, Compaction): the text in `<summary>…</summary>`,
 * else everything except `<analysis>…</analysis>`. '' when there is none.
 */
export function extractSummary(answer: string): string {
  const body = withoutAnalysis(answer);
  const open = /<summary>/i.exec(body);
  if (open === null) return body.trim();
  const begin = open.index + open[0].length;
  let end = body.length;
  for (const close of body.matchAll(/<\/summary>/gi)) if (close.index >= begin) end = close.index;
  return body.slice(begin, end).trim();
}

/** Searches for each tag once, so that the time is linear in the length of the answer. */
function withoutAnalysis(answer: string): string {
  const open = /<analysis>/i.exec(answer);
  if (open === null) return answer;
  const closing = /<\/analysis>/gi;
  closing.lastIndex = open.index;
  const close = closing.exec(answer);
  return close === null ? answer : answer.slice(0, open.index) + answer.slice(close.index + close[0].length);
}

/** Joins summary and recent messages into the answer's one text block. */
export function answerText(summary: string, recent: string): string {
  const whole = recent === '' ? summary : `${summary}\n\n${recent}`;
  return `<summary>\n${escapeTags(whole)}\n</summary>`;
}
