/**
 * `node dist/cli/health.js`: exit code 0 where the proxy of this environment is healthy, 1 with one line where it is not.
 * The container's HEALTHCHECK; by DBPROXY_DATA_DIR and DBPROXY_PROXY_PORT, which a container always has.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { checkHealth } from './health-check.ts';
import { layoutOf } from './installation.ts';

/** Less than the HEALTHCHECK's own patience, so that the reason is told. */
const PATIENCE_MS = 4_000;

function setting(name: string, fallback: string): string {
  const value = process.env[name]?.trim() ?? '';
  return value === '' ? fallback : value;
}

const layout = layoutOf({ dataDir: setting('DBPROXY_DATA_DIR', join(homedir(), '.local/share/claude-db-proxy')) });
const port = Number(setting('DBPROXY_PROXY_PORT', '8080'));

void checkHealth(layout, { host: '127.0.0.1', port, timeoutMs: PATIENCE_MS }).then((check) => {
  if (check.healthy) return;
  process.stderr.write(`unhealthy: port ${port}: ${check.trouble}\n`);
  process.exitCode = 1;
});
