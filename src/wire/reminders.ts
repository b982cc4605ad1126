/**
 * `<system-reminder>` spans: text that the client puts into messages for the model, and that comes, goes and moves
 * between requests of one conversation (wire.md, Who is asking and How a history moves). They say nothing about which
 * history this is, and nothing a person said.
 */

const TAG = /<(\/?)system-reminder>/g;
const OPENING_LENGTH = '<system-reminder>'.length;

/**
 * Takes every reminder out of a text and the white space around what is left. Spans may be nested: older clients put
 * whole files into a reminder, and files can hold reminders themselves (observed on 1.0.128). A tag without its
 * counterpart is text like any other.
 */
export function withoutReminders(text: string): string {
  return outsideReminders(text, () => undefined);
}

/** Reminders that carry what somebody said, or what happened: they come once, where they belong (2.1.330). */
export const USER_VISIBLE_REMINDER = /^\s*(The user sent a new message while you were working|\[SYSTEM NOTIFICATION)/;

/** A text apart: what stands outside reminders, and the reminders that carry what somebody said. */
export interface Spoken {
  readonly text: string;
  readonly spoken: readonly string[];
}

/** Takes a text apart. */
export function splitReminders(text: string): Spoken {
  const spoken: string[] = [];
  const rest = outsideReminders(text, (reminder) => {
    if (USER_VISIBLE_REMINDER.test(reminder)) spoken.push(reminder.trim());
  });
  return { text: rest, spoken };
}

/** What was said in a text: in full, reminders left out but for those that carry a message, which follow it. */
export function spokenText(text: string): string {
  const { spoken, text: rest } = splitReminders(text);
  return [rest, ...spoken].filter((part) => part !== '').join('\n');
}

/** @param onReminder hears what stands between the tags of each outermost reminder */
function outsideReminders(text: string, onReminder: (reminder: string) => void): string {
  if (!text.includes('<system-reminder>')) return text.trim();
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  let opened = 0;
  for (const tag of text.matchAll(TAG)) {
    if (tag[1] === '') {
      if (depth === 0) opened = tag.index;
      depth += 1;
    } else if (depth > 0) {
      depth -= 1;
      if (depth > 0) continue;
      parts.push(text.slice(from, opened));
      onReminder(text.slice(opened + OPENING_LENGTH, tag.index));
      from = tag.index + tag[0].length;
    }
  }
  parts.push(text.slice(from));
  return parts
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .join('\n');
}
