/** `uninstall` and `proxy-update`: what the installer does, in POSIX sh, because a machine without Node needs it too. */
import type { Environment } from '../src/config/config.ts';
import { RuntimeError } from '../src/errors.ts';
import { posixScript } from './installation.ts';
import { endAs, runAsForegroundChild } from './launch/foreground-child.ts';

/**
 * Runs it in this terminal, and ends as it ended.
 *
 * @throws RuntimeError where this copy has no installer
 */
export async function runInstaller(args: readonly string[], env: Environment): Promise<never> {
  const installer = posixScript('installer/main.sh');
  if (installer === undefined) {
    throw new RuntimeError(`this copy was not installed by install.sh; remove or update it the way it came (npm, git)`);
  }
  return endAs(await runAsForegroundChild('/bin/sh', [installer, ...args], env));
}
