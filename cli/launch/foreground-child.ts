/**
 * A child that passes for ourselves, `claude` above all: same terminal, same process group, same signals, same end.
 *
 *   from the terminal (Ctrl-C, Ctrl-Z, its size, its end)   the kernel tells the whole process group: claude hears it itself
 *   to our process id alone (`kill`, a supervisor)          passed on
 *   claude stops itself (Ctrl-Z in its full-screen mode)    we stop too, or the shell would wait for ever
 *   claude ends                                             we end with its exit code, or by the same signal
 */
import { execFile, spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { fstatSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import type { Environment } from '../../src/config/config.ts';

/** Sent by the terminal to the whole group: claude has them already where it shares the terminal's foreground with us. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT'];
const PASSED_ON: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGALRM'];
/** Descriptors up to here are closed to children by Node unless they are named. */
const LAST_CLOSED_FD = 15;
/** Pause after a look at the child, where that takes a child itself. */
const AGAIN_MS = 300;

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * Starts it; resolves when it has ended, rejects when it cannot be started.
 *
 * @param env the whole environment of the child
 * @param started told once it runs
 */
export function runAsForegroundChild(
  path: string,
  args: readonly string[],
  env: Environment,
  started: () => void = () => undefined,
): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, { stdio: descriptorsFor(args, env), env });
    const stopPassing = passSignals(child);
    child.once('spawn', started);
    child.once('error', (error) => {
      stopPassing();
      reject(error);
    });
    child.once('exit', (code, signal) => {
      stopPassing();
      resolve({ code, signal });
    });
  });
}

/** Ends this process as `claude` ended. */
export function endAs({ code, signal }: Ending): never {
  if (signal !== null) {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    // A signal that does not end us (or not yet): as a shell would tell it.
    process.exit(128 + constants.signals[signal]);
  }
  process.exit(code ?? 1);
}

/** Signals to us become signals to `child`. Returns how to stop that. */
function passSignals(child: ChildProcess): () => void {
  // Ctrl-Z reaches the child and this process. A SIGTSTP that is handled behind the child's stop is that same Ctrl-Z:
  // passed on after `fg`, it would stop the child again.
  let stopped = false;
  const stop = (): void => {
    stopped = true;
    process.kill(process.pid, 'SIGSTOP');
  };
  const listeners: [NodeJS.Signals, () => void][] = [
    ...FROM_TERMINAL.map((signal): [NodeJS.Signals, () => void] => [
      signal,
      () => {
        if (!hasForeground()) child.kill(signal);
      },
    ]),
    ...PASSED_ON.map((signal): [NodeJS.Signals, () => void] => [signal, () => child.kill(signal)]),
    [
      'SIGTSTP',
      () => {
        if (!stopped) child.kill('SIGTSTP');
      },
    ],
    [
      'SIGCONT',
      () => {
        stopped = false;
        void isStopped(child).then((isChildStopped) => isChildStopped && child.kill('SIGCONT'));
      },
    ],
    ['SIGCHLD', onChildStopped(child, stop)],
  ];
  for (const [signal, listener] of listeners) process.on(signal, listener);
  return () => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
}

/** Calls `stop` when the child has stopped: SIGCHLD is sent for that as for its end. */
function onChildStopped(child: ChildProcess, stop: () => void): () => void {
  let looking = false;
  return () => {
    if (looking) return;
    // Where looking takes a child of its own (macOS), that one's end is reported too.
    looking = process.platform !== 'linux';
    setTimeout(() => (looking = false), AGAIN_MS).unref();
    void isStopped(child).then((isChildStopped) => {
      if (isChildStopped) stop();
    });
  };
}

/** True where the terminal sends its signals to our process group; it sends them to claude as well then. */
function hasForeground(): boolean {
  try {
    const stat = readFileSync('/proc/self/stat', 'latin1');
    const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return group !== undefined && group === foreground;
  } catch {
    // No /proc (macOS): a terminal on any of the three tells as much.
    return process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  }
}

/** True while the child is stopped, by Ctrl-Z say. */
function isStopped({ pid, exitCode, signalCode }: ChildProcess): Promise<boolean> {
  if (pid === undefined || exitCode !== null || signalCode !== null) return Promise.resolve(false);
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Promise.resolve(stat.slice(stat.lastIndexOf(')') + 2).startsWith('T'));
  } catch {
    // No /proc (macOS), or gone.
  }
  if (process.platform === 'linux') return Promise.resolve(false);
  return new Promise((resolve) => {
    execFile('ps', ['-o', 'stat=', '-p', String(pid)], (error, stdout) => {
      resolve(error === null && stdout.trim().startsWith('T'));
    });
  });
}

/**
 * The three standard descriptors, and those that the arguments or the environment name: `--settings <(…)` is `/dev/fd/11`
 * in zsh, and some secrets come by `CLAUDE_CODE_…_FILE_DESCRIPTOR`. Higher ones are inherited by themselves.
 */
function descriptorsFor(args: readonly string[], env: Environment): StdioOptions {
  const inArgs = args.flatMap((argument) => [...argument.matchAll(/\/(?:dev|proc\/self)\/fd\/(\d+)/g)]);
  const inEnv = Object.entries(env).filter(([name]) => name.endsWith('_FILE_DESCRIPTOR'));
  const named = [...inArgs.map(([, number]) => Number(number)), ...inEnv.map(([, value]) => Number(value))];
  const inherited = new Set([0, 1, 2, ...named.filter((fd) => fd > 2 && fd <= LAST_CLOSED_FD && isOpen(fd))]);
  const last = Math.max(...inherited);
  return Array.from({ length: last + 1 }, (_, fd) => (inherited.has(fd) ? 'inherit' : 'ignore'));
}

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}
