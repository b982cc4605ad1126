/**
 * One user's machine in a temporary directory: a HOME, a PATH with a scripted `claude` that writes down how it was
 * started, a simulated API, and `claude-db-proxy` as a process of its own: the bundle (`npm run build:cli`), and the
 * launcher in front of it, as the installer leaves them. Whatever was started is ended by `close`.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { layoutOf, readRuntimeRecord, type DataPaths, type RuntimeRecord } from '../../../cli/installation.ts';
import { startSimulatedApi, type SimulatedApi } from '../../../src/simulated-api/index.ts';
import { newDataDir } from '../../src/forwarder/quick-rig.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** How the scripted `claude` was started. */
export interface Start {
  readonly pid: number;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly signals: readonly string[];
}

/** It notes arguments, environment and signals in a file of its own, and ends as `FAKE_*` variables say. */
const CLAUDE = `#!${process.execPath}
const { writeFileSync, renameSync } = require('node:fs');
const { FAKE_STARTS, FAKE_EXIT = '0', FAKE_WAIT, FAKE_ECHO } = process.env;
const start = { pid: process.pid, args: process.argv.slice(2), env: process.env, signals: [] };
const write = () => {
  writeFileSync(FAKE_STARTS + '/.' + process.pid, JSON.stringify(start));
  renameSync(FAKE_STARTS + '/.' + process.pid, FAKE_STARTS + '/' + process.pid + '.json');
};
for (const signal of (FAKE_WAIT ?? '').split(',').filter((name) => name.startsWith('SIG'))) {
  process.on(signal, () => { start.signals.push(signal); write(); });
}
write();
if (FAKE_ECHO) process.stdin.pipe(process.stdout);
if (FAKE_WAIT) setInterval(() => {
  try { require('node:fs').accessSync(FAKE_STARTS + '/end'); process.exit(Number(FAKE_EXIT)); } catch {}
}, 20);
else if (!FAKE_ECHO) process.exit(Number(FAKE_EXIT));
else process.stdin.on('end', () => process.exit(Number(FAKE_EXIT)));
`;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export type Command = readonly [string, ...string[]];

/** One run of `claude-db-proxy`. */
export class Run {
  readonly process: ChildProcessWithoutNullStreams;
  stdout = '';
  stderr = '';
  readonly ended: Promise<Ended>;

  constructor(command: Command, env: Readonly<Record<string, string>>, cwd: string) {
    const [program, ...args] = command;
    this.process = spawn(program, args, { env, cwd });
    this.process.stdin.on('error', () => undefined); // it may end without reading
    this.process.stdout.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.process.stderr.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.ended = once(this.process, 'close').then(([code, signal]: unknown[]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
      stdout: this.stdout,
      stderr: this.stderr,
    }));
  }
}

/** Resolves with the first value that is not null; rejects after `ms`. */
export async function eventually<T>(look: () => T | null | Promise<T | null>, what: string, ms = 20_000): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (Date.now() > end) throw new Error(`in vain: ${what}`);
    await delay(20);
  }
}

export class World {
  readonly home: string;
  readonly bin: string;
  readonly api: SimulatedApi;
  readonly layout: DataPaths;
  readonly env: Readonly<Record<string, string>>;
  readonly #starts: string;
  readonly #runs: Run[] = [];

  private constructor(home: string, dataDir: string, api: SimulatedApi) {
    this.home = home;
    this.api = api;
    this.bin = join(home, 'bin');
    this.#starts = join(home, 'starts');
    this.layout = layoutOf({ dataDir });
    this.env = {
      PATH: `${this.bin}:${dirname(process.execPath)}:/usr/bin:/bin`,
      HOME: home,
      TMPDIR: process.env['TMPDIR'] ?? '/tmp',
      FAKE_STARTS: this.#starts,
      DBPROXY_DATA_DIR: dataDir,
      DBPROXY_PROXY_PORT: '0',
      DBPROXY_DASHBOARD_PORT: '0',
      DBPROXY_UPSTREAM_URL: api.url,
      DBPROXY_RUNTIME: 'node',
    };
  }

