/**
 * `node dist/cli/health.js`: exit code 0 where the proxy of this environment answers `/health`, 1 with one line where it
 * does not. The container's HEALTHCHECK. Node's own modules only: it is started every few seconds, and must be quick.
 */
import { readFileSync } from 'node:fs';
import { get } from 'node:https';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Less than the HEALTHCHECK's own patience, so that the reason is told. */
const PATIENCE_MS = 4_000;

function setting(name: string, fallback: string): string {
  const value = process.env[name]?.trim() ?? '';
  return value === '' ? fallback : value;
}

function unhealthy(reason: string): void {
  process.stderr.write(`unhealthy: ${reason}\n`);
  process.exitCode = 1;
}

const dataDir = setting('DBPROXY_DATA_DIR', join(homedir(), '.local/share/claude-db-proxy'));
const port = setting('DBPROXY_DASHBOARD_PORT', '8443');

try {
  const ca = readFileSync(join(dataDir, 'certs/ca.pem'), 'utf8');
  // Verified against our own CA: another process on that port is no healthy proxy.
  const signal = AbortSignal.timeout(PATIENCE_MS);
  get({ host: '127.0.0.1', port, servername: 'localhost', path: '/health', ca, signal, agent: false }, (response) => {
    response.resume();
    if (response.statusCode !== 200) unhealthy(`/health on port ${port} answers ${response.statusCode ?? 'nothing'}`);
  }).on('error', (error) =>
    unhealthy(
      signal.aborted ? `no answer on port ${port} within ${PATIENCE_MS / 1_000} s` : `port ${port}: ${error.message}`,
    ),
  );
} catch (error) {
  unhealthy(error instanceof Error ? error.message : String(error));
}
