/** `docker` or `podman` as a command: run to its end, or to a deadline. Used by container.ts only. */
import { execFile } from 'node:child_process';
import type { Engine } from './container-arguments.ts';

export interface CommandResult {
  /** Exit code; null when it was not there, took too long or was aborted. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What kept it from running to its end. */
  readonly fault: 'missing' | 'timeout' | 'aborted' | null;
}

export interface RunOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Beside our own environment: for `--env NAME`, whose value the engine takes from it. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs it. Never rejects: what went wrong is in the answer. */
export function runEngine(engine: Engine, args: readonly string[], options: RunOptions): Promise<CommandResult> {
  const { timeoutMs, signal, env = {} } = options;
  return new Promise((resolve) => {
    execFile(
      engine,
      [...args],
      { timeout: timeoutMs, killSignal: 'SIGKILL', env: { ...process.env, ...env }, ...(signal && { signal }) },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : null;
        const fault =
          code !== null
            ? null
            : error?.code === 'ENOENT'
              ? 'missing'
              : signal?.aborted === true
                ? 'aborted'
                : 'timeout';
        resolve({ code, stdout, stderr, fault });
      },
    );
  });
}

/** What docker says after the reason. */
const ADVICE = /^(?:Run|See) '.*(?:help|usage)/;

/** The last line of what it said, for people: engines say the reason last. */
export function lastLine({ stdout, stderr }: CommandResult): string {
  const lines = `${stdout}\n${stderr}`.split('\n').map((line) => line.trim());
  return lines.findLast((line) => line !== '' && !ADVICE.test(line)) ?? '';
}
