/**
 * Lists the settings (src/config/settings.ts) in README.md and compose.yaml: `npm run settings` writes both files, and
 * test/src/config/settings.test.ts fails where they differ.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { SETTINGS } from '../src/config/settings.ts';

const settings = Object.values(SETTINGS);

const README_TABLE = [
  '| variable | default | what it does |',
  '| --- | --- | --- |',
  ...settings.map(({ name, default: value, text }) => `| \`${name}\` | ${value && `\`${value}\` `}| ${text} |`),
].join('\n');

const COMPOSE_LIST = settings.flatMap(({ name, container }) => (container ? [`      - ${name}`] : [])).join('\n');

/** For each file, the lines that list the settings, and what they should be. */
const LISTS = [
  { file: 'README.md', lines: /^\| variable \| default \|.*(?:\n\|.*)*/m, expected: README_TABLE },
  { file: 'compose.yaml', lines: /^ {6}- DBPROXY_[A-Z_]+(?:\n {6}- DBPROXY_[A-Z_]+)*$/m, expected: COMPOSE_LIST },
];

/** Each file that lists the settings: its text as it is, and as it should be. */
export const documents = (): readonly { readonly file: string; readonly text: string; readonly expected: string }[] =>
  LISTS.map(({ file, lines, expected }) => {
    const text = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
    return { file, text, expected: text.replace(lines, () => expected) };
  });

if (process.argv[1] === import.meta.filename) {
  for (const { file, expected } of documents()) writeFileSync(new URL(`../${file}`, import.meta.url), expected);
}
