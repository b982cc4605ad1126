/**
 * Shows that something is still going on, on stderr, once it has taken a second: a spinner on a terminal, one line
 * elsewhere. Also who may see colours.
 */
import { writeSync } from 'node:fs';
import type { Environment } from '../src/config/config.ts';

const AFTER_MS = 1_000;
const FRAME_MS = 100;
const FRAMES = ['◐', '◓', '◑', '◒'];

export const STDERR = 2;

/** Writes to stderr at once. Its stream would take longer to set up than a launch has time for. */
export function writeError(text: string): void {
  try {
    writeSync(STDERR, text);
  } catch {
    // Nobody is there to read it.
  }
}

/** Colours only on a terminal, and never with `NO_COLOR` (no-color.org: set to anything but nothing). */
export function wantsColours(stream: { readonly isTTY: boolean }, env: Environment): boolean {
  const { NO_COLOR: no = '', TERM: term = '' } = env;
  return stream.isTTY && no === '' && term !== 'dumb';
}

/** Runs `work`, and shows `what` while it lasts longer than a second. */
export async function withProgress<T>(what: string, work: Promise<T>): Promise<T> {
  const { stderr } = process;
  let spinner: NodeJS.Timeout | undefined;
  const timer = setTimeout(() => {
    if (!stderr.isTTY) {
      stderr.write(`claude-db-proxy: ${what} …\n`);
      return;
    }
    let frame = 0;
    spinner = setInterval(() => {
      stderr.write(`\r${FRAMES[frame % FRAMES.length] ?? ''} ${what} …\x1b[K`);
      frame += 1;
    }, FRAME_MS);
  }, AFTER_MS);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
    clearInterval(spinner);
    if (spinner !== undefined) stderr.write('\r\x1b[K');
  }
}
