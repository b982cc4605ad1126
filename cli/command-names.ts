/** Which words are commands of ours. */

/** Also without `proxy-`: `claude` has no such subcommands. */
const PLAIN = [
  'status',
  'start',
  'stop',
  'logs',
  'history',
  'dashboard',
  'serve',
  'demo',
  'statusline',
  'uninstall',
] as const;
/** `claude` has these itself, or might. */
const PREFIXED_ONLY = ['help', 'version', 'update', 'doctor'] as const;

export const PREFIX = 'proxy-';

const OURS: ReadonlySet<string> = new Set([...PLAIN, ...[...PLAIN, ...PREFIXED_ONLY].map((name) => PREFIX + name)]);

/** The one command that is in a hurry. */
export const isStatusLine = (word: string | undefined): boolean =>
  word === 'statusline' || word === `${PREFIX}statusline`;

/** True when the first argument is a command of ours; everything else is for `claude`. */
export const isOurCommand = (word: string | undefined): boolean => word !== undefined && OURS.has(word);
