/** A machine without Node, as far as a PATH goes: an empty HOME, the usual tools, a `claude` that tells what it was given. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  chmodSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withoutProgress } from '../install/machine.ts';
import { layoutOf, type DataPaths } from '../../cli/installation.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const LAUNCHER = join(ROOT, 'cli/posix/launcher/claude-db-proxy.sh');

/** All that the launcher may use: POSIX, and curl. */
const TOOLS = [
  ...[
    'awk',
    'cat',
    'chmod',
    'cksum',
    'curl',
    'cut',
    'date',
    'dirname',
    'env',
    'grep',
    'head',
    'id',
    'kill',
    'ls',
    'mkdir',
  ],
  ...['mktemp', 'mv', 'nc', 'openssl', 'printf', 'readlink', 'rm', 'sed', 'sh', 'sleep', 'sort', 'tail', 'tr', 'uname'],
];

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

export class Host {
  readonly home: string;
  readonly bin: string;
  readonly layout: DataPaths;
  /** Words before the launcher's path: the shell. */
  shell: readonly string[] = ['/bin/sh'];

  constructor(without: readonly string[] = []) {
    this.home = mkdtempSync(join(tmpdir(), 'dbproxy-host-'));
    this.bin = join(this.home, 'bin');
    mkdirSync(this.bin);
    for (const tool of TOOLS.filter((name) => !without.includes(name))) {
      const path = which(tool);
      if (path !== null) symlinkSync(path, join(this.bin, tool));
    }
    this.layout = layoutOf({ dataDir: join(this.home, '.local/share/claude-db-proxy') });
  }

  /** A `claude` that runs that much shell; by default it tells arguments, environment and stdin, and ends with 7. */
  installClaude(body = `printf '%s\\n' "$#" "$@"; echo ENVIRONMENT; env; echo INPUT; cat; exit 7`): void {
    writeFileSync(join(this.bin, 'claude'), `#!/bin/sh\n${body}\n`);
    chmodSync(join(this.bin, 'claude'), 0o755);
  }

  async run(args: readonly string[], { env = {}, input = '' }: RunOptions = {}): Promise<Ended> {
    const [shell = '/bin/sh', ...words] = this.shell;
    const child = spawn(shell, [...words, LAUNCHER, ...args], {
      env: { HOME: this.home, PATH: this.bin, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, stdout, stderr: withoutProgress(stderr) };
  }

  remove(): void {
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** What the default `claude` told, by its parts. */
export function told({ stdout }: Ended): {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly input: string;
} {
  const [args = '', rest = ''] = stdout.split('ENVIRONMENT\n');
  const [env = '', input = ''] = rest.split('INPUT\n');
  const variables: Record<string, string> = {};
  let name = '';
  for (const line of env.split('\n').slice(0, -1)) {
    const [, found, value = ''] = /^(\w+)=(.*)$/.exec(line) ?? [];
    // A value goes on on the next line.
    if (found === undefined) variables[name] = `${variables[name] ?? ''}\n${line}`;
    else variables[(name = found)] = value;
  }
  return { args: args.split('\n').slice(1, -1), env: variables, input };
}

function which(tool: string): string | null {
  for (const place of (process.env['PATH'] ?? '').split(':')) {
    const path = join(place, tool);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not there.
    }
  }
  return null;
}

/** Resolves when it holds; what processes do takes its time. */
export async function eventually(holds: () => boolean, what: string, withinMs = 20_000): Promise<void> {
  for (const deadline = Date.now() + withinMs; !holds();) {
    if (Date.now() > deadline) throw new Error(`waited ${withinMs / 1_000} s in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export const json = (path: string): Record<string, unknown> =>
  JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
