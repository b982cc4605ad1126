/**
 * `NODE_EXTRA_CA_CERTS` names a single file: this module joins the proxy's CA certificate and the user's own bundle into
 * one, and writes it again when either changes.
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
 * The path of that file.
 *
 * @param users the user's own `NODE_EXTRA_CA_CERTS`; a file that cannot be read is ignored, as Node and Claude Code do
 * @throws FileError; the file system's error where the proxy's CA cannot be read
 */
export function caBundle(layout: DataPaths, users: string | undefined): string {
  if (users === undefined || users.trim() === '') return layout.ca;
  // A launch within a launch: the bundle is joined already.
  if (users === layout.ca || users.startsWith(join(layout.state, PREFIX))) return users;
  let theirs: string;
  try {
    theirs = realpathSync(users);
  } catch {
    return layout.ca;
  }
  // Loaded here: most launches have no bundle to join.
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

/** When a file changed last; -1 for none. The change time, because `cp -p` keeps the modification time. */
function changedAt(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.ctimeMs ?? -1;
}

/** True for the proxy's CA file and for the bundles written here. */
export const isOurBundle = (layout: DataPaths, path: string): boolean =>
  path === layout.ca || path.startsWith(join(layout.state, PREFIX));
