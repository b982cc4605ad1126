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
  const body = answer.replace(/<analysis>[\s\S]*?<\/analysis>/i, '');
  const tagged = /<summary>([\s\S]*)<\/summary>/i.exec(body) ?? /<summary>([\s\S]*)$/i.exec(body);
  return (tagged?.[1] ?? body).trim();
}

/** Joins summary and recent messages into the answer's one text block. */
export function answerText(summary: string, recent: string): string {
  const whole = recent === '' ? summary : `${summary}\n\n${recent}`;
  return `<summary>\n${escapeTags(whole)}\n</summary>`;
}
