/**
 * Where the demo writes: lines that stay, and one that shows what is being waited for. On a terminal that one is
 * rewritten in place; elsewhere it becomes a line of its own, but only after nothing was written for a while.
 */
import { performance } from 'node:perf_hooks';

export interface Screen {
  /** A line that stays. */
  line(text?: string): void;
  /** Sets the status; can be called often, shown at most as often as readable. */
  status(text: string): void;
}

export interface ScreenOptions {
  readonly write: (text: string) => void;
  /** Whether the last line can be rewritten. */
  readonly live: boolean;
  readonly columns: number;
  readonly now?: () => number;
}

/** Elsewhere than on a terminal: how long nothing may be written before a status is. */
const SILENCE_MS = 900;

const ERASE = '\r\u001b[K';

export function createScreen({ write, live, columns, now = () => performance.now() }: ScreenOptions): Screen {
  let shown = '';
  let wroteAt = now();
  return {
    line(text = '') {
      write(shown === '' ? `${text}\n` : `${ERASE}${text}\n`);
      shown = '';
      wroteAt = now();
    },
    status(text) {
      if (live) {
        const fitting = text.slice(0, columns - 1);
        if (fitting === shown) return;
        write(`${ERASE}${fitting}`);
        shown = fitting;
      } else if (now() - wroteAt >= SILENCE_MS) {
        write(`${text}\n`);
        wroteAt = now();
      }
    },
  };
}
