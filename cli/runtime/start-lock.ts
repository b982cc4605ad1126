/**
 * One start at a time: a file that exists while somebody starts, stops or replaces the proxy, and names that process.
 * A holder that was killed is found by its process id and its lock taken away at once; a recycled id, or a holder that
 * hangs, by the lock's age. Should two ever hold it all the same, the ports decide: only one proxy can listen there.
 */
import { mkdirSync, readFileSync, statSync, unlinkSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { codeOf } from '../../src/errors.ts';
import { createFile, setAside } from '../../src/files.ts';
import type { DataPaths } from '../installation.ts';

/** Longer than any start or stop takes. */
const OLD_MS = 90_000;

const lockFile = (layout: DataPaths): string => join(layout.state, 'start.lock');

function holderOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

function isAbandoned(path: string, holder: string): boolean {
  const pid = Number(/^(\d+) /.exec(holder)?.[1]);
  try {
    return Date.now() - statSync(path).mtimeMs > OLD_MS || (pid > 0 && !isAlive(pid));
  } catch {
    return false; // gone by now
  }
}

/** True while somebody starts, stops or replaces the proxy. */
export function isStartLocked(layout: DataPaths): boolean {
  const path = lockFile(layout);
  const holder = holderOf(path);
  return holder !== null && !isAbandoned(path, holder);
}

/**
 * Takes the lock; null when somebody else has it. What it returns gives it back.
 *
 * @throws FileError; the file system's error where the directory cannot be created
 */
export async function tryStartLock(layout: DataPaths): Promise<(() => void) | null> {
  mkdirSync(layout.state, { recursive: true, mode: 0o700 });
  const path = lockFile(layout);
  const own = `${process.pid} ${randomBytes(6).toString('hex')}\n`;
  if (!(await createFile(path, own, 0o600))) {
    const holder = holderOf(path);
    if (holder === null || !isAbandoned(path, holder)) return null;
    const aside = `${process.pid}.abandoned`;
    await setAside(path, holder, aside);
    remove(`${path}.${aside}`);
    if (!(await createFile(path, own, 0o600))) return null;
  }
  return () => {
    if (holderOf(path) === own) remove(path);
  };
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody took it for abandoned and was quicker.
  }
}
