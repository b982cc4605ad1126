/** The title of a conversation: the client's working folder and the user's first words, both from the first request. */
import { CONTINUATION } from './compaction.ts';
import { blocksOf, textOf, type Message, type MessageRequest } from './message-request.ts';
import { withoutReminders } from './reminders.ts';
import { truncateWithEllipsis } from './text.ts';

export interface ConversationTitle {
  /** Absolute path; null when unknown. */
  readonly folder: string | null;
  /** The first words, on one line; null for none. */
  readonly words: string | null;
}

/**
 * The client's folder is in the system prompt (older clients), in a reminder at the start of the first user message (4.6
 * models, 2.1.330) or in a `system` message after it (5.5 models).
 */
const FOLDER = /^[ \t]*(?:[-*][ \t]+)?(?:Primary working|Working) directory:[ \t]*(\S.*)$/m;
/** Only these are searched. */
const FIRST_MESSAGES = 12;
const WORDS_LENGTH = 120;
/** The tags around commands and their output in user messages. */
const COMMAND_TAG = /<(\/?)(command-[a-z]+|local-command-[a-z]+|bash-[a-z]+)>/g;

/** Replaces each command and its output by a blank, in one pass over the text. */
function withoutCommands(text: string): string {
  const tags = [...text.matchAll(COMMAND_TAG)];
  /** Ends of the closing tags by name, the next one last. */
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

/** The texts of a message that the client wrote, not a person. */
function clientTexts(message: Message): string[] {
  const texts = blocksOf(message).flatMap((block) => textOf(block) ?? []);
  if (message.role === 'system') return texts;
  return message.role === 'user' ? texts.filter((text) => text.startsWith('<system-reminder>')) : [];
}

function firstWordsIn(message: Message): string | null {
  if (message.role !== 'user') return null;
  for (const block of blocksOf(message)) {
    const words = withoutCommands(withoutReminders(textOf(block) ?? ''))
      .replace(/\s+/g, ' ')
      .trim();
    if (words !== '' && !words.includes(CONTINUATION)) return truncateWithEllipsis(words, WORDS_LENGTH);
  }
  return null;
}

export function readTitle(request: MessageRequest): ConversationTitle {
  let folder: string | null = null;
  let words: string | null = null;
  for (let at = 0; at < Math.min(request.length, FIRST_MESSAGES) && (folder === null || words === null); at += 1) {
    const message = request.message(at);
    if (message === null) break;
    for (const text of clientTexts(message)) folder ??= folderIn(text);
    words ??= firstWordsIn(message);
  }
  for (const text of folder === null ? request.systemTexts() : []) folder ??= folderIn(text);
  return { folder, words };
}
