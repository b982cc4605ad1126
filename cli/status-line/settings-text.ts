/**
 * Our status line in the text of Claude Code's `settings.json`: put in, looked for, taken out. Pure: text in, text out, and
 * nothing but our own part of it changes, formatting included.
 */
import { applyEdits, modify, type JSONPath } from 'jsonc-parser';
import { messageOf } from '../../src/errors.ts';
import { isObject, type JsonObject } from '../../src/wire/json.ts';

/** Why the text is left alone: one line for people. */
export class SettingsFault extends Error {}

/** A command is ours whatever path it was installed under. */
const OURS = /claude-db-proxy['"]? statusline\s*$/;

/** @throws SettingsFault when the text is no JSON object. An empty text is an empty object, as it is to Claude Code. */
function parse(text: string): JsonObject {
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw new SettingsFault(`no valid JSON (${messageOf(error)})`);
  }
  if (!isObject(value)) throw new SettingsFault('no JSON object');
  return value;
}

/** The status line's command in it; null for none. @throws SettingsFault for a status line that is no command */
function commandIn(settings: JsonObject): string | null {
  const line = settings['statusLine'];
  if (line === undefined || line === null) return null;
  if (isObject(line) && (line['type'] ?? 'command') === 'command' && typeof line['command'] === 'string') {
    return line['command'];
  }
  throw new SettingsFault('its statusLine is no command');
}

/** As the text is indented already; two spaces for one that is not. */
function indentationOf(text: string): { readonly insertSpaces: boolean; readonly tabSize: number } {
  const [, indent = '  '] = /\n([ \t]+)\S/.exec(text) ?? [];
  return indent.startsWith('\t') ? { insertSpaces: false, tabSize: 1 } : { insertSpaces: true, tabSize: indent.length };
}

function edited(text: string, path: JSONPath, value: unknown): string {
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  return applyEdits(text, modify(text, path, value, { formattingOptions: { ...indentationOf(text), eol } }));
}

/** The command that runs before ours: the one that is there, unless that is ours already. Null for none. */
export function commandBefore(text: string): string | null {
  const command = commandIn(parse(text));
  return command === null || OURS.test(command) ? null : command;
}

/** The text with `command` as the status line's; what else that has (padding, say) stays. @throws SettingsFault */
export function withStatusLine(text: string, command: string): string {
  const settings = parse(text);
  const found = commandIn(settings);
  if (found === command) return text;
  if (text.trim() === '') return `${JSON.stringify({ statusLine: { type: 'command', command } }, null, 2)}\n`;
  return found === null
    ? edited(text, ['statusLine'], { type: 'command', command })
    : edited(text, ['statusLine', 'command'], command);
}

/** The text without ours, and with `before`, if there was one. Somebody else's status line stays. @throws SettingsFault */
export function withoutStatusLine(text: string, before: string | null): string {
  const found = commandIn(parse(text));
  if (found === null || !OURS.test(found)) return text;
  return before === null ? edited(text, ['statusLine'], undefined) : edited(text, ['statusLine', 'command'], before);
}
