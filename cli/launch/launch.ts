/**
 * `claude-db-proxy [claude's arguments]`: a healthy proxy, then `claude` as if it had been started itself. Whatever goes
 * wrong with the proxy is one line on stderr, and `claude` runs without it.
 *
 *   find claude ─▶ settings ─▶ proxy healthy? ─▶ environment ─▶ claude, and watch.ts beside it
 *                      └── no ──────┴──── one warning ────────▶ claude, in the user's own environment
 *
 * With a proxy that runs this must be quick: what is not needed for that road is loaded only when it is.
 */
import { realpathSync } from 'node:fs';
import { isatty } from 'node:tty';
import { parseConfig, type Config, type Environment } from '../../src/config/config.ts';
import { ConfigError, messageOf } from '../../src/errors.ts';
import type { Health } from '../../src/admin/health.ts';
import { layoutOf, type DataPaths } from '../installation.ts';
import { STDERR, wantsColours, withProgress, writeError } from '../progress.ts';
import {
  ensureRunning,
  findRunning,
  foundHealthy,
  replaceIfOlder,
  type Running,
  type CliContext,
} from '../runtime/supervision.ts';
import { caBundle } from './ca-bundle.ts';
import { startupProbe } from './startup-probe.ts';
import { findClaude, HOW_TO_GET_IT } from './find-claude.ts';
import { launchEnvironment } from './launch-environment.ts';
import { endAs, runAsForegroundChild, type Ending } from './foreground-child.ts';

/** As a shell tells it: there is no such command. */
const NOT_FOUND = 127;
/** As a shell tells it: it cannot be executed. */
const NOT_EXECUTABLE = 126;
/** A start takes a second or two; a container's first one longer. */
const START_MS = 30_000;
/** A proxy that dies is to be back within two seconds, of which a start takes one. */
const WATCH_AFTER_MS = 500;
/** Questions that no proxy is needed for, and that scripts ask. */
const ANSWERED_ALONE = new Set(['--version', '-v', '--help', '-h']);

interface Prepared {
  readonly config: Config;
  readonly layout: DataPaths;
  readonly running: Running;
  readonly variables: Readonly<Record<string, string>>;
}

const warn = (message: string): void => writeError(`claude-db-proxy: ${message}\n`);

/**
 * Runs `claude` and ends this process as it ended.
 *
 * @param env this process's own
 */
export async function launch(args: readonly string[], env: NodeJS.ProcessEnv): Promise<never> {
  const early = startupProbe(env);
  const claude = findClaude(env, realpathSync(process.argv[1] ?? '.'));
  const health = await early;
  if (claude === null) {
    warn(HOW_TO_GET_IT);
    process.exit(NOT_FOUND);
  }
  const alone = args.length === 1 && ANSWERED_ALONE.has(args[0] ?? '');
  const prepared = alone ? null : await prepare(env, health);
  try {
    endAs(
      prepared === null ? await runAsForegroundChild(claude, args, env) : await runThrough(claude, args, env, prepared),
    );
  } catch (error) {
    warn(`${claude} cannot be started: ${messageOf(error)}`);
    process.exit(NOT_EXECUTABLE);
  }
}

/**
 * A healthy proxy and what `claude` has to be told about it; null, after a warning, where there is none.
 *
 * @param early what the proxy has said already
 */
async function prepare(env: Environment, early: Health | null): Promise<Prepared | null> {
  try {
    const config = parseConfig(env);
    const layout = layoutOf(config);
    const running = await proxyFor({ config, layout, env }, early);
    const { health, endpoint, record } = running;
    const swap = (env['DBPROXY_SWAP_THRESHOLD'] ?? '').trim() === '' ? health.swapThreshold : config.thresholds.swap;
    const variables = launchEnvironment(env, {
      proxyUrl: endpoint.url,
      caFile: caBundle(layout, env['NODE_EXTRA_CA_CERTS']),
      swap,
    });
    announce(record.ports.dashboard, env);
    return { config, layout, running, variables };
  } catch (error) {
    const hint = error instanceof ConfigError ? '' : '; `claude-db-proxy proxy-doctor` looks into it';
    warn(`${messageOf(error)}${hint}. Running claude without the proxy.`);
    return null;
  }
}

async function proxyFor(site: CliContext & { readonly env: Environment }, early: Health | null): Promise<Running> {
  const running = early === null ? (await findRunning(site)).running : foundHealthy(site, early);
  const options = { ...site, signal: AbortSignal.timeout(START_MS) };
  if (running === null) return withProgress('starting the proxy', ensureRunning(options));
  return withProgress('replacing an older proxy', replaceIfOlder(options, running));
}

/** The one line. On stderr, so that it is in nobody's way; without the token, which has no business in a scrollback. */
function announce(port: number, env: Environment): void {
  const [on, off] = wantsColours({ isTTY: isatty(STDERR) }, env) ? ['\x1b[36m', '\x1b[39m'] : ['', ''];
  writeError(`${on}◈ DB_PROXY_ON${off}  https://localhost:${port}/dashboard\n`);
}

async function runThrough(
  claude: string,
  args: readonly string[],
  env: Environment,
  prepared: Prepared,
): Promise<Ending> {
  const { config, layout, running, variables } = prepared;
  const late: string[] = [];
  // In the middle of a full-screen program a line of ours would be noise: it comes when that has ended.
  const notify = isatty(STDERR) ? (message: string) => late.push(message) : warn;
  let stop: (() => void) | undefined;
  let begin: NodeJS.Timeout | undefined;
  const ending = await runAsForegroundChild(claude, args, { ...env, ...variables }, () => {
    // Not at once: claude has its own start to make.
    begin = setTimeout(() => {
      void import('./watch.ts').then(({ watch }) => (stop = watch({ config, layout, env, running, notify })));
    }, WATCH_AFTER_MS);
  });
  clearTimeout(begin);
  stop?.();
  for (const message of late) warn(message);
  return ending;
}
