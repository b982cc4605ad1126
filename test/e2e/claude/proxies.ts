/** The proxy under test, in this process or as `claude-db-proxy serve` in its own, in front of a simulated API. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Environment } from '../../../src/config.ts';
import { startSimulatedApi, type SimulatedApi, type SimulatedApiOptions } from '../../../src/simulated-api/index.ts';
import { startRig } from '../../support/rig.ts';

export interface RunningProxy {
  readonly api: SimulatedApi;
  /** Of the redirector: for `HTTPS_PROXY`. */
  readonly port: number;
  readonly dashboardPort: number;
  readonly caPath: string;
  /** Ends the proxy and the API; fails when the proxy does not end as it should. */
  stop(): Promise<void>;
}

/** Runs the proxy in this process. */
export async function runProxyHere(env: Environment, api: SimulatedApiOptions): Promise<RunningProxy> {
  const rig = await startRig(env, api);
  const { ports, caPath } = rig.proxy;
  return { api: rig.api, port: ports.proxy, dashboardPort: ports.dashboard, caPath, stop: () => rig.close() };
}

const START_MS = 30_000;
const STOP_MS = 15_000;

interface Started {
  readonly https_proxy: string;
  readonly dashboard: string;
  readonly ca: string;
}

/** Runs `claude-db-proxy serve` as a user would, with nothing but `DBPROXY_*` in its environment. */
export async function runProxyProcess(env: Environment, options: SimulatedApiOptions): Promise<RunningProxy> {
  const home = mkdtempSync(join(tmpdir(), 'dbproxy-serve-'));
  const api = await startSimulatedApi(options);
  const child = spawn(process.execPath, ['--import', 'tsx', 'cli/main.ts', 'serve'], {
    env: {
      PATH: process.env['PATH'],
      HOME: home,
      DBPROXY_PROXY_PORT: '0',
      DBPROXY_DASHBOARD_PORT: '0',
      DBPROXY_UPSTREAM_URL: api.url,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lastResort = (): void => void child.kill('SIGKILL');
  process.once('exit', lastResort);
  const exited = once(child, 'exit');
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString('utf8')));
  const started = new Promise<Started>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (text) => {
      const line = JSON.parse(text) as { readonly event: string } & Started;
      if (line.event === 'proxy.started') resolve(line);
    });
    child.once('exit', (code) => reject(new Error(`serve ended with ${code ?? 'a signal'}: ${stderr}`)));
    setTimeout(() => reject(new Error(`serve did not start: ${stderr}`)), START_MS).unref();
  });
  const stop = async (): Promise<void> => {
    const timer = setTimeout(lastResort, STOP_MS);
    child.kill('SIGTERM');
    await exited;
    clearTimeout(timer);
    process.off('exit', lastResort);
    await api.close();
    rmSync(home, { recursive: true, force: true });
    if (child.exitCode !== 0)
      throw new Error(`serve ended with ${child.exitCode ?? child.signalCode ?? ''}: ${stderr}`);
  };
  const {
    https_proxy: proxy,
    dashboard,
    ca,
  } = await started.catch(async (error: unknown) => {
    await stop().catch(() => undefined);
    throw error;
  });
  const [port, dashboardPort] = [proxy, dashboard].map((url) => Number(new URL(url).port));
  if (port === undefined || dashboardPort === undefined) throw new Error('serve did not tell its ports');
  return { api, port, dashboardPort, caPath: ca, stop };
}
