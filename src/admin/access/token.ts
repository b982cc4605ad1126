/**
 * The token in its file: who can read that file is the user, and whoever shows the token is therefore the user.
 * Made once and kept over restarts; replaced when it cannot be trusted. Never logged.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { createFile, readIfExists, replaceFile } from '../../files.ts';
import type { Log } from '../../log.ts';

/** Where the token is below the data directory. */
export const tokenFile = (dataDir: string): string => join(dataDir, 'token');

export interface Token {
  readonly value: string;
  /** Where it is kept; null when it could not be written and is this process's own. */
  readonly file: string | null;
}

const BYTES = 32;
const SHAPE = /^[\w-]{43}$/;
/** Anybody but the owner. */
const OTHERS = 0o077;

const newToken = (): string => randomBytes(BYTES).toString('base64url');

type Found = { readonly value: string } | 'missing' | { readonly fault: string };

/** Reads the token, or says why it cannot be used. */
async function find(file: string): Promise<Found> {
  const wasOpen = await closeToOthers(file);
  let text: string | undefined;
  try {
    text = (await readIfExists(file))?.trim();
  } catch (error) {
    return { fault: messageOf(error) };
  }
  if (text === undefined) return 'missing';
  if (!SHAPE.test(text)) return { fault: 'it is not a token' };
  // Somebody may have read it while they could.
  return wasOpen ? { fault: 'others than its owner could read it' } : { value: text };
}

/** Takes everybody else's permissions away. True when there were any and the file system lets us take them. */
async function closeToOthers(file: string): Promise<boolean> {
  if (process.platform === 'win32') return false; // its mode bits say nothing about who may read
  try {
    const { mode } = await stat(file);
    if ((mode & OTHERS) === 0) return false;
    await chmod(file, mode & ~OTHERS & 0o777);
    // A file system without permissions shows them as before: a new token would be no better off.
    return ((await stat(file)).mode & OTHERS) === 0;
  } catch {
    return false;
  }
}

/** The token of `file`, made where there is none. Never rejects: without a file it lives as long as the process. */
export async function openToken(file: string, log: Log): Promise<Token> {
  const found = await find(file);
  if (typeof found === 'object' && 'value' in found) return { value: found.value, file };
  const value = newToken();
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    if (found !== 'missing') {
      await replaceFile(file, `${value}\n`, 0o600);
      log.warn('access.token_replaced', { file, reason: found.fault });
      return { value, file };
    }
    if (await createFile(file, `${value}\n`, 0o600)) {
      log.info('access.token_made', { file });
      return { value, file };
    }
    // Another process was first; its token is everybody's.
    const theirs = await find(file);
    if (typeof theirs === 'object' && 'value' in theirs) return { value: theirs.value, file };
    throw new Error('it was written by another process and cannot be used');
  } catch (error) {
    log.warn('access.token_not_kept', {
      file,
      reason: messageOf(error),
      effect: 'the token holds until the proxy ends, and `claude-db-proxy dashboard` cannot find it',
    });
    return { value, file: null };
  }
}
