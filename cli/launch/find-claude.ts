/** The user's `claude`: the first on PATH that is not ourselves, by whatever name or link. */
import { accessSync, closeSync, constants, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Environment } from '../../src/config/config.ts';

/** Where Claude Code's own installers put it, for a PATH that lacks them. */
const USUAL_PLACES = ['.local/bin', '.claude/local', '.bun/bin'];
/** A wrapper says early whom it calls. */
const HEAD_BYTES = 4096;

export const HOW_TO_GET_IT =
  'Claude Code is not installed, or `claude` is not on PATH. Get it from https://code.claude.com/docs/en/setup: ' +
  'curl -fsSL https://claude.ai/install.sh | bash';

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** The first bytes of a file; '' where it cannot be read. */
function headOf(path: string): string {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    const bytes = Buffer.alloc(HEAD_BYTES);
    return bytes.toString('latin1', 0, readSync(file, bytes));
  } catch {
    return '';
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** A link to us, or a script (an alias made a file) that would start us again. */
function isOurselves(path: string, own: string): boolean {
  if (realpathSync(path) === own) return true;
  const head = headOf(path);
  return head.startsWith('#!') && head.includes('claude-db-proxy');
}

/**
 * Finds it; null where there is none.
 *
 * @param own real path of the program that runs now
 */
export function findClaude(env: Environment, own: string): string | null {
  const home = env['HOME'] ?? '';
  const places = (env['PATH'] ?? '').split(delimiter).filter((place) => place !== '');
  const usual = home === '' ? [] : USUAL_PLACES.map((place) => join(home, place));
  for (const place of [...places, ...usual]) {
    const path = join(place, 'claude');
    if (isExecutable(path) && !isOurselves(path, own)) return path;
  }
  return null;
}
