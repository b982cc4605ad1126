/** `claude-db-proxy status [--json]`: whether the proxy runs, since when, where, and what its conversations are at. */
import pc from 'picocolors';
import type { Environment } from '../src/config/config.ts';
import type { StatusAnswer } from '../src/admin/status-routes.ts';
import { askApi } from './api.ts';
import { duration, plural } from '../web/format.ts';
import { phaseText } from './phase-text.ts';
import { wantsColours } from './progress.ts';
import { findRunning, type ProbeResult, type Running, type CliContext } from './runtime/supervision.ts';
import { contextOf } from './context.ts';
import { whereItRuns } from './start-stop.ts';

/** As `systemctl status` tells it: not running. */
const NOT_RUNNING = 3;
const PATIENCE_MS = 3_000;

/** Prints it; exit code 0 when it runs, 3 when it does not. */
export async function status(env: Environment, options: { readonly json: boolean }): Promise<void> {
  const site = contextOf(env);
  const found = await findRunning(site);
  const { running } = found;
  const answer = running === null ? null : await askApi(site.layout, running.endpoint, '/api/status', PATIENCE_MS);
  const details = answer?.status === 200 ? readStatus(answer.json) : null;
  if (options.json) process.stdout.write(`${JSON.stringify(asJson(site, found, details), null, 2)}\n`);
  else process.stdout.write(asText(site, found, details, pc.createColors(wantsColours(process.stdout, env))));
  process.exitCode = running === null ? NOT_RUNNING : 0;
}

/** Proxies of older versions call the time saved `saved_ms`. */
function readStatus(json: unknown): StatusAnswer {
  const { saved_ms: savedMs, ...answer } = json as Partial<StatusAnswer> & { readonly saved_ms?: number };
  return { savedMs, ...answer } as StatusAnswer;
}

function asJson(site: CliContext, { running, ...found }: ProbeResult, details: StatusAnswer | null): object {
  const { dataDir } = site.layout;
  if (running === null) {
    const { ports, runtime } = 'record' in found ? found.record : { ports: null, runtime: null };
    return { running: false, trouble: 'trouble' in found ? found.trouble : null, runtime, ports, dataDir };
  }
  const { record, health } = running;
  return {
    running: true,
    since: record.since,
    runtime: record.runtime,
    pid: record.pid,
    container: record.container,
    version: health.version,
    ports: record.ports,
    dataDir,
    passthrough: health.passthrough,
    thresholds: { checkpoint: health.checkpointThreshold, swap: health.swapThreshold },
    savedMs: details?.savedMs ?? null,
    served: details?.served ?? null,
    conversations: details?.conversations ?? null,
  };
}

type Colours = ReturnType<typeof pc.createColors>;

function asText(site: CliContext, found: ProbeResult, details: StatusAnswer | null, c: Colours): string {
  const { running } = found;
  if (running === null) {
    const why = { stranger: `another process is on port ${found.record.ports.proxy}`, silent: 'it does not answer' };
    const reason = found.trouble === 'stranger' || found.trouble === 'silent' ? ` (${why[found.trouble]})` : '';
    return `${c.yellow('○')} The proxy is not running${reason}. It starts with claude, or with: claude-db-proxy start\n`;
  }
  const rows: [string, string][] = [
    ['since', `${ageText(running)} (${running.record.since})`],
    ['runtime', whereItRuns(running.record)],
    ['version', running.health.version],
    ['proxy', running.endpoint.url],
    ['dashboard', `https://localhost:${running.record.ports.dashboard}/dashboard`],
    ['data', site.layout.dataDir],
    ...(running.health.passthrough
      ? ([['mode', 'passthrough: nothing is computed or served']] as [string, string][])
      : []),
    ...(details === null ? [] : ([['time saved', savedText(details)]] as [string, string][])),
  ];
  const head = `${c.green('◈')} The proxy is running.\n`;
  const body = rows.map(([name, value]) => `  ${c.dim(name.padEnd(12))}${value}\n`).join('');
  return head + body + conversationsText(details, c);
}

const savedText = ({ savedMs, served }: StatusAnswer): string =>
  served === 0 ? 'nothing yet' : `${duration(savedMs)} (${plural(served, 'compaction')})`;

const ageText = ({ record }: Running): string => duration(Math.max(0, Date.now() - Date.parse(record.since)));

function conversationsText(details: StatusAnswer | null, c: Colours): string {
  if (details === null) return `  ${c.yellow('the conversations cannot be shown: the token was not accepted')}\n`;
  if (details.conversations.length === 0) return `\n  ${c.dim('no conversations yet')}\n`;
  const lines = details.conversations.map(({ id, phase, utilisation, model }) => {
    const share = `${Math.round(utilisation * 100)} %`.padStart(6);
    return `  ${phaseText(phase, c)}${share}  ${id}${model === null ? '' : c.dim(`  ${model}`)}\n`;
  });
  return `\n${lines.join('')}`;
}
