/** The text a compaction is answered with, in the form that Claude Code takes apart: `<summary>…</summary>`. */

/** Tags that the client or the model would take for more than text. */
const TAGS = /<(\/?)(summary|analysis|system-reminder)>/gi;

/** Keeps the client from finding the end of the summary inside it, and the model from taking a quote for a reminder. */
export const escapeTags = (text: string): string => text.replace(TAGS, '&lt;$1$2&gt;');

/**
 * The summary in a model's answer, as the client itself reads one (wire.md, Compaction): what stands in
 * `<summary>…</summary>`, else everything but `<analysis>…</analysis>`. '' when nothing is left.
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

/** Each tag is searched for once, so that the time is linear in the length of the answer. */
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
