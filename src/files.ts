/**
 * Writes the files of the data directory whole or not at all. Nothing takes a lock: of several processes that write one
 * file at the same time, exactly one wins with `createFile` and the last one wins with `replaceFile`.
 */
import { constants, mkdirSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { chmod, copyFile, link, mkdir, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { codeOf, FileError } from './errors.ts';
import { type Log } from './log.ts';

/** Suffix of a file that is being written. A leftover comes from a process that was killed. */
const UNFINISHED_SUFFIX = '.tmp';
const UNFINISHED_MAX_AGE_MS = 60 * 60 * 1000;

/**
 * The text of `path`; undefined when the file does not exist.
 *
 * @throws FileError
 */
export async function readIfExists(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new FileError('read', path, error);
  }
}

/**
 * Writes `path` unless it exists, and syncs it to the disk. Returns false when it exists.
 *
 * @throws FileError
 */
export async function createFile(path: string, text: string, mode: number): Promise<boolean> {
  try {
    const unfinished = await writeUnfinished(path, text, mode);
    try {
      return await linkExclusively(unfinished, path);
    } finally {
      await unlink(unfinished);
      await syncDirectory(dirname(path));
    }
  } catch (error) {
    throw new FileError('write', path, error);
  }
}

/**
 * Writes `path`, replacing an existing file, and syncs it to the disk.
 *
 * @throws FileError
 */
export async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  try {
    await rename(await writeUnfinished(path, text, mode), path);
    await syncDirectory(dirname(path));
  } catch (error) {
    throw new FileError('write', path, error);
  }
}

/**
 * Writes `path` with mode 0600, replacing an existing file, and creates its directory with mode 0700. Does not sync: only
 * for files that can be written again after a power failure.
 *
 * @throws FileError
 */
export function replaceFileSync(path: string, text: string): void {
  const unfinished = unfinishedName(path);
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(unfinished, text, { mode: 0o600, flag: 'wx' });
    renameSync(unfinished, path);
  } catch (error) {
    try {
      unlinkSync(unfinished);
    } catch {
      // The file was never created.
    }
    throw new FileError('write', path, error);
  }
}

/**
 * Renames `path` to `path.<suffix>` if it still holds `judged`, the text that was found unusable. A file that another
 * process has written since then keeps its name.
 *
 * @throws FileError
 */
export async function setAside(path: string, judged: string, suffix: string): Promise<void> {
  const aside = `${path}.${suffix}`;
  try {
    await rename(path, aside);
    if ((await readFile(aside, 'utf8')) !== judged && (await linkExclusively(aside, path))) await unlink(aside);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw new FileError('rename', path, error);
  }
}

/**
 * Creates `directory` with mode 0700 and removes unfinished files that killed processes left in it.
 *
 * @throws FileError
 */
export async function prepareDirectory(directory: string, now: Date, log: Log): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await restrictPermissions(directory, 0o700, log);
    const unfinished = (await readdir(directory)).filter((name) => name.endsWith(UNFINISHED_SUFFIX));
    await Promise.all(unfinished.map((name) => removeIfOld(join(directory, name), now)));
  } catch (error) {
    throw new FileError('prepare', directory, error);
  }
}

/**
 * Removes from `path` every permission that is not in `mode`. A file system that refuses (a read-only mount, another
 * owner) is logged and is no failure.
 */
export async function restrictPermissions(path: string, mode: number, log: Log): Promise<void> {
  if (process.platform === 'win32') return; // mode bits do not control access there
  try {
    const found = (await stat(path)).mode & 0o777;
    if ((found & ~mode) === 0) return;
    await chmod(path, found & mode);
    log.warn('certificate.permissions_tightened', { path, from: found.toString(8), to: (found & mode).toString(8) });
  } catch (error) {
    const reason = codeOf(error);
    if (reason !== 'ENOENT') log.warn('certificate.permissions_lax', { path, reason });
  }
}

/** The minimum age protects a file that another process is writing now. */
async function removeIfOld(path: string, now: Date): Promise<void> {
  try {
    if (now.getTime() - (await stat(path)).mtimeMs > UNFINISHED_MAX_AGE_MS) await unlink(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

/** Names are made without node:crypto, which would slow every launch. */
const unfinishedName = (path: string): string =>
  join(dirname(path), `.${basename(path)}.${process.pid}-${Math.random().toString(36).slice(2)}${UNFINISHED_SUFFIX}`);

/** Writes a new file beside `path` and syncs it to the disk. */
async function writeUnfinished(path: string, text: string, mode: number): Promise<string> {
  const unfinished = unfinishedName(path);
  const file = await open(unfinished, 'wx', mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  return unfinished;
}

/** Links `from` to `to` unless `to` exists: POSIX's only atomic way to create a file with its content. */
async function linkExclusively(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
  }
  try {
    // A file system without hard links (FAT, some network shares). Still exclusive, but a kill can leave half a file,
    // which the next start finds unusable and replaces.
    await copyFile(from, to, constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Makes a rename or link survive a power failure. Windows cannot open a directory and does not need it. */
async function syncDirectory(directory: string): Promise<void> {
  try {
    const handle = await open(directory, 'r');
    await handle.sync().finally(() => handle.close());
  } catch {
    // Only the guarantee against a power failure right now is lost.
  }
}
