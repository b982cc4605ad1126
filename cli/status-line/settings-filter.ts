/**
 * `node settings-filter.js before | add COMMAND | remove BEFORE-AS-JSON`: settings.json on stdin, the answer on stdout.
 * For cli/posix/installer/status-line.sh, which runs it with Node, or in our container on a machine without Node: so it touches no
 * file. Exit code 3, with the reason on stderr, for settings that are to be left alone.
 */
import { readFileSync } from 'node:fs';
import { commandBefore, SettingsFault, withoutStatusLine, withStatusLine } from './settings-text.ts';

const LEFT_ALONE = 3;
const USAGE = 64;

function answer(verb: string | undefined, argument: string | undefined, text: string): string | undefined {
  if (verb === 'before') return `${JSON.stringify(commandBefore(text))}\n`;
  if (argument === undefined) return undefined;
  if (verb === 'add') return withStatusLine(text, argument);
  if (verb !== 'remove') return undefined;
  const before: unknown = JSON.parse(argument);
  return withoutStatusLine(text, typeof before === 'string' ? before : null);
}

try {
  const [verb, argument] = process.argv.slice(2);
  const said = answer(verb, argument, readFileSync(0, 'utf8'));
  if (said === undefined) process.exitCode = USAGE;
  else process.stdout.write(said);
} catch (error) {
  if (!(error instanceof SettingsFault)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = LEFT_ALONE;
}
