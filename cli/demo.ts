/** `claude-db-proxy demo`: the terminal, the signals and the temporary directory around `src/demo`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isatty } from 'node:tty';
import pc from 'picocolors';
import { runDemo } from '../src/demo/demo.ts';
import { DemoFailure } from '../src/demo/run.ts';
import { createScreen } from '../src/demo/screen.ts';
import { messageOf } from '../src/errors.ts';

/** As a shell tells it: ended by a signal. */
const EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
type Signal = keyof typeof EXIT_CODES;

/** Where nobody looks at the width. */
const COLUMNS = 120;

/** How many times faster than life: `DBPROXY_DEMO_SPEED`, for tests. */
function paceFrom(value: string | undefined): number {
  const pace = Number(value);
  return Number.isFinite(pace) && pace > 0 ? pace : 1;
}

/** Runs the demo. Sets the exit code; a second signal ends it at once. */
export async function demo(options: { readonly keep: boolean }): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'claude-db-proxy-demo-'));
  const remove = (): void => rmSync(dataDir, { recursive: true, force: true });
  process.once('exit', remove);
  const stopping = new AbortController();
  const stop = (signal: Signal): void => {
    if (stopping.signal.aborted) process.exit(EXIT_CODES[signal]);
    process.exitCode = EXIT_CODES[signal];
    stopping.abort();
  };
  const signals = Object.keys(EXIT_CODES) as Signal[];
  for (const signal of signals) process.on(signal, stop);
  // Whoever read along has gone (`npm run demo | head`).
  process.stdout.on('error', () => stopping.abort());

  const live = isatty(process.stdout.fd);
  const columns = live ? process.stdout.columns : COLUMNS;
  const screen = createScreen({ write: (text) => process.stdout.write(text), live, columns });
  try {
    await runDemo({
      dataDir,
      screen,
      colours: pc.createColors(live && pc.isColorSupported),
      columns,
      keep: options.keep,
      signal: stopping.signal,
      pace: paceFrom(process.env['DBPROXY_DEMO_SPEED']),
    });
    // What was kept running was meant to be ended.
    process.exitCode = 0;
  } catch (error) {
    screen.line();
    if (!stopping.signal.aborted) {
      const message = messageOf(error);
      const what = error instanceof DemoFailure ? 'the demo failed' : 'the demo could not run';
      process.stderr.write(`claude-db-proxy: ${what}: ${message}\n`);
      process.exitCode = 1;
    }
  } finally {
    for (const signal of signals) process.off(signal, stop);
    remove();
  }
}
