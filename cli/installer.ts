/** `uninstall` and `proxy-update`: what the installer does, in POSIX sh, because a machine without Node needs it too. */
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Environment } from '../src/config/config.ts';
import { RuntimeError } from '../src/errors.ts';
import { endAs, runAsForegroundChild } from './launch/foreground-child.ts';

/** The installer that came with this program, beside `cli/` or `dist/`; undefined where none did. */
function findInstaller(): string | undefined {
  const above = dirname(dirname(realpathSync(process.argv[1] ?? '.')));
  return [above, dirname(above)]
    .map((root) => join(root, 'cli/posix/installer/main.sh'))
    .find((path) => existsSync(path));
}

/**
 * Runs it in this terminal, and ends as it ended.
 *
 * @throws RuntimeError where this copy has no installer
 */
export async function runInstaller(args: readonly string[], env: Environment): Promise<never> {
  const installer = findInstaller();
  if (installer === undefined) {
    throw new RuntimeError(`this copy was not installed by install.sh; remove or update it the way it came (npm, git)`);
  }
  return endAs(await runAsForegroundChild('/bin/sh', [installer, ...args], env));
}
