/** The proxy under test, in this process or as `claude-db-proxy serve` in its own, in front of a simulated API. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Environment } from '../../../src/config/config.ts';
import { startSimulatedApi, type SimulatedApi, type SimulatedApiOptions } from '../../../src/simulated-api/index.ts';
import { startRig } from '../../support/rig.ts';

export interface RunningProxy {
  readonly api: SimulatedApi;
  /** Of the redirector: for `HTTPS_PROXY`. */
  readonly port: number;
  readonly dashboardPort: number;
  readonly caPath: string;
  /** Resolves when the log of this run has told of a checkpoint that was completed. Only of a process of its own. */
  checkpointCompleted(): Promise<void>;
  /** `kill -9`, and a new start on the same ports and data directory. Only of a process of its own. */
  killAndStartAgain(): Promise<void>;
  /** Ends the proxy and the API; fails when the proxy does not end as it should. */
  stop(): Promise<void>;
}

/** Runs the proxy in this process. */
export async function runProxyHere(env: Environment, api: SimulatedApiOptions): Promise<RunningProxy> {
  const rig = await startRig(env, api);
  const { ports, caPath } = rig.proxy;
  return {
    api: rig.api,
    port: ports.proxy,
    dashboardPort: ports.dashboard,
    caPath,
    checkpointCompleted: () => Promise.reject(new Error('this proxy is no process of its own')),
    killAndStartAgain: () => Promise.reject(new Error('this proxy is no process of its own')),
    stop: () => rig.close(),
  };
}

const START_MS = 30_000;
const STOP_MS = 15_000;

interface Started {
  readonly https_proxy: string;
  readonly dashboard: string;
  readonly ca: string;
}

/** A `claude-db-proxy serve` that runs. */
class ServeProcess {
  readonly started: Promise<Started>;
  /** Resolves with the first checkpoint of this run; never where there is none. */
  readonly completed: Promise<void>;
  readonly #child;
  readonly #exited: Promise<unknown>;
  readonly #lastResort: () => void;
  #stderr = '';

  constructor(env: Environment) {
    const child = spawn(process.execPath, ['--import', 'tsx', 'cli/main.ts', 'serve'], {
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#lastResort = () => void child.kill('SIGKILL');
    process.once('exit', this.#lastResort);
    this.#exited = once(child, 'exit');
    child.stderr.on('data', (chunk: Buffer) => (this.#stderr += chunk.toString('utf8')));
    const lines = createInterface({ input: child.stdout });
    this.completed = new Promise((resolve) => {
      lines.on('line', (text) => {
        if ((JSON.parse(text) as { readonly event: string }).event === 'checkpoint.completed') resolve();
      });
    });
    this.started = new Promise<Started>((resolve, reject) => {
      lines.on('line', (text) => {
        const line = JSON.parse(text) as { readonly event: string } & Started;
        if (line.event === 'proxy.started') resolve(line);
      });
      child.once('exit', (code) => reject(new Error(`serve ended with ${code ?? 'a signal'}: ${this.#stderr}`)));
      setTimeout(() => reject(new Error(`serve did not start: ${this.#stderr}`)), START_MS).unref();
    });
    this.started.catch(() => undefined); // told to whoever waits for it
  }

  async kill(): Promise<void> {
    this.#lastResort();
    await this.#exited;
    process.off('exit', this.#lastResort);
  }

  /** Ends it as a user does; fails when it does not end well. */
  async stop(): Promise<void> {
    const timer = setTimeout(this.#lastResort, STOP_MS);
    this.#child.kill('SIGTERM');
    await this.#exited;
    clearTimeout(timer);
    process.off('exit', this.#lastResort);
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== 0) throw new Error(`serve ended with ${exitCode ?? signalCode ?? ''}: ${this.#stderr}`);
  }
}

/** Runs `claude-db-proxy serve` as a user would, with nothing but `DBPROXY_*` in its environment. */
export async function runProxyProcess(env: Environment, options: SimulatedApiOptions): Promise<RunningProxy> {
  const home = mkdtempSync(join(tmpdir(), 'dbproxy-serve-'));
  const api = await startSimulatedApi(options);
  const settings = (port: number, dashboardPort: number): Environment => ({
    HOME: home,
    DBPROXY_PROXY_PORT: String(port),
    DBPROXY_DASHBOARD_PORT: String(dashboardPort),
    DBPROXY_UPSTREAM_URL: api.url,
    ...env,
  });
  let serve = new ServeProcess(settings(0, 0));
  const stop = async (): Promise<void> => {
    try {
      await serve.stop();
    } finally {
      await api.close();
      rmSync(home, { recursive: true, force: true });
    }
  };
  const {
    https_proxy: proxy,
    dashboard,
    ca,
  } = await serve.started.catch(async (error: unknown) => {
    await stop().catch(() => undefined);
    throw error;
  });
  const [port, dashboardPort] = [proxy, dashboard].map((url) => Number(new URL(url).port));
  if (port === undefined || dashboardPort === undefined) throw new Error('serve did not tell its ports');
  return {
    api,
    port,
    dashboardPort,
    caPath: ca,
    checkpointCompleted: () => serve.completed,
    async killAndStartAgain() {
      await serve.kill();
      serve = new ServeProcess(settings(port, dashboardPort));
      await serve.started;
    },
    stop,
  };
}