  static async open(options: { readonly claude?: boolean } = {}): Promise<World> {
    const home = mkdtempSync(join(tmpdir(), 'dbproxy-home-'));
    const world = new World(home, await newDataDir(), await startSimulatedApi());
    mkdirSync(world.bin);
    mkdirSync(world.#starts);
    world.#install('current', (from, to) => symlinkSync(from, to));
    if (options.claude !== false) {
      writeFileSync(join(world.bin, 'claude'), CLAUDE);
      chmodSync(join(world.bin, 'claude'), 0o755);
    }
    return world;
  }

  /** What the installed command runs. */
  get launcher(): Command {
    return ['/bin/sh', join(this.#app('current'), 'cli/posix/launcher/claude-db-proxy.sh')];
  }

  /** The program without the launcher, as npm installs it. */
  get program(): Command {
    return [process.execPath, join(ROOT, 'dist/cli/main.js')];
  }

  /** Runs `claude-db-proxy` with arguments. */
  run(args: readonly string[], env: Readonly<Record<string, string>> = {}, command: Command = this.launcher): Run {
    const run = new Run([...command, ...args], { ...this.env, ...env }, this.home);
    this.#runs.push(run);
    return run;
  }

  /** Runs to the end. */
  async ended(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    const run = this.run(args, env);
    run.process.stdin.end();
    return run.ended;
  }

  /** How `claude` was started, in the order in which it was. */
  get starts(): readonly Start[] {
    const files = readdirSync(this.#starts).filter((name) => name.endsWith('.json'));
    return files.map((name) => JSON.parse(readFileSync(join(this.#starts, name), 'utf8')) as Start);
  }

  /** The one start there was; fails when there were more, or none. */
  get start(): Start {
    const [start, ...more] = this.starts;
    if (start === undefined || more.length > 0) throw new Error(`claude was started ${this.starts.length} times`);
    return start;
  }

  /** Forgets how `claude` was started so far. */
  forget(): void {
    for (const name of readdirSync(this.#starts)) rmSync(join(this.#starts, name));
  }

  /** Resolves once `claude` runs. */
  running(): Promise<Start> {
    return eventually(() => this.starts[0] ?? null, 'claude was not started', 40_000);
  }

  /** Has every `claude` that waits end. */
  end(): void {
    writeFileSync(join(this.#starts, 'end'), '');
  }

  get record(): RuntimeRecord | null {
    return readRuntimeRecord(this.layout);
  }

  /** What the proxy runs as; fails where none is written down. */
  get pid(): number {
    const pid = this.record?.pid ?? null;
    if (pid === null) throw new Error('no process is written down');
    return pid;
  }

  /** Events in the proxy's log. */
  logged(event: string): number {
    try {
      return readFileSync(this.layout.log, 'utf8').split(`"event":"${event}"`).length - 1;
    } catch {
      return 0;
    }
  }

  #app(version: string): string {
    return join(this.home, 'app', version);
  }

  /** Puts a version of the program where the installer would, `dist` by a link or as a copy that finds its own version. */
  #install(version: string, dist: (from: string, to: string) => void): void {
    const app = this.#app(version);
    mkdirSync(app, { recursive: true });
    symlinkSync(join(ROOT, 'cli'), join(app, 'cli'));
    symlinkSync(process.execPath, join(app, 'node'));
    symlinkSync(realpathSync(join(ROOT, 'node_modules')), join(app, 'node_modules'));
    cpSync(join(ROOT, 'package.json'), join(app, 'package.json'));
    dist(join(ROOT, 'dist'), join(app, 'dist'));
  }

  /** A copy of this program that says it is of another version. */
  copy(version: string): Command {
    this.#install(version, (from, to) => cpSync(from, to, { recursive: true }));
    const manifest = join(this.#app(version), 'package.json');
    const json = JSON.parse(readFileSync(manifest, 'utf8')) as object;
    writeFileSync(manifest, JSON.stringify({ ...json, version }, null, 2));
    return ['/bin/sh', join(this.#app(version), 'cli/posix/launcher/claude-db-proxy.sh')];
  }

  async close(): Promise<void> {
    this.end();
    for (const run of this.#runs) {
      run.process.kill('SIGKILL');
      await run.ended;
    }
    for (const { pid } of [...this.starts, { pid: this.record?.pid ?? 0 }]) kill(pid);
    await this.api.close();
    await eventually(() => (this.#remove() ? true : null), 'the directories could not be removed');
  }

  /** False while somebody still writes there. */
  #remove(): boolean {
    try {
      for (const path of [this.home, this.layout.dataDir]) rmSync(path, { recursive: true, force: true });
      return true;
    } catch {
      return false;
    }
  }
}

export function kill(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  if (pid <= 1) return;
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}

/** True while a process runs. One that has ended, and that nobody has asked how, does not (containers without an init). */
export function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return process.platform !== 'linux';
  }
}

/** For a suite: opens worlds, and closes them after each test. */
export function worlds(): (options?: { readonly claude?: boolean }) => Promise<World> {
  const open: World[] = [];
  afterEach(async function () {
    this.timeout(60_000);
    for (const world of open.splice(0)) await world.close();
  });
  return async (options) => {
    const world = await World.open(options);
    open.push(world);
    return world;
  };
}
