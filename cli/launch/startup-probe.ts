/**
 * The proxy's health, as curl heard it while this program was starting (posix/launcher/startup-probe.sh). Says only
 * whether all is well; whatever else there may be, health-check.ts finds out.
 */
import { readFileSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Health } from '../../src/admin/health.ts';
import { readHealth } from '../health-check.ts';

const POLL_MS = 2;
/** As long as curl itself may take, and a little. */
const PATIENCE_MS = 2_200;

/**
 * What the healthy proxy said of itself; null where there is none, or nobody asked. Never rejects.
 *
 * @param env this process's own, from which the file's name is taken away: it is nobody else's business. The file is empty
 *   until there is an answer, and says `no` where there is none
 */
export async function startupProbe(env: NodeJS.ProcessEnv): Promise<Health | null> {
  const { DBPROXY_EARLY_ANSWER: path } = env;
  if (path === undefined) return null;
  delete env['DBPROXY_EARLY_ANSWER'];
  try {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end;) {
      await delay(POLL_MS);
      const body = readFileSync(path, 'utf8');
      if (body === 'no\n') return null;
      const health = readHealth({ status: 200, body });
      if (health !== null) return health;
    }
    return null;
  } catch {
    return null;
  } finally {
    rmSync(path, { force: true });
  }
}
