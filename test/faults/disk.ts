/**
 * A small disk of its own for a data directory: a tmpfs in a mount namespace that a sleeping process holds open. It can
 * be full, read-only, and is gone without a trace when the process ends. Needs the right to mount, as in CI and containers
 * that claude-lab runs in; the suite fails where it is missing, because it would otherwise prove nothing.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, cpSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newDataDir } from '../src/forwarder/quick-rig.ts';

const FILLER = 'filler';

export class Disk {
  /** The data directory, as processes {@link within} see it. */
  readonly directory: string;
  /** The command prefix that runs a process with this disk. */
  readonly within: readonly string[];
  readonly #holder: ChildProcess;

  private constructor(directory: string, holder: ChildProcess) {
    this.directory = directory;
    this.#holder = holder;
    this.within = ['nsenter', '--target', String(holder.pid), '--mount', '--'];
  }

  /** Mounts a disk of so many kilobytes that holds certificates already. */
  static async open(kilobytes: number): Promise<Disk> {
    const directory = mkdtempSync(join(tmpdir(), 'dbproxy-disk-'));
    const script = 'mount -t tmpfs -o "size=$1k,mode=700" faults "$2" && echo mounted && exec sleep infinity';
    const holder = spawn('unshare', ['--mount', 'sh', '-c', script, 'sh', String(kilobytes), directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    process.once('exit', () => holder.kill('SIGKILL'));
    await Promise.race([
      once(holder.stdout, 'data'),
      once(holder, 'exit').then(() => {
        throw new Error('no disk can be mounted here: the fault suite needs CAP_SYS_ADMIN');
      }),
    ]);
    const disk = new Disk(directory, holder);
    const made = await newDataDir();
    cpSync(made, disk.outside(''), { recursive: true });
    rmSync(made, { recursive: true, force: true });
    return disk;
  }

  /** A path below the directory, as this process sees it. */
  outside(path: string): string {
    return join(`/proc/${this.#holder.pid ?? 0}/root${this.directory}`, path);
  }

  /** Leaves not a byte free. */
  fill(): void {
    const file = openSync(this.outside(FILLER), 'a');
    try {
      for (const size of [65_536, 4_096, 1]) {
        const block = Buffer.alloc(size, 'x');
        while (wrote(file, block)) continue;
      }
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    rmSync(this.outside(FILLER));
  }

  /** From now on whoever looks at the directory finds it read-only; files that are open already are not affected. */
  readOnly(): void {
    this.#mount('--bind', this.directory, this.directory);
    this.#mount('-o', 'remount,ro,bind', this.directory);
  }

  writable(): void {
    this.#run('umount', '--lazy', this.directory);
  }

  async close(): Promise<void> {
    const exited = once(this.#holder, 'exit');
    this.#holder.kill('SIGKILL');
    await exited;
    rmSync(this.directory, { recursive: true, force: true });
  }

  #mount(...args: readonly string[]): void {
    this.#run('mount', ...args);
  }

  #run(...command: readonly string[]): void {
    const [program = '', ...args]: readonly string[] = [...this.within, ...command];
    execFileSync(program, args);
  }
}

/** False once the disk is full. */
function wrote(file: number, block: Buffer): boolean {
  try {
    return writeSync(file, block) === block.length;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return false;
    throw error;
  }
}
