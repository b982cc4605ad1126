/** `claude-db-proxy history [--json] [-n compactions]`: every compaction of the last 90 days, what it cost and saved. */
import pc from 'picocolors';
import type { Environment } from '../../src/config/config.ts';
import type { HistoryAnswer } from '../../src/admin/history-routes.ts';
import { RuntimeError } from '../../src/errors.ts';
import { askApi, notRunning } from '../api.ts';
import { wantsColours } from '../progress.ts';
import { findRunning } from '../runtime/supervision.ts';
import { contextOf } from '../context.ts';
import { historyText } from './history-text.ts';

/** The state file may be large, and the disk busy. */
const PATIENCE_MS = 10_000;
/** The most that the proxy sends in one answer. */
const MOST = 1_000;
/** The default for a terminal. */
const SHOWN = 20;
/** Columns where the output is no terminal. */
const WIDE = 200;

export interface HistoryOptions {
  readonly json: boolean;
  /** As typed. */
  readonly number?: string;
}

/** @throws RuntimeError, ConfigError */
export async function history(env: Environment, options: HistoryOptions): Promise<void> {
  const { number = String(options.json ? MOST : SHOWN) } = options;
  const limit = Number(number);
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST)
    throw new RuntimeError(`--number ${number}: must be a whole number from 1 to ${MOST}`);
  const site = contextOf(env);
  const { running } = await findRunning(site);
  if (running === null) throw notRunning();
  const answer = await askApi(site.layout, running.endpoint, `/api/history?limit=${limit}`, PATIENCE_MS);
  if (answer.status !== 200) throw new RuntimeError(whyNot(answer.status));
  const told = answer.json as HistoryAnswer;
  if (options.json) process.stdout.write(`${JSON.stringify(told, null, 2)}\n`);
  else {
    const columns = process.stdout.isTTY ? process.stdout.columns : WIDE;
    process.stdout.write(historyText(told, columns, pc.createColors(wantsColours(process.stdout, env))));
  }
}

function whyNot(status: number): string {
  if (status === 0) return 'the proxy did not send its history; see `claude-db-proxy logs`';
  if (status === 401) return 'the token was not accepted; restart the proxy: claude-db-proxy stop, then start';
  return `the proxy did not send its history (${status}); it is of another version: claude-db-proxy stop, then start`;
}
