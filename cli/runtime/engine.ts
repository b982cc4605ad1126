/** Runs `docker`, `podman` or a script that calls one of them, up to a deadline. Used by container.ts only. */
import { execFile } from 'node:child_process';
import type { Environment } from '../../src/config/config.ts';

export type Engine = 'docker' | 'podman';

export interface CommandResult {
  /** Exit code; null when the command does not exist, took too long or was aborted. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Why it has no exit code. */
  readonly fault: 'missing' | 'timeout' | 'aborted' | null;
}

export interface RunOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** The whole environment; that of this process by default. */
  readonly env?: Environment;
}

/** Never rejects: the result says what went wrong. */
export function runCommand(command: string, args: readonly string[], options: RunOptions): Promise<CommandResult> {
  const { timeoutMs, signal, env = process.env } = options;
  return new Promise((resolve) => {
    execFile(
      command,
      [...args],
      { timeout: timeoutMs, killSignal: 'SIGKILL', env, ...(signal && { signal }) },
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

/** Docker prints advice after the reason of an error. */
const ADVICE = /^(?:Run|See) '.*(?:help|usage)/;

/** The last line of the output: engines print the reason of an error last. */
export function lastLine({ stdout, stderr }: CommandResult): string {
  const lines = `${stdout}\n${stderr}`.split('\n').map((line) => line.trim());
  return lines.findLast((line) => line !== '' && !ADVICE.test(line)) ?? '';
}
