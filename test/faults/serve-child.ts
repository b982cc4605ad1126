/**
 * `claude-db-proxy serve` as a process of its own, as it is built: started, killed, started again on the same ports and
 * data directory, looked into through /proc and the probe.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ask, type Answer } from '../src/forwarder/raw-client.ts';
import { eventually } from './handles.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAIN = join(ROOT, 'dist/cli/main.js');
const PROBE = join(ROOT, 'test/faults/probe.mjs');

const START_MS = 20_000;

export interface ServeOptions {
  readonly dataDir: string;
  /** Of the simulated API, or the tap in front of it. */
  readonly upstream: string;
  /** More settings of the proxy. */
  readonly env?: Readonly<Record<string, string>>;
  /** With the probe in it: its clock can be shifted, its heap asked for. */
  readonly probe?: boolean;
  /** A command to run it with: `unshare`, `prlimit`, … Its arguments are the command of the proxy. */
  readonly within?: readonly string[];
}

/** A log line. */
export type Line = Readonly<Record<string, unknown>> & { readonly event: string };

/** What the probe tells. */
export interface Report {
  readonly heap: number;
  readonly resources: Readonly<Record<string, number>>;
  readonly offsetMs: number;
}

/** Processes that run now: none survives this one. */
const alive = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export class ServeChild {
  readonly options: ServeOptions;
  /** Known from the first start on, and kept. */
  readonly ports = { proxy: 0, dashboard: 0 };
  ca = '';
  /** What all runs have logged. */
  readonly lines: Line[] = [];
  /** What the present run has written to stderr. */
  stderr = '';
  /** Told of every line. */
  onLine: (line: Line) => void = () => undefined;
  readonly #scratch = mkdtempSync(join(tmpdir(), 'dbproxy-probe-'));
  #child: ChildProcess | undefined;
  #exited: Promise<unknown> = Promise.resolve();
  #asked = 0;
  #rest = '';

  constructor(options: ServeOptions) {
    this.options = options;
  }

  /** What clients need to reach it. */
  get proxy(): { readonly ports: { readonly proxy: number; readonly dashboard: number } } {
    return this;
  }

  get running(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  get exitCode(): number | null {
    return this.#child?.exitCode ?? null;
  }

  /** The process itself, however it was wrapped: wrappers replace themselves. */
  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error('the proxy does not run');
    return pid;
  }

  /** Starts it, and does not wait. */
  spawn(env: Readonly<Record<string, string>> = {}): void {
    const { dataDir, upstream, probe = false, within = [] } = this.options;
    const preload = probe ? ['--expose-gc', '--import', PROBE] : [];
    const node = [process.execPath, ...preload];
    const [program = '', ...args]: readonly string[] = [...within, ...node, MAIN, 'serve'];
    const child = spawn(program, args, {
      env: {
        PATH: process.env['PATH'],
        HOME: this.#scratch,
        FAULTS_PROBE: join(this.#scratch, 'orders'),
        DBPROXY_DATA_DIR: dataDir,
        DBPROXY_UPSTREAM_URL: upstream,
        DBPROXY_PROXY_PORT: String(this.ports.proxy),
        DBPROXY_DASHBOARD_PORT: String(this.ports.dashboard),
        ...this.options.env,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.stderr = '';
    this.#rest = '';
    this.#child = child;
    alive.add(child);
    child.stdout.on('data', (chunk: Buffer) => this.#take(chunk.toString('utf8')));
    child.stderr.on('data', (chunk: Buffer) => (this.stderr += chunk.toString('utf8')));
    this.#exited = once(child, 'close').then(() => alive.delete(child));
  }

  /** Starts it; resolves when it is ready. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    const before = this.lines.length;
    this.spawn(env);
    await this.ready(before);
  }

  /** Resolves when `proxy.started` stands among the lines from `since` on. */
  async ready(since: number): Promise<void> {
    const started = (): Line | undefined => this.lines.slice(since).find(({ event }) => event === 'proxy.started');
    await eventually(
      () => started() !== undefined || !this.running,
      () => `serve did not start: ${this.stderr}`,
      START_MS,
    );
    const line = started();
    if (line === undefined) {
      await this.#exited;
      throw new Error(`serve ended with ${this.exitCode ?? 'a signal'}: ${this.stderr}`);
    }
    const port = (url: unknown): number => Number(new URL(String(url)).port);
    this.ports.proxy = port(line['https_proxy']);
    this.ports.dashboard = port(line['dashboard']);
    this.ca = readFileSync(this.file(String(line['ca'])), 'utf8');
  }

  /** Resolves when the present run has loaded what it loads once it has started: it has its size then. */
  async loaded(): Promise<void> {
    const run = (): readonly Line[] =>
      this.lines.slice(this.lines.findLastIndex(({ event }) => event === 'proxy.started'));
    await eventually(
      () => run().some(({ event }) => event === 'proxy.loaded'),
      () => `serve has not loaded everything: ${this.stderr}`,
      START_MS,
    );
  }

  /** Lines of one event, in all runs. */
  logged(event: string): readonly Line[] {
    return this.lines.filter((line) => line.event === event);
  }

  /** Resolves when its last run has ended. */
  async ended(): Promise<void> {
    await this.#exited;
  }

  /** `kill -9`, or another signal; resolves when it has ended. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.running) this.#child?.kill(signal);
    await this.#exited;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** A path as the proxy sees it, also in a mount namespace of its own. */
  file(path: string): string {
    return this.options.within === undefined ? path : `/proc/${this.pid}/root${path}`;
  }

  /** `GET /health`; rejects where nobody answers. */
  async health(): Promise<Readonly<Record<string, unknown>>> {
    const answer = await this.page('/health');
    if (answer.status !== 200) throw new Error(`/health answered ${answer.status}`);
    return JSON.parse(answer.text) as Record<string, unknown>;
  }

  page(path: string): Promise<Answer> {
    return ask(this, { path, host: `localhost:${this.ports.dashboard}` }, { servername: 'localhost' });
  }

  /** Open files and sockets. */
  get handles(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  /** Resident memory in bytes. */
  get memory(): number {
    return Number(/VmRSS:\s*(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1]) * 1_024;
  }

  /** Collects garbage and tells what is left. Needs the probe. */
  async report(): Promise<Report> {
    return this.order({});
  }

  /** Shifts its clock by so much against the real one. Needs the probe. */
  async shiftClock(offsetMs: number): Promise<Report> {
    return this.order({ offsetMs });
  }

  async order(orders: { readonly offsetMs?: number }): Promise<Report> {
    const asked = (this.#asked += 1);
    const file = join(this.#scratch, 'orders');
    writeFileSync(file, JSON.stringify({ ...orders, asked }));
    this.signal('SIGUSR2');
    let report: (Report & { readonly asked: number }) | undefined;
    await eventually(
      () => {
        try {
          report = JSON.parse(readFileSync(`${file}.report`, 'utf8')) as Report & { readonly asked: number };
        } catch {
          return false;
        }
        return report.asked === asked;
      },
      () => 'the probe does not answer',
    );
    if (report === undefined) throw new Error('the probe does not answer');
    return report;
  }

  /** Ends it for good. */
  async close(): Promise<void> {
    await this.kill();
    rmSync(this.#scratch, { recursive: true, force: true });
  }

  #take(text: string): void {
    const whole = (this.#rest + text).split('\n');
    this.#rest = whole.pop() ?? '';
    for (const json of whole) {
      const line = JSON.parse(json) as Line;
      this.lines.push(line);
      this.onLine(line);
    }
  }
}
