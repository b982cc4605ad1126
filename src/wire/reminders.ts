/**
 * `<system-reminder>` spans: text that the client adds to messages for the model, and that it adds, removes and moves
 * between requests of one conversation (wire.md, Who is asking and How a history moves).
 */

const TAG = /<(\/?)system-reminder>/g;
const OPENING_LENGTH = '<system-reminder>'.length;

/**
 * Removes the reminders from a text, and the white space around the rest. Spans can be nested: older clients put whole
 * files into a reminder (observed on 1.0.128). A tag without its counterpart is ordinary text.
 */
export function withoutReminders(text: string): string {
  return outsideReminders(text, () => undefined);
}

/** Reminders that contain a user's message or a notification; they are sent once (2.1.330). */
export const USER_VISIBLE_REMINDER = /^\s*(The user sent a new message while you were working|\[SYSTEM NOTIFICATION)/;

/** The text outside reminders, and the reminders that people see. */
export interface SplitText {
  readonly text: string;
  readonly visibleReminders: readonly string[];
}

export function splitReminders(text: string): SplitText {
  const visibleReminders: string[] = [];
  const rest = outsideReminders(text, (reminder) => {
    if (USER_VISIBLE_REMINDER.test(reminder)) visibleReminders.push(reminder.trim());
  });
  return { text: rest, visibleReminders };
}

/** The text outside reminders, followed by the reminders that people see. */
export function visibleText(text: string): string {
  const { visibleReminders, text: rest } = splitReminders(text);
  return [rest, ...visibleReminders].filter((part) => part !== '').join('\n');
}

/** @param onReminder called with the text of each outermost reminder */
function outsideReminders(text: string, onReminder: (reminder: string) => void): string {
  if (!text.includes('<system-reminder>')) return text.trim();
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  let opening = 0;
  for (const tag of text.matchAll(TAG)) {
    if (tag[1] === '') {
      if (depth === 0) opening = tag.index;
      depth += 1;
    } else if (depth > 0) {
      depth -= 1;
      if (depth > 0) continue;
      parts.push(text.slice(from, opening));
      onReminder(text.slice(opening + OPENING_LENGTH, tag.index));
      from = tag.index + tag[0].length;
    }
  }
  parts.push(text.slice(from));
  return parts
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .join('\n');
}
