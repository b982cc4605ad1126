/** `claude-db-proxy logs [-f] [--json] [-n lines]`: the structured log, for people or as it is. */
import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import pc from 'picocolors';
import type { Environment } from '../src/config/config.ts';
import { RuntimeError } from '../src/errors.ts';
import { wantsColours } from './progress.ts';
import { lastKnownRecord } from './runtime/supervision.ts';
import { runtimeNamed } from './runtime/runtimes.ts';
import { contextOf } from './context.ts';

export interface LogsOptions {
  readonly follow: boolean;
  readonly json: boolean;
  /** As typed. */
  readonly lines: string;
}

const CHUNK_BYTES = 64 * 1024;
const POLL_MS = 100;

/** @throws RuntimeError, ConfigError */
export async function logs(env: Environment, options: LogsOptions): Promise<void> {
  const site = contextOf(env);
  const count = Number(options.lines);
  if (!Number.isInteger(count) || count < 0) throw new RuntimeError(`--lines ${options.lines}: must be a whole number`);
  const path = (await runtimeNamed(lastKnownRecord(site).runtime)).logFile(site.layout);
  if (!existsSync(path) && !options.follow) throw new RuntimeError(`there is no log yet (${path})`);
  const c = pc.createColors(wantsColours(process.stdout, env));
  const show = (line: string): void => void process.stdout.write(`${options.json ? line : readable(line, c)}\n`);
  // Whoever read along has gone (`logs | head`).
  process.stdout.on('error', () => process.exit(0));
  let position = existsSync(path) ? showTail(path, count, show) : 0;
  while (options.follow) {
    await delay(POLL_MS);
    position = showFrom(path, position, show);
  }
}

/** Shows the last `count` lines; returns where the next one begins. */
function showTail(path: string, count: number, show: (line: string) => void): number {
  const file = openSync(path, 'r');
  try {
    let start = fstatSync(file).size;
    let bytes = Buffer.alloc(0);
    while (start > 0 && linesIn(bytes) <= count) {
      const length = Math.min(CHUNK_BYTES, start);
      start -= length;
      bytes = Buffer.concat([readAt(file, start, length), bytes]);
    }
    const end = bytes.lastIndexOf(0x0a) + 1;
    const lines = bytes.toString('utf8', 0, end).split('\n').slice(0, -1);
    for (const line of count === 0 ? [] : lines.slice(-count)) show(line);
    return start + end;
  } finally {
    closeSync(file);
  }
}

const linesIn = (bytes: Buffer): number => bytes.filter((byte) => byte === 0x0a).length;

function readAt(file: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(file, bytes, 0, length, position));
}

/** Shows whole lines from `position` on; returns where the next one begins. A file that is shorter now was begun anew. */
function showFrom(path: string, position: number, show: (line: string) => void): number {
  let size: number;
  try {
    ({ size } = statSync(path));
  } catch {
    return 0; // not there yet, or being rotated
  }
  const from = size < position ? 0 : position;
  if (size === from) return from;
  const file = openSync(path, 'r');
  try {
    const bytes = readAt(file, from, size - from);
    const end = bytes.lastIndexOf(0x0a) + 1;
    for (const line of bytes.toString('utf8', 0, end).split('\n').slice(0, -1)) show(line);
    return from + end;
  } finally {
    closeSync(file);
  }
}

type Colours = ReturnType<typeof pc.createColors>;

/** `12:00:01 INFO  phase.changed  conversation=… from=IDLE`; a line that is none of ours stays as it is. */
export function readable(line: string, c: Colours): string {
  let entry: Readonly<Record<string, unknown>>;
  try {
    const parsed: unknown = JSON.parse(line);
    if (typeof parsed !== 'object' || parsed === null) return line;
    entry = parsed as Readonly<Record<string, unknown>>;
  } catch {
    return line;
  }
  const { time, level, event, ...fields } = entry;
  const name = String(level).toUpperCase().padEnd(5);
  const coloured = { ERROR: c.red, 'WARN ': c.yellow, 'INFO ': c.cyan }[name] ?? c.dim;
  const rest = Object.entries(fields).map(([key, value]) => `${c.dim(`${key}=`)}${shown(value)}`);
  const at = new Date(String(time));
  const when = Number.isNaN(at.getTime()) ? String(time) : at.toLocaleTimeString('en-GB');
  return [c.dim(when), coloured(name), c.bold(String(event)), ...rest].join(' ');
}

/** Of the log's own text nothing reaches the terminal as a control sequence. */
function shown(value: unknown): string {
  const text = typeof value === 'string' && /^[\w.:/@~+-]+$/.test(value) ? value : JSON.stringify(value);
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}
