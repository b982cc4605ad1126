/** How long `claude-db-proxy serve`, as it is installed, takes from its start to a healthy answer; certificates are there. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { openCertificates } from '../../src/certificates/certificates.ts';
import { silentLog } from '../../src/log.ts';
import { figure, type Figure } from './figures.ts';
import { freePort } from './nginx.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const main = join(root, 'dist/cli/main.js');
const SAMPLES = 15;
const GOAL_MS = 500;
const LIMIT_MS = 20_000;

const healthy = (port: number, ca: string): Promise<boolean> =>
  new Promise((resolve) => {
    const headers = { host: 'localhost' };
    const asked = get({ host: '127.0.0.1', port, path: '/health', headers, ca, servername: 'localhost', agent: false });
    asked.on('error', () => resolve(false));
    asked.on('response', (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
  });

async function startOnce(dataDir: string, ca: string): Promise<number> {
  const port = await freePort();
  const began = performance.now();
  const child = spawn(process.execPath, [main, 'serve'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      DBPROXY_DATA_DIR: dataDir,
      DBPROXY_PROXY_PORT: '0',
      DBPROXY_DASHBOARD_PORT: String(port),
      DBPROXY_UPSTREAM_URL: 'http://127.0.0.1:9',
    },
  });
  const exit = once(child, 'exit');
  try {
    while (!(await healthy(port, ca))) {
      if (child.exitCode !== null || performance.now() - began > LIMIT_MS) {
        throw new Error('serve did not become healthy');
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return performance.now() - began;
  } finally {
    child.kill('SIGTERM');
    await exit;
  }
}

export async function benchStart(): Promise<Figure[]> {
  if (!existsSync(main)) execFileSync('npm', ['run', 'build'], { cwd: root, stdio: 'ignore' });
  const dataDir = mkdtempSync(join(tmpdir(), 'dbproxy-start-'));
  try {
    const directory = join(dataDir, 'certs');
    const { caPem } = await openCertificates({ directory, now: () => new Date(), log: silentLog });
    const times: number[] = [];
    for (let sample = 0; sample < SAMPLES; sample += 1) times.push(await startOnce(dataDir, caPem));
    return [figure('start of `serve` to healthy, certificates present', 'ms', times, GOAL_MS)];
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}
