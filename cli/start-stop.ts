/** `claude-db-proxy start` and `stop`: the proxy alone. */
import type { Environment } from '../src/config/config.ts';
import { withProgress } from './progress.ts';
import { ensureRunning, findRunning, replaceIfOlder, stopRunning, type Running } from './runtime/supervision.ts';
import { contextOf } from './context.ts';

const START_MS = 60_000;
const STOP_MS = 40_000;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

export const whereItRuns = ({ runtime, pid, container }: Running['record']): string => {
  if (container !== null) return `${runtime}, container ${container}`;
  return pid === null ? runtime : `${runtime}, process ${pid}`;
};

/** @throws ConfigError, RuntimeError */
export async function start(env: Environment): Promise<void> {
  const site = contextOf(env);
  const options = { ...site, env, signal: AbortSignal.timeout(START_MS) };
  const { running: before } = await findRunning(site);
  const running = await withProgress(
    'starting the proxy',
    before === null ? ensureRunning(options) : replaceIfOlder(options, before),
  );
  const { record, endpoint } = running;
  const isNew = before?.record.since !== record.since;
  say(`The proxy ${isNew ? 'is running' : 'was running already'} (${whereItRuns(record)}).`);
  say(`  HTTPS_PROXY  ${endpoint.url}`);
  say(`  dashboard    https://localhost:${record.ports.dashboard}/dashboard`);
}

/** @throws ConfigError, RuntimeError */
export async function stop(env: Environment): Promise<void> {
  const stopped = await withProgress('stopping the proxy', stopRunning(contextOf(env), AbortSignal.timeout(STOP_MS)));
  say(stopped === null ? 'The proxy was not running.' : `The proxy is stopped (${whereItRuns(stopped)}).`);
}
