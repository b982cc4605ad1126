/**
 * Every `DBPROXY_*` setting of the proxy, in the order in which people read them: the one table that the parser
 * (config.ts), `proxy-help`, README's table and the list in compose.yaml (`npm run settings`) and the tests are made from.
 */
import type { LogLevel } from '../log.ts';
import {
  count,
  DIRECTORY,
  duration,
  HOST,
  HOST_LIST,
  HTTP_URL,
  MODEL_WINDOWS,
  PORT,
  SHARE,
  SIZE,
  SWITCH,
  WEB_SOCKET_URL,
  word,
  type Kind,
} from './values.ts';

/** Where the proxy runs; `auto`: in what the installer found to work, else on Node. */
export type RuntimeChoice = 'auto' | 'docker' | 'podman' | 'node';

export interface Setting<T> extends Kind<T> {
  /** The variable. */
  readonly name: string;
  /** What an unset or empty variable means, as a user would write it; '' where no value says it. */
  readonly default: string;
  /** What it does, in one line of Markdown. */
  readonly text: string;
  /** False for a setting that a container does not take over from the user: its starter decides, or needs it itself. */
  readonly container: boolean;
}

const LEVELS: Readonly<Record<string, LogLevel>> = {
  ...{ debug: 'DEBUG', info: 'INFO', warn: 'WARNING', warning: 'WARNING', error: 'ERROR' },
};
const RUNTIMES: Readonly<Record<string, RuntimeChoice>> = {
  ...{ auto: 'auto', docker: 'docker', podman: 'podman', node: 'node' },
};

const TABLE = {
  checkpointThreshold: {
    name: 'DBPROXY_CHECKPOINT_THRESHOLD',
    default: '0.70',
    text: 'share of the effective window at which the summary is computed',
    container: true,
    ...SHARE,
  },
  swapThreshold: {
    name: 'DBPROXY_SWAP_THRESHOLD',
    default: '0.80',
    text: 'share at which Claude Code is expected to compact',
    container: true,
    ...SHARE,
  },
  checkpointRefresh: {
    name: 'DBPROXY_CHECKPOINT_REFRESH',
    default: '0.10',
    text: 'share of the window that may be used after a checkpoint before a newer one is computed',
    container: true,
    ...SHARE,
  },
  checkpointTries: {
    name: 'DBPROXY_CHECKPOINT_TRIES',
    default: '3',
    text: 'how often a checkpoint that fails is tried, with growing pauses',
    container: true,
    ...count(1_000),
  },
  maxCheckpoints: {
    name: 'DBPROXY_MAX_CHECKPOINTS',
    default: '4',
    text: 'checkpoints computed at the same time; more are skipped, and requests never wait for them',
    container: true,
    ...count(1_000),
  },
  passthrough: {
    name: 'DBPROXY_PASSTHROUGH',
    default: 'false',
    text: 'only forward: compute no checkpoint, serve no compaction',
    container: true,
    ...SWITCH,
  },
  logLevel: {
    name: 'DBPROXY_LOG_LEVEL',
    default: 'INFO',
    text: '`DEBUG`, `INFO`, `WARNING` or `ERROR`',
    container: true,
    ...word('DEBUG, INFO, WARNING or ERROR', LEVELS),
  },
  proxyPort: {
    name: 'DBPROXY_PROXY_PORT',
    default: '8080',
    text: 'port of the CONNECT redirector; `0`: any free one',
    container: false,
    ...PORT,
  },
  dashboardPort: {
    name: 'DBPROXY_DASHBOARD_PORT',
    default: '8443',
    text: 'port of the HTTPS forwarder, `/health` and the dashboard; `0`: any free one',
    container: false,
    ...PORT,
  },
  host: {
    name: 'DBPROXY_HOST',
    default: '127.0.0.1',
    text: 'address that both ports listen on',
    container: false,
    ...HOST,
  },
  allowedHosts: {
    name: 'DBPROXY_ALLOWED_HOSTS',
    default: '',
    text: "more host names that the proxy's own pages answer to, separated by commas",
    container: true,
    ...HOST_LIST,
  },
  dataDir: {
    name: 'DBPROXY_DATA_DIR',
    default: '~/.local/share/claude-db-proxy',
    text: 'directory of the certificates, the state, the logs and the token',
    container: false,
    ...DIRECTORY,
  },
  runtime: {
    name: 'DBPROXY_RUNTIME',
    default: 'auto',
    text: 'where the proxy runs: `docker`, `podman`, `node`, or `auto`: what the installer found',
    container: false,
    ...word('auto, docker, podman or node', RUNTIMES),
  },
  upstreamUrl: {
    name: 'DBPROXY_UPSTREAM_URL',
    default: 'https://api.anthropic.com',
    text: 'address of the API',
    container: true,
    ...HTTP_URL,
  },
  modelWindows: {
    name: 'DBPROXY_MODEL_WINDOWS',
    default: '{}',
    text: 'context windows in tokens, as a JSON object by model name or its beginning',
    container: true,
    ...MODEL_WINDOWS,
  },
  conversationTtl: {
    name: 'DBPROXY_CONVERSATION_TTL',
    default: '2h',
    text: 'a conversation that is idle for this long is forgotten',
    container: true,
    ...duration('7200 (seconds), 90m or 2h, 24 days at most'),
  },
  compactionWait: {
    name: 'DBPROXY_COMPACTION_WAIT',
    default: '20s',
    text: 'how long a compaction waits for a checkpoint that is still being computed',
    container: true,
    ...duration('20 (seconds) or 500ms'),
  },
  inspectUrl: {
    name: 'DBPROXY_INSPECT',
    default: '',
    text: '`ws://` URL that receives the events of the actors, in the protocol of `@statelyai/inspect`',
    container: true,
    ...WEB_SOCKET_URL,
  },
  maxConnections: {
    name: 'DBPROXY_MAX_CONNECTIONS',
    default: '10000',
    text: 'open client connections; above, new tunnels to the API are forwarded without being read',
    container: true,
    ...count(999_999_999, 'a number of connections'),
  },
  maxBufferedBytes: {
    name: 'DBPROXY_MAX_BUFFERED_BYTES',
    default: '256M',
    text: 'memory for copies of requests; above, requests are forwarded without being read',
    container: true,
    ...SIZE,
  },
} satisfies Readonly<Record<string, Setting<unknown>>>;

type Table = typeof TABLE;

/** The parsed value of each setting. */
export type Values = { readonly [Key in keyof Table]: Exclude<ReturnType<Table[Key]['parse']>, undefined> };

export const SETTINGS: { readonly [Key in keyof Values]: Setting<Values[Key]> } = TABLE;
