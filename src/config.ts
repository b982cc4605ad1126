/**
 * The settings: `DBPROXY_*` variables, and the usual ones for a proxy on the way out, parsed and validated once into one
 * frozen value. Nothing else reads them.
 * An unset or empty variable means its default; a value that cannot be used is a `ConfigError`.
 */
import { homedir } from 'node:os';
import { isIPv6 } from 'node:net';
import { isAbsolute, join, resolve } from 'node:path';
import type { Thresholds } from '../machines/conversation-events.ts';
import { milliseconds, tokens, type Milliseconds, type Tokens } from '../machines/units.ts';
import { ConfigError } from './errors.ts';
import type { LogLevel } from './log.ts';
import { parseOutboundProxy, type OutboundProxy } from './upstream/outbound-proxy.ts';
import { isObject } from './wire/json.ts';

/** What the proxy runs in; `auto`: what the installer found to work, else Node. */
export type RuntimeChoice = 'auto' | 'docker' | 'podman' | 'node';

export interface Config {
  readonly thresholds: Thresholds;
  /** Share of the effective window that may come after a checkpoint before a newer one is computed. */
  readonly checkpointRefresh: number;
  /** How often a checkpoint is tried per crossing of the threshold. */
  readonly checkpointTries: number;
  /** Checkpoint calls at the same time, at most; beyond them checkpoints are skipped. */
  readonly maxCheckpoints: number;
  readonly logLevel: LogLevel;
  /** Pure proxy: no checkpoints, nothing served. */
  readonly passthrough: boolean;
  /** Port of the CONNECT redirector. 0: any free one. */
  readonly proxyPort: number;
  /** Port of the HTTPS forwarder, which also serves `/health` and the dashboard. 0: any free one. */
  readonly dashboardPort: number;
  /** Address that both listen on. */
  readonly host: string;
  /** Names besides our own by which we may be asked for our pages. */
  readonly allowedHosts: readonly string[];
  /** Absolute path; holds `certs/`, `state/`, `logs/` and the token. */
  readonly dataDir: string;
  readonly upstreamUrl: URL;
  /** The proxy that the user's network wants on the way out, from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. */
  readonly outboundProxy: OutboundProxy;
  /** Model name, or the beginning of one → context window. */
  readonly modelWindows: Readonly<Record<string, Tokens>>;
  /** A conversation that was idle for this long is forgotten. */
  readonly conversationTtl: Milliseconds;
  /** Open connections of clients from which on new ones get what costs least. */
  readonly maxConnections: number;
  /** Bytes of requests that may be kept to be read and for checkpoint calls. */
  readonly maxBufferedBytes: number;
  /** How long a compaction waits for a checkpoint call that is still running. */
  readonly compactionWait: Milliseconds;
  /** For the launcher and the commands; `serve` runs where it is. */
  readonly runtime: RuntimeChoice;
  /** Where what the actors do is sent in the protocol of `@statelyai/inspect`; null for nowhere. */
  readonly inspectUrl: URL | null;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const LEVELS: Readonly<Record<string, LogLevel>> = {
  DEBUG: 'DEBUG',
  INFO: 'INFO',
  WARN: 'WARNING',
  WARNING: 'WARNING',
  ERROR: 'ERROR',
};
const RUNTIMES: Readonly<Record<string, RuntimeChoice>> = {
  auto: 'auto',
  docker: 'docker',
  podman: 'podman',
  node: 'node',
};
const SWITCH: Readonly<Record<string, boolean>> = {
  true: true,
  1: true,
  yes: true,
  on: true,
  false: false,
  0: false,
  no: false,
  off: false,
};
const UNITS: Readonly<Record<string, number>> = { ms: 1, '': 1_000, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** What timers can count: 2³¹ − 1 ms. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** A URL may carry a password; messages must not. */
const withoutPassword = (value: string): string => value.replace(/\/\/[^/]*@/, '//…@');

/** Reads one variable: its default when unset or empty, else `read`, whose undefined means "cannot be used". */
function setting<T>(
  env: Environment,
  name: string,
  fallback: T,
  allowed: string,
  read: (value: string) => T | undefined,
): T {
  const value = env[name]?.trim() ?? '';
  if (value === '') return fallback;
  const parsed = read(value);
  if (parsed === undefined) throw new ConfigError(name, withoutPassword(value), allowed);
  return parsed;
}

const lookUp = <T>(table: Readonly<Record<string, T>>, key: string): T | undefined =>
  Object.hasOwn(table, key) ? table[key] : undefined;

const decimal = (value: string): number | undefined => (/^\d*\.?\d+$/.test(value) ? Number(value) : undefined);

function share(value: string): number | undefined {
  const number = decimal(value);
  return number !== undefined && number > 0 && number < 1 ? number : undefined;
}

function port(value: string): number | undefined {
  return /^\d{1,5}$/.test(value) && Number(value) <= 65_535 ? Number(value) : undefined;
}

/** Names and addresses; no wildcard, which would let any page in that points its name at this machine. */
function hostList(value: string): readonly string[] | undefined {
  const hosts = value.split(',').map((host) => host.trim());
  const isHost = (host: string): boolean =>
    /^[\w-]+(\.[\w-]+)*$/.test(host) || isIPv6(host.replace(/^\[(.*)\]$/, '$1'));
  return hosts.every(isHost) ? hosts : undefined;
}

/** A whole number from 1 to `most`. */
const count =
  (most: number) =>
  (value: string): number | undefined => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : 0;
    return number > 0 && number <= most ? number : undefined;
  };

const SIZES: Readonly<Record<string, number>> = { '': 1, k: 1_024, m: 1_024 ** 2, g: 1_024 ** 3 };

/** Bytes; 0 keeps nothing. */
function size(value: string): number | undefined {
  const [, number = '', unit = ''] = /^(\d{1,15})\s*([kmg]?)(?:i?b)?$/i.exec(value) ?? [];
  const factor = lookUp(SIZES, unit.toLowerCase());
  const bytes = number === '' || factor === undefined ? undefined : Number(number) * factor;
  return bytes !== undefined && Number.isSafeInteger(bytes) ? bytes : undefined;
}

function duration(value: string): Milliseconds | undefined {
  const [, number = '', unit = ''] = /^(\d*\.?\d+)\s*(ms|s|m|h|d)?$/i.exec(value) ?? [];
  const amount = decimal(number);
  const factor = lookUp(UNITS, unit.toLowerCase());
  if (amount === undefined || factor === undefined) return undefined;
  const total = Math.round(amount * factor);
  return total > 0 && total <= LONGEST_TIMER ? milliseconds(total) : undefined;
}

function upstreamUrl(value: string): URL | undefined {
  if (!URL.canParse(value)) return undefined;
  const url = new URL(value);
  const plain = url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  return plain && (url.protocol === 'https:' || url.protocol === 'http:') ? url : undefined;
}

function webSocketUrl(value: string): URL | undefined {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  return url?.protocol === 'ws:' || url?.protocol === 'wss:' ? url : undefined;
}

// By hand: a schema library takes longer to load than all of the launcher, which reads the settings too.
function modelWindows(value: string): Record<string, Tokens> | undefined {
  try {
    const windows: unknown = JSON.parse(value);
    if (!isObject(windows)) return undefined;
    const entries = Object.entries(windows).map(([model, window]) => {
      if (model === '' || typeof window !== 'number' || !Number.isSafeInteger(window) || window <= 0) throw new Error();
      return [model, tokens(window)] as const;
    });
    return Object.fromEntries(entries);
  } catch {
    return undefined;
  }
}

function directory(value: string, home: string): string {
  const expanded = value === '~' || value.startsWith('~/') ? join(home, value.slice(1)) : value;
  return isAbsolute(expanded) ? expanded : resolve(expanded);
}

/**
 * Parses the environment.
 *
 * @throws ConfigError naming variable, value and what is allowed
 */
export function parseConfig(env: Environment): Config {
  const home = env['HOME'] ?? homedir();
  const fraction = 'a number between 0 and 1, such as 0.70';
  const wholeNumber = 'a whole number from 1 to 1000';
  const portRange = 'a port from 0 to 65535 (0: any free one)';
  const checkpoint = setting(env, 'DBPROXY_CHECKPOINT_THRESHOLD', 0.7, fraction, share);
  const swap = setting(env, 'DBPROXY_SWAP_THRESHOLD', 0.8, fraction, share);
  if (swap <= checkpoint) {
    const blamed = (env['DBPROXY_CHECKPOINT_THRESHOLD'] ?? '').trim() === '' ? 'SWAP' : 'CHECKPOINT';
    const rule =
      blamed === 'SWAP'
        ? `must be above DBPROXY_CHECKPOINT_THRESHOLD (${checkpoint})`
        : `must be below DBPROXY_SWAP_THRESHOLD (${swap})`;
    throw new ConfigError(`DBPROXY_${blamed}_THRESHOLD`, String(blamed === 'SWAP' ? swap : checkpoint), rule);
  }
  const proxyPort = setting(env, 'DBPROXY_PROXY_PORT', 8080, portRange, port);
  const dashboardPort = setting(env, 'DBPROXY_DASHBOARD_PORT', 8443, portRange, port);
  if (proxyPort === dashboardPort && proxyPort !== 0) {
    throw new ConfigError('DBPROXY_DASHBOARD_PORT', String(dashboardPort), 'must not be DBPROXY_PROXY_PORT as well');
  }
  return Object.freeze<Config>({
    thresholds: Object.freeze({ checkpoint, swap }),
    checkpointTries: setting(env, 'DBPROXY_CHECKPOINT_TRIES', 3, wholeNumber, count(1_000)),
    maxCheckpoints: setting(env, 'DBPROXY_MAX_CHECKPOINTS', 4, wholeNumber, count(1_000)),
    checkpointRefresh: setting(env, 'DBPROXY_CHECKPOINT_REFRESH', 0.1, fraction, share),
    logLevel: setting<LogLevel>(env, 'DBPROXY_LOG_LEVEL', 'INFO', 'DEBUG, INFO, WARNING or ERROR', (value) =>
      lookUp(LEVELS, value.toUpperCase()),
    ),
    passthrough: setting(env, 'DBPROXY_PASSTHROUGH', false, 'true or false', (value) =>
      lookUp(SWITCH, value.toLowerCase()),
    ),
    proxyPort,
    dashboardPort,
    host: setting(env, 'DBPROXY_HOST', '127.0.0.1', 'an address or host name to listen on', (value) =>
      /^[\w.:-]+$/.test(value) ? value : undefined,
    ),
    allowedHosts: Object.freeze(
      setting(
        env,
        'DBPROXY_ALLOWED_HOSTS',
        [],
        'host names or addresses, separated by commas, without ports and wildcards',
        hostList,
      ),
    ),
    dataDir: setting(env, 'DBPROXY_DATA_DIR', join(home, '.local/share/claude-db-proxy'), 'a directory', (value) =>
      directory(value, home),
    ),
    upstreamUrl: setting(
      env,
      'DBPROXY_UPSTREAM_URL',
      new URL('https://api.anthropic.com'),
      'an http or https URL without user, query or fragment',
      upstreamUrl,
    ),
    outboundProxy: parseOutboundProxy(env),
    modelWindows: Object.freeze(
      setting(
        env,
        'DBPROXY_MODEL_WINDOWS',
        {},
        'a JSON object of model names and tokens, such as {"claude-x": 200000}',
        modelWindows,
      ),
    ),
    inspectUrl: setting<URL | null>(env, 'DBPROXY_INSPECT', null, 'a ws or wss URL', webSocketUrl),
    conversationTtl: setting(
      env,
      'DBPROXY_CONVERSATION_TTL',
      milliseconds(7_200_000),
      'a time such as 7200 (seconds), 90m or 2h, 24 days at most',
      duration,
    ),
    maxConnections: setting(env, 'DBPROXY_MAX_CONNECTIONS', 10_000, 'a number of connections', count(999_999_999)),
    maxBufferedBytes: setting(
      env,
      'DBPROXY_MAX_BUFFERED_BYTES',
      256 * 1_024 ** 2,
      'a number of bytes, such as 268435456 or 256M',
      size,
    ),
    compactionWait: setting(
      env,
      'DBPROXY_COMPACTION_WAIT',
      milliseconds(20_000),
      'a time such as 20 (seconds) or 500ms',
      duration,
    ),
    runtime: setting<RuntimeChoice>(env, 'DBPROXY_RUNTIME', 'auto', 'auto, docker, podman or node', (value) =>
      lookUp(RUNTIMES, value.toLowerCase()),
    ),
  });
}
