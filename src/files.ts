/**
 * The files of the certificates directory: written whole or not at all, readable by their owner only.
 * Used by `authority.ts` and `leaf.ts`. Two processes may work here at the same time: nothing takes a lock;
 * `createFile` lets exactly one of them win and `replaceFile` lets the last one win, each with a whole file.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, copyFile, link, mkdir, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CertificateError, codeOf } from './errors.ts';
import { type Log } from './log.ts';

/** Suffix of a file that is being written. One that stays behind is from a process that was killed. */
const UNFINISHED = '.tmp';
const UNFINISHED_KEPT_MS = 60 * 60 * 1000;

/** The text of `path`, or undefined where there is no such file. Throws {@link CertificateError} where it cannot be read. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw failure('read', path, error);
  }
}

/**
 * Writes `path` only where nothing is there yet. False: somebody else was first, and theirs stands.
 * Throws {@link CertificateError} where it cannot be written.
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
    throw failure('write', path, error);
  }
}

/** Writes `path` over whatever is there. Throws {@link CertificateError} where it cannot be written. */
export async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  try {
    await rename(await writeUnfinished(path, text, mode), path);
    await syncDirectory(dirname(path));
  } catch (error) {
    throw failure('write', path, error);
  }
}

/**
 * Renames `path` to `path.<suffix>`, provided that it still holds `judged`, the text that was found unusable.
 * Where another process has put a good file there in the meantime, that one goes back to its place.
 */
export async function setAside(path: string, judged: string, suffix: string): Promise<void> {
  const aside = `${path}.${suffix}`;
  try {
    await rename(path, aside);
    if ((await readFile(aside, 'utf8')) !== judged && (await linkExclusively(aside, path))) await unlink(aside);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw failure('set aside', path, error);
  }
}

/** Makes `directory` (mode 0700) where it is missing, and removes what killed processes left half-written in it. */
export async function prepareDirectory(directory: string, now: Date, log: Log): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await tighten(directory, 0o700, log);
    const unfinished = (await readdir(directory)).filter((name) => name.endsWith(UNFINISHED));
    await Promise.all(unfinished.map((name) => removeIfOld(join(directory, name), now)));
  } catch (error) {
    throw failure('prepare', directory, error);
  }
}

/**
 * Takes away from `path` every permission that is not in `mode`, with a log line when there was one.
 * A file system that refuses (a read-only mount, another owner) is told in the log and is no failure.
 */
export async function tighten(path: string, mode: number, log: Log): Promise<void> {
  if (process.platform === 'win32') return; // its mode bits say nothing about who may read
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

/** The age keeps the hands off a file that another process is writing at this moment. */
async function removeIfOld(path: string, now: Date): Promise<void> {
  try {
    if (now.getTime() - (await stat(path)).mtimeMs > UNFINISHED_KEPT_MS) await unlink(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

/** A new file beside `path` that holds all of `text` and is on the disk, not only in the page cache. */
async function writeUnfinished(path: string, text: string, mode: number): Promise<string> {
  const unfinished = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}${UNFINISHED}`);
  const file = await open(unfinished, 'wx', mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  return unfinished;
}

/** Gives `from` the second name `to` unless `to` exists: the one atomic "create whole, or leave alone" of POSIX. */
async function linkExclusively(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
  }
  try {
    // A file system without hard links (FAT, some network shares). Exclusive still, but a kill can leave half a file:
    // that one is found unusable at the next start and made anew.
    await copyFile(from, to, constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Makes a rename or link outlive a power cut. Windows cannot open a directory and needs no such thing. */
async function syncDirectory(directory: string): Promise<void> {
  try {
    const handle = await open(directory, 'r');
    await handle.sync().finally(() => handle.close());
  } catch {
    // Nothing is lost but the guarantee against a power cut in this second.
  }
}

function failure(doing: string, path: string, error: unknown): CertificateError {
  return new CertificateError(`cannot ${doing} ${path}: ${codeOf(error)}`, { cause: error });
}
