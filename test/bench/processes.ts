/** The processes that a measurement needs: the simulated API, the proxy in front of it, yardsticks beside it. All over TLS. */
import { execFileSync, fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openCertificates } from '../../src/certificates/certificates.ts';
import { silentLog } from '../../src/log.ts';
import { startNginx, type Nginx } from './nginx.ts';
import type { ProxyStats } from './proxy-process.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

export interface Target {
  readonly name: string;
  readonly port: number;
  readonly servername: string;
  readonly ca: string;
}

export interface Bench {
  readonly direct: Target;
  readonly proxy: Target;
  readonly nginx: Target | null;
  /** Node and nothing else. */
  readonly pipe: Target;
  readonly nginxVersion: string | null;
  stats(): Promise<ProxyStats>;
  close(): Promise<void>;
}

async function startApi(certs: string, more: readonly string[]): Promise<{ child: ChildProcess; port: number }> {
  const args = ['--import', 'tsx', 'src/simulated-api/main.ts', '--lean', '--record', '0'];
  const tls = ['--tls-cert', join(certs, 'localhost.pem'), '--tls-key', join(certs, 'localhost-key.pem')];
  const child = spawn(process.execPath, [...args, ...tls, ...more], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(/:(\d+)/.exec(line.toString().replace('https:', ''))?.[1]);
  return { child, port };
}

async function startPipe(certs: string, api: number): Promise<{ child: ChildProcess; port: number }> {
  const files = ['localhost.pem', 'localhost-key.pem', 'ca.pem'].map((file) => join(certs, file));
  const args = ['--import', 'tsx', 'test/bench/pipe-process.ts', String(api), ...files];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, port: Number(line.toString()) };
}

/** What `BENCH_NODE_OPTIONS` adds for the proxy alone, to profile it: `--cpu-prof`, say. */
const moreForNode = (): string[] =>
  (process.env['BENCH_NODE_OPTIONS'] ?? '').split(' ').filter((option) => option !== '');

/** Starts the proxy as it ships: bundled. With TypeScript loaded on the fly its heap would be twice as large. */
async function startProxyProcess(
  env: Record<string, string>,
): Promise<{ child: ChildProcess; port: number; ca: string }> {
  // Where its native packages are found.
  const directory = mkdtempSync(join(root, 'node_modules/.bench-'));
  execFileSync(process.execPath, ['esbuild.config.mjs', 'test/bench/proxy-process.ts', directory], { cwd: root });
  const child = fork(join(directory, 'proxy-process.js'), {
    execArgv: ['--expose-gc', ...moreForNode()],
    env: { ...process.env, ...env },
  });
  child.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const [message] = (await once(child, 'message')) as [{ ports: { dashboard: number }; caPath: string }];
  return { child, port: message.ports.dashboard, ca: readFileSync(message.caPath, 'utf8') };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

/** Starts everything. `env` goes to the proxy, `apiArguments` to the simulated API. */
export async function startBench(
  env: Record<string, string> = {},
  apiArguments: readonly string[] = [],
): Promise<Bench> {
  const directory = mkdtempSync(join(tmpdir(), 'dbproxy-bench-'));
  const certs = join(directory, 'api-certs');
  const { caPem, caPath } = await openCertificates({ directory: certs, now: () => new Date(), log: silentLog });
  const api = await startApi(certs, apiArguments);
  const proxy = await startProxyProcess({
    DBPROXY_DATA_DIR: join(directory, 'proxy'),
    DBPROXY_PROXY_PORT: '0',
    DBPROXY_DASHBOARD_PORT: '0',
    DBPROXY_UPSTREAM_URL: `https://localhost:${api.port}`,
    NODE_EXTRA_CA_CERTS: caPath,
    ...env,
  });
  const tls = {
    cert: readFileSync(join(certs, 'localhost.pem'), 'utf8'),
    key: readFileSync(join(certs, 'localhost-key.pem'), 'utf8'),
  };
  const nginx: Nginx | null = await startNginx(api.port, tls);
  const pipe = await startPipe(certs, api.port);
  return {
    direct: { name: 'direct', port: api.port, servername: 'localhost', ca: caPem },
    proxy: { name: 'claude-db-proxy', port: proxy.port, servername: 'api.anthropic.com', ca: proxy.ca },
    nginx: nginx && { name: 'nginx', port: nginx.port, servername: 'localhost', ca: caPem },
    pipe: { name: 'Node alone', port: pipe.port, servername: 'localhost', ca: caPem },
    nginxVersion: nginx?.version ?? null,
    async stats() {
      proxy.child.send('stats');
      const [message] = (await once(proxy.child, 'message')) as [{ stats: ProxyStats }];
      return message.stats;
    },
    async close() {
      await nginx?.close();
      await end(pipe.child);
      await end(proxy.child);
      await end(api.child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
