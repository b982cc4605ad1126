/**
 * The structured log: JSON lines on stdout and in `logs/dbproxy.jsonl`, which is rotated. Every line has an `event`
 * (`phase.changed`, `checkpoint.started`, …). Each call lists its fields instead of passing an object, so that no
 * credential and no message text is logged.
 */
import { createStream } from 'rotating-file-stream';
import { mkdirSync } from 'node:fs';
import { pino, type DestinationStream, type LevelWithSilent } from 'pino';

/** The fields of a log line. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined | readonly string[]>>;

/** `event` is a stable dot.case name. */
export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

export type LogLevel = 'DEBUG' | 'INFO' | 'WARNING' | 'ERROR';

const PINO_LEVEL: Record<LogLevel, LevelWithSilent> = { DEBUG: 'debug', INFO: 'info', WARNING: 'warn', ERROR: 'error' };

/** A log that writes nothing. */
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

export interface LogFile {
  readonly stream: DestinationStream;
  /** Resolves when all lines are written. */
  close(): Promise<void>;
}

/**
 * Opens `directory/dbproxy.jsonl`, mode 0600, rotated at 10 MB, five old files kept.
 * When it cannot be written, lines are lost and `onError` is called; the proxy goes on.
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
