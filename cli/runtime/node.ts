/**
 * The proxy as a detached process of this same program: `serve` in a session of its own, so that neither the end of
 * the terminal nor Ctrl-C in it concerns the proxy. What it says before it has a log is in `logs/serve.log`.
 */
import { execFile, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf, RuntimeError } from '../../src/errors.ts';
import { variablesForProxy } from '../environment.ts';
import type { RuntimeRecord } from '../installation.ts';
import type { Runtime, Started, StartOptions } from './runtime.ts';

/** This program, and a directory that its packages are found from. By what was started: a bundle has no other paths. */
const main = (): string => realpathSync(process.argv[1] ?? '.');
const rootOf = (program: string): string => dirname(dirname(program));

/** Of the starter's environment what any process needs. */
const NEEDED = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TMPDIR', 'TZ', 'USER', 'LOGNAME'];
const POLL_MS = 20;
/** After SIGKILL. */
const LAST_MS = 2_000;

export const nodeRuntime: Runtime = {
  name: 'node',
  isAvailable: () => Promise.resolve({ usable: true }),
  start: (_config, options) => Promise.resolve().then(() => startProcess(options)),
  stop: stopProcess,
  async state({ pid }) {
    const where = pid === null ? 'no process' : `process ${pid}`;
    return { running: pid !== null && (await isServing(pid)), where };
  },
  logFile: (layout) => layout.log,
};

function startProcess({ layout, ports, env, signal }: StartOptions): Started {
  mkdirSync(layout.logs, { recursive: true, mode: 0o700 });
  const output = openSync(layout.output, 'w', 0o600);
  const program = main();
  const needed = Object.fromEntries(NEEDED.map((name) => [name, env[name]]));
  try {
    const child = spawn(process.execPath, [...process.execArgv, program, 'serve', '--no-record'], {
      cwd: rootOf(program),
      detached: true,
      // The structured log has its file; on stdout it would be written twice.
      stdio: ['ignore', 'ignore', output],
      env: {
        ...needed,
        ...variablesForProxy(env),
        DBPROXY_DATA_DIR: layout.dataDir,
        DBPROXY_PROXY_PORT: String(ports.proxy),
        DBPROXY_DASHBOARD_PORT: String(ports.dashboard),
      },
    });
    const abort = (): void => void child.kill('SIGTERM');
    signal.addEventListener('abort', abort, { once: true });
    const ended = new Promise<{ portTaken: boolean; message: string }>((resolve) => {
      child.once('error', (error) => resolve({ portTaken: false, message: error.message }));
      child.once('exit', (code, by) => resolve(whatWentWrong(layout.output, code ?? by ?? 'unknown')));
    });
    return {
      pid: child.pid ?? null,
      container: null,
      ended,
      release() {
        signal.removeEventListener('abort', abort);
        child.removeAllListeners();
        child.unref();
      },
    };
  } catch (error) {
    throw new RuntimeError(`the proxy cannot be started: ${messageOf(error)}`, { cause: error });
  } finally {
    closeSync(output);
  }
}

/** One line of what a process that ended early has said. */
function whatWentWrong(output: string, how: number | string): { portTaken: boolean; message: string } {
  let said = '';
  try {
    said = readFileSync(output, 'utf8').trim();
  } catch {
    // It said nothing that can be read.
  }
  const line = said.split('\n').find((text) => text.startsWith('claude-db-proxy: ')) ?? said.split('\n').at(-1) ?? '';
  const message = line === '' ? `it ended with ${how}` : line.replace(/^claude-db-proxy: /, '');
  return { portTaken: said.includes('EADDRINUSE'), message };
}

async function stopProcess({ pid }: RuntimeRecord, { graceMs }: { readonly graceMs: number }): Promise<void> {
  if (pid === null || !(await isServing(pid))) return;
  send(pid, 'SIGTERM');
  if (await isGoneWithin(pid, graceMs)) return;
  send(pid, 'SIGKILL');
  if (!(await isGoneWithin(pid, LAST_MS))) throw new RuntimeError(`process ${pid} does not end; end it by hand`);
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has just ended, or is not ours to end: the wait that follows tells.
  }
}

async function isGoneWithin(pid: number, ms: number): Promise<boolean> {
  const end = Date.now() + ms;
  while (await isServing(pid)) {
    if (Date.now() > end) return false;
    await delay(POLL_MS);
  }
  return true;
}

/** True when `pid` is a `serve` of ours, not a process that has its number by now. */
async function isServing(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const command = await commandOf(pid);
  return /claude-db-proxy|\bmain\.[jt]s\b/.test(command) && /\bserve\b/.test(command);
}

/** The command line of a process; '' where it cannot be told or the process has ended. */
function commandOf(pid: number): Promise<string> {
  try {
    return Promise.resolve(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '));
  } catch {
    // No /proc (macOS), or no such process.
  }
  return new Promise((resolve) => {
    execFile('ps', ['-o', 'command=', '-p', String(pid)], (error, stdout) => {
      resolve(error === null ? stdout : '');
    });
  });
}
