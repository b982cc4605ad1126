/** How a scenario is registered: numbered, counted, and with what it takes to play it alone in every failure. */
import type { Context } from 'mocha';
import { figures } from './figures.ts';
import { Chance, SEED } from './seed.ts';

/** Names are unique: a failure is played again by its name. */
const names = new Set<string>();

/**
 * Registers one scenario.
 *
 * @param name unique; a scenario's dice follow from it, so that renaming one changes what it draws
 */
export function scenario(
  name: string,
  play: (this: Context, chance: Chance) => Promise<void>,
  timeoutMs?: number,
): void {
  if (names.has(name)) throw new Error(`two scenarios are named ${name}`);
  names.add(name);
  const test = it(name, async function () {
    figures.scenarios += 1;
    try {
      await play.call(this, new Chance(name));
    } catch (error) {
      figures.lost += 1;
      throw explained(error, name);
    }
  });
  if (timeoutMs !== undefined) test.timeout(timeoutMs);
}

/** The failure with its seed, its scenario, and the command that plays it alone. */
export function explained(error: unknown, name: string): unknown {
  if (!(error instanceof Error)) return error;
  const command = `DBPROXY_FAULTS_SEED=${SEED} npm run test:faults -- --fgrep ${JSON.stringify(name)}`;
  error.message = `${error.message}\n  seed ${SEED}, scenario ${name}; alone: ${command}`;
  return error;
}
