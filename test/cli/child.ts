/** `claude-db-proxy` as a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { until } from '../src/redirector/sockets.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Child {
  readonly process: ChildProcess;
  stdout = '';
  stderr = '';
  readonly ended: Promise<Ended>;

  constructor(args: readonly string[], env: Readonly<Record<string, string>>) {
    // Of our own environment only what a process needs to run: no DBPROXY_* of whoever runs the tests.
    const { PATH = '', TMPDIR = '/tmp' } = process.env;
    this.process = spawn(process.execPath, ['--import', 'tsx', 'cli/main.ts', ...args], {
      cwd: ROOT,
      env: { PATH, TMPDIR, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.process.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.process.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.ended = once(this.process, 'close').then(([code, signal]: unknown[]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
      stdout: this.stdout,
      stderr: this.stderr,
    }));
  }

  /** The log so far. */
  get lines(): readonly Readonly<Record<string, unknown>>[] {
    const whole = this.stdout.slice(0, this.stdout.lastIndexOf('\n') + 1);
    return whole.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Record<string, unknown>]));
  }

  /** Resolves with the first line of that event. */
  async logged(event: string): Promise<Readonly<Record<string, unknown>>> {
    for (let tries = 0; ; tries += 1) {
      try {
        await until(() => this.lines.some((line) => line['event'] === event) || this.process.exitCode !== null);
        break;
      } catch (error) {
        if (tries === 3) throw error;
      }
    }
    const line = this.lines.find((candidate) => candidate['event'] === event);
    if (line === undefined) throw new Error(`no ${event}; stdout: ${this.stdout}; stderr: ${this.stderr}`);
    return line;
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }
}

/** Runs to the end. */
export const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> =>
  new Child(args, env).ended;
