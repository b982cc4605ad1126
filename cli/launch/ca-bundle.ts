/**
 * One file of CA certificates for `NODE_EXTRA_CA_CERTS`, which names one file only: ours and those that the user had in
 * that variable. Made anew whenever either changes.
 */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFileSync } from '../../src/files.ts';
import type { DataPaths } from '../installation.ts';

const PREFIX = 'ca-bundle-';

function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/**
 * The file to name.
 *
 * @param users the user's own `NODE_EXTRA_CA_CERTS`; undefined for none. One that cannot be read counts for nothing, as
 *   it does for Node and for Claude Code
 * @throws FileError; the file system's error where our own CA cannot be read
 */
export function caBundle(layout: DataPaths, users: string | undefined): string {
  if (users === undefined || users.trim() === '') return layout.ca;
  // A launch within a launch: that is ours already.
  if (users === layout.ca || users.startsWith(join(layout.state, PREFIX))) return users;
  let theirs: string;
  try {
    theirs = realpathSync(users);
  } catch {
    return layout.ca;
  }
  // Loaded here: most launches have no bundle to name.
  const { createHash } = process.getBuiltinModule('node:crypto');
  const name = createHash('sha256').update(theirs).digest('hex').slice(0, 12);
  const path = join(layout.state, `${PREFIX}${name}.pem`);
  if (changedAt(path) <= Math.max(changedAt(layout.ca), changedAt(theirs))) {
    const text = textOf(theirs);
    if (text === null) return layout.ca;
    replaceFileSync(path, `${readFileSync(layout.ca, 'utf8').trimEnd()}\n${text.trimEnd()}\n`);
  }
  return path;
}

/** When a file was changed last, by whatever means (`cp -p` keeps another time than this one); -1 where there is none. */
function changedAt(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.ctimeMs ?? -1;
}

/** The user's own bundle, for whoever starts the proxy from within a launch; undefined where it is ours. */
export const isOurBundle = (layout: DataPaths, path: string): boolean =>
  path === layout.ca || path.startsWith(join(layout.state, PREFIX));
