/**
 * The structured log: JSON lines on stdout and in `logs/dbproxy.jsonl`, rotated.
 * Every line has an `event` (`phase.changed`, `checkpoint.started`, …); fields are picked by hand at the call,
 * never a whole object, so that neither a credential nor message text can slip in.
 */
import { createStream } from 'rotating-file-stream';
import { mkdirSync } from 'node:fs';
import { pino, type DestinationStream, type LevelWithSilent } from 'pino';

/** What may stand in a log line: small values, picked by hand. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined | readonly string[]>>;

/** The log as everybody sees it. `event` is a stable dot.case name; `fields` go beside it. */
export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

export type LogLevel = 'DEBUG' | 'INFO' | 'WARNING' | 'ERROR';

const PINO_LEVEL: Record<LogLevel, LevelWithSilent> = { DEBUG: 'debug', INFO: 'info', WARNING: 'warn', ERROR: 'error' };

/** A log that writes nowhere, for tests and for parts that run without one. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** A {@link Log} over pino that writes JSON lines to each of `destinations`. */
export function createLog(level: LogLevel, destinations: readonly DestinationStream[]): Log {
  const logger = pino(
    {
      level: PINO_LEVEL[level],
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.multistream(destinations.map((stream) => ({ stream, level: 'debug' }))),
  );
  return {
    debug: (event, fields) => logger.debug({ event, ...fields }),
    info: (event, fields) => logger.info({ event, ...fields }),
    warn: (event, fields) => logger.warn({ event, ...fields }),
    error: (event, fields) => logger.error({ event, ...fields }),
  };
}

/** A log file that is closed (all lines written) before the process ends. */
export interface LogFile {
  readonly stream: DestinationStream;
  /** Resolves when everything written so far is in the file. */
  close(): Promise<void>;
}

/**
 * Opens `directory/dbproxy.jsonl`, mode 0600, rotated at 10 MB, five old files kept.
 * A log that cannot be written never stops the proxy: `onError` hears of it, lines are lost.
 */
export function openLogFile(directory: string, onError: (error: Error) => void): LogFile {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const stream = createStream('dbproxy.jsonl', { path: directory, size: '10M', maxFiles: 5, mode: 0o600 });
  stream.on('error', onError);
  stream.on('warning', onError);
  return {
    stream,
    close: () =>
      new Promise((resolve) => {
        stream.once('close', resolve);
        stream.end();
      }),
  };
}
