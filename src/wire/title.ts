/**
 * What people know a conversation by: the folder that the client works in, and the first words that were said. Both stand
 * in the first request. Pure.
 */
import { CONTINUATION } from './compaction.ts';
import { blocksOf, textOf, type Message, type MessageRequest } from './message-request.ts';
import { withoutReminders } from './reminders.ts';
import { truncateWithEllipsis } from './text.ts';

export interface ConversationTitle {
  /** Absolute path; null where the client did not tell. */
  readonly folder: string | null;
  /** The first words, in one line; null where there are none. */
  readonly words: string | null;
}

/**
 * How the client tells its folder: in the system prompt (older clients), in a reminder at the beginning of the first user
 * message (4.6 models, 2.1.330) or in a `system` message behind it (5.5 models).
 */
const FOLDER = /^[ \t]*(?:[-*][ \t]+)?(?:Primary working|Working) directory:[ \t]*(\S.*)$/m;
/** So far into the history. */
const FIRST_MESSAGES = 12;
const WORDS_LENGTH = 120;
/** The tags around commands and their output in user messages. */
const COMMAND_TAG = /<(\/?)(command-[a-z]+|local-command-[a-z]+|bash-[a-z]+)>/g;

/** Replaces each command with its output by a blank. One pass over the text, whatever tags it holds. */
function withoutCommands(text: string): string {
  const tags = [...text.matchAll(COMMAND_TAG)];
  /** Ends of the closing tags by name, the nearest one last. */
  const ends = new Map<string, number[]>();
  for (let at = tags.length - 1; at >= 0; at -= 1) {
    const [tag = '', slash, name = ''] = tags[at] ?? [];
    if (slash !== '/') continue;
    const end = (tags[at]?.index ?? 0) + tag.length;
    const known = ends.get(name);
    if (known === undefined) ends.set(name, [end]);
    else known.push(end);
  }
  let kept = '';
  let from = 0;
  for (const { 1: slash, 2: name = '', index } of tags) {
    if (slash === '/' || index < from) continue;
    const closing = ends.get(name) ?? [];
    while ((closing.at(-1) ?? Infinity) <= index) closing.pop();
    const end = closing.at(-1);
    if (end === undefined) continue;
    kept += `${text.slice(from, index)} `;
    from = end;
  }
  return kept + text.slice(from);
}

function folderIn(text: string): string | null {
  return FOLDER.exec(text)?.[1]?.trimEnd() ?? null;
}

/** The texts of a message in which the client speaks, and nobody else. */
function clientTexts(message: Message): string[] {
  const texts = blocksOf(message).flatMap((block) => textOf(block) ?? []);
  if (message.role === 'system') return texts;
  return message.role === 'user' ? texts.filter((text) => text.startsWith('<system-reminder>')) : [];
}

function wordsIn(message: Message): string | null {
  if (message.role !== 'user') return null;
  for (const block of blocksOf(message)) {
    const said = withoutCommands(withoutReminders(textOf(block) ?? ''))
      .replace(/\s+/g, ' ')
      .trim();
    if (said !== '' && !said.includes(CONTINUATION)) return truncateWithEllipsis(said, WORDS_LENGTH);
  }
  return null;
}

/** Reads what a request tells of the name of its conversation. */
export function readTitle(request: MessageRequest): ConversationTitle {
  let folder: string | null = null;
  let words: string | null = null;
  for (let at = 0; at < Math.min(request.length, FIRST_MESSAGES) && (folder === null || words === null); at += 1) {
    const message = request.message(at);
    if (message === null) break;
    for (const text of clientTexts(message)) folder ??= folderIn(text);
    words ??= wordsIn(message);
  }
  for (const text of folder === null ? request.systemTexts() : []) folder ??= folderIn(text);
  return { folder, words };
}
