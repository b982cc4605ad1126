/** A machine to install on, as far as HOME and PATH go, and releases on loopback to install from. */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  accessSync,
  chmodSync,
  constants,
  createReadStream,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What an installer may use on any machine; engines and Node come on top where a test wants them. */
const TOOLS = [
  ...['awk', 'basename', 'cat', 'chmod', 'cksum', 'cmp', 'cp', 'curl', 'cut', 'date', 'dirname', 'env', 'find', 'grep'],
  ...['gzip', 'head', 'id', 'kill', 'ln', 'ls', 'mkdir', 'mktemp', 'mv', 'openssl', 'printf', 'ps', 'readlink', 'rm'],
  ...['rmdir', 'sed', 'sh', 'sha256sum', 'sleep', 'sort', 'tail', 'tar', 'tr', 'true', 'uname', 'wc', 'bash', 'touch'],
];

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly cwd?: string;
}

/** npm's cache, shared by all machines of a run: only the first one downloads. */
const npmCache = mkdtempSync(join(tmpdir(), 'dbproxy-npm-'));
/** Removed at the end at the latest, where a test never came to its own. */
const leftovers = new Set([npmCache]);
process.once('exit', () => {
  for (const directory of leftovers) rmSync(directory, { recursive: true, force: true });
});

export class Machine {
  readonly #directory = mkdtempSync(join(tmpdir(), 'dbproxy-machine-'));
  readonly home = join(this.#directory, 'home of ann');
  readonly bin = join(this.#directory, 'bin');
  readonly env: Record<string, string>;

  /** @param tools beside those that every machine has */
  constructor(tools: readonly string[] = ['node', 'npm']) {
    leftovers.add(this.#directory);
    for (const directory of [this.home, this.bin, join(this.#directory, 'tmp')]) mkdirSync(directory);
    for (const tool of new Set([...TOOLS, ...tools])) {
      const path = which(tool);
      if (path !== null) symlinkSync(path, join(this.bin, tool));
    }
    this.env = {
      HOME: this.home,
      PATH: `${join(this.home, '.local/bin')}:${this.bin}`,
      SHELL: '/bin/bash',
      TMPDIR: join(this.#directory, 'tmp'),
      DBPROXY_PROXY_PORT: '0',
      DBPROXY_DASHBOARD_PORT: '0',
      npm_config_cache: npmCache,
      ...pick('NODE_EXTRA_CA_CERTS', 'npm_config_registry'),
    };
  }

  get dataDir(): string {
    return join(this.home, '.local/share/claude-db-proxy');
  }

  get temporary(): readonly string[] {
    return readdirSync(join(this.#directory, 'tmp'));
  }

  /** A program in PATH. */
  program(name: string, body: string): void {
    writeFileSync(join(this.bin, name), `#!/bin/sh\n${body}\n`);
    chmodSync(join(this.bin, name), 0o755);
  }

  file(path: string, text: string, mode = 0o644): string {
    const absolute = join(this.home, path);
    mkdirSync(join(absolute, '..'), { recursive: true });
    writeFileSync(absolute, text, { mode });
    return absolute;
  }

  async run(command: string, args: readonly string[] = [], options: RunOptions = {}): Promise<Ended> {
    const env = { ...this.env, ...options.env };
    const child = spawn(which(command, env['PATH']) ?? command, [...args], { env, cwd: options.cwd ?? this.home });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, stdout, stderr: withoutProgress(stderr) };
  }

  /** `curl … | sh`, of what was published. */
  async pipe(release: Release, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    return this.run('sh', [], { env, input: readFileSync(join(release.directory, 'install.sh'), 'utf8') });
  }

  proxy(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return this.run(join(this.home, '.local/bin/claude-db-proxy'), args, options);
  }

  /** Everything in the HOME: paths, modes, contents. */
  picture(): readonly string[] {
    return picture(this.home);
  }

  /** Ends what was left running, and removes it all. */
  async remove(): Promise<void> {
    if (readdirSync(this.home).length > 0) await this.proxy(['uninstall']).catch(() => undefined);
    rmSync(this.#directory, { recursive: true, force: true });
    leftovers.delete(this.#directory);
  }
}

/** One line for everything below a directory, itself excluded. */
export function picture(directory: string, below = ''): readonly string[] {
  return readdirSync(directory)
    .sort()
    .flatMap((name) => {
      const path = join(directory, name);
      const shown = join(below, name);
      const stats = lstatSync(path);
      const mode = (stats.mode & 0o7777).toString(8);
      if (stats.isSymbolicLink()) return [`${shown} -> ${readlinkSync(path)}`];
      if (stats.isDirectory()) return [`${shown}/ ${mode}`, ...picture(path, shown)];
      return [`${shown} ${mode} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`];
    });
}

/** A directory with a release in it, served on loopback. */
export class Release {
  readonly directory = mkdtempSync(join(tmpdir(), 'dbproxy-release-'));
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async publish(): Promise<Release> {
    const server = createServer((request, response) => {
      const path = join(release.directory, basename(request.url ?? ''));
      if (statSync(path, { throwIfNoEntry: false })?.isFile() === true) createReadStream(path).pipe(response);
      else response.writeHead(404).end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const release = new Release(server);
    release.make(ROOT);
    return release;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Publishes a tree instead of what was published before. */
  make(tree: string): void {
    shell('sh', [join(tree, 'cli/posix/installer/make-release.sh'), this.directory, this.url]);
  }

  /** Publishes this version of what is published now, after a change. */
  makeVersion(version: string, change: (tree: string) => void = () => undefined): void {
    const tree = mkdtempSync(join(tmpdir(), 'dbproxy-tree-'));
    try {
      const archive = join(this.directory, 'claude-db-proxy.tar.gz');
      shell('tar', ['-xzf', archive, '-C', tree, '--strip-components', '1']);
      const manifest = join(tree, 'package.json');
      writeFileSync(manifest, readFileSync(manifest, 'utf8').replace(/"version": "[^"]*"/, `"version": "${version}"`));
      const lock = join(tree, 'package-lock.json');
      writeFileSync(lock, readFileSync(lock, 'utf8').replace(/"version": "[^"]*"/, `"version": "${version}"`));
      change(tree);
      this.make(tree);
    } finally {
      rmSync(tree, { recursive: true, force: true });
    }
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close').catch(() => undefined);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** What takes more than a second says so; on a busy machine everything does. */
export const withoutProgress = (stderr: string): string =>
  stderr.replace(/^claude-db-proxy: (?:starting|stopping|replacing) .*…\n/gm, '');

function shell(command: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, [...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
}

function which(tool: string, path = process.env['PATH'] ?? ''): string | null {
  if (tool.includes('/')) return tool;
  for (const place of path.split(':')) {
    const candidate = join(place, tool);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // Not there.
    }
  }
  return null;
}

function pick(...names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
