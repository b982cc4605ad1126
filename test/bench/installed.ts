/**
 * The program as the installer leaves it, in a HOME of its own: the bundle, the launcher, the link to Node or none, a
 * scripted `claude`, and a simulated API for the proxy. Used by launch.ts.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { layoutOf, readRuntimeRecord, type DataPaths } from '../../cli/installation.ts';
import { startSimulatedApi, type SimulatedApi } from '../../src/simulated-api/index.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** What a machine without Node has, and the launcher uses. */
const TOOLS = [
  ...['awk', 'cat', 'cksum', 'curl', 'cut', 'date', 'env', 'grep', 'head', 'id', 'mkdir', 'mv', 'rm', 'sed', 'sh'],
  ...['sleep', 'sort', 'tail', 'tr'],
];

export class Installed {
  readonly layout: DataPaths;
  readonly #home: string;
  readonly #bin: string;
  readonly #api: SimulatedApi;

  private constructor(api: SimulatedApi) {
    this.#api = api;
    this.#home = mkdtempSync(join(tmpdir(), 'dbproxy-launch-'));
    this.#bin = join(this.#home, 'bin');
    this.layout = layoutOf({ dataDir: join(this.#home, '.local/share/claude-db-proxy') });
  }

  static async make(): Promise<Installed> {
    if (!existsSync(join(root, 'dist/cli/main.js')))
      execFileSync('npm', ['run', 'build:cli'], { cwd: root, stdio: 'ignore' });
    const installed = new Installed(await startSimulatedApi({ record: 0 }));
    installed.#furnish();
    return installed;
  }

  #furnish(): void {
    mkdirSync(this.#bin);
    for (const tool of TOOLS) symlinkSync(pathOf(tool), join(this.#bin, tool));
    for (const version of ['with-node', 'without-node']) {
      const app = this.#app(version);
      mkdirSync(app, { recursive: true });
      for (const part of ['cli', 'package.json']) symlinkSync(join(root, part), join(app, part));
    }
    symlinkSync(join(root, 'dist'), join(this.#app('with-node'), 'dist'));
    symlinkSync(process.execPath, join(this.#app('with-node'), 'node'));
  }

  #app(version: string): string {
    return join(this.layout.dataDir, 'app', version);
  }

  /** The command that the installer puts into `~/.local/bin`, less its first three lines. */
  launcher(version: 'with-node' | 'without-node'): readonly [string, ...string[]] {
    return ['/bin/sh', join(this.#app(version), 'cli/posix/launcher/claude-db-proxy.sh')];
  }

  /** From now on `claude` is this much shell. */
  claude(body: string): string {
    const path = join(this.#bin, 'claude');
    writeFileSync(path, `#!/bin/sh\n${body}\n`);
    chmodSync(path, 0o755);
    return path;
  }

  get ports(): { readonly proxy: number; readonly dashboard: number } {
    const record = readRuntimeRecord(this.layout);
    if (record === null) throw new Error('no proxy runs');
    return record.ports;
  }

  get pid(): number | null {
    return readRuntimeRecord(this.layout)?.pid ?? null;
  }

  spawn([program, ...args]: readonly [string, ...string[]], env: Readonly<Record<string, string>> = {}): ChildProcess {
    return spawn(program, args, {
      env: {
        HOME: this.#home,
        PATH: this.#bin,
        DBPROXY_PROXY_PORT: '0',
        DBPROXY_DASHBOARD_PORT: '0',
        DBPROXY_RUNTIME: 'node',
        DBPROXY_UPSTREAM_URL: this.#api.url,
        ...env,
      },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
  }

  /** Runs to the end; how long that took, and what was said. @throws where it fails */
  async run(
    command: readonly [string, ...string[]],
    input = '',
    env: Readonly<Record<string, string>> = {},
  ): Promise<{ ms: number; said: string }> {
    const began = performance.now();
    const child = this.spawn(command, env);
    let said = '';
    child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`${command.join(' ')}: exit code ${String(code)}`);
    return { ms: performance.now() - began, said };
  }

  async close(): Promise<void> {
    await this.run([...this.launcher('with-node'), 'stop']);
    await this.#api.close();
    rmSync(this.#home, { recursive: true, force: true });
  }
}

function pathOf(tool: string): string {
  for (const place of (process.env['PATH'] ?? '').split(':')) {
    try {
      accessSync(join(place, tool), constants.X_OK);
      return join(place, tool);
    } catch {
      // Not there.
    }
  }
  throw new Error(`${tool} is not on PATH`);
}
