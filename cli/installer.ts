/** `uninstall` and `proxy-update`: what the installer does, in POSIX sh, because a machine without Node needs it too. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Environment } from '../src/config.ts';
import { RuntimeError } from '../src/errors.ts';
import { endAs, runInOurPlace } from './launch/in-our-place.ts';

const FROM_SOURCES = import.meta.url.endsWith('.ts');
const INSTALLER = fileURLToPath(new URL(`${FROM_SOURCES ? '../' : '../../'}installer/main.sh`, import.meta.url));

/**
 * Runs it in this terminal, and ends as it ended.
 *
 * @throws RuntimeError where this copy has no installer
 */
export async function runInstaller(args: readonly string[], env: Environment): Promise<never> {
  if (!existsSync(INSTALLER)) {
    throw new RuntimeError(`this copy was not installed by install.sh; remove or update it the way it came (npm, git)`);
  }
  return endAs(await runInOurPlace('/bin/sh', [INSTALLER, ...args], env));
}
