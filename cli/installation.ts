/**
 * Where things are on this machine, and what is written down about them. Everything hangs off the data directory of
 * the parsed `Config`; nobody else joins these paths, and nothing is remembered anywhere else.
 *
 *   dataDir/certs/          the CA and the certificates (src/certificates); `certs/ca.pem` is what clients trust
 *           state/          what a proxy keeps across restarts; bundles of CAs; the lock of a start
 *           logs/           dbproxy.jsonl, rotated; serve.log: what a detached `serve` says on stderr
 *           token           the secret of the dashboard and of /api, 43 base64url characters (src/admin/access)
 *           runtime.json    what runs, or ran last: {@link RuntimeRecord}. The ports are remembered here, and only here
 *           install.json    what the installer found and made: {@link InstallRecord}
 *
 * Both JSON files are written whole or not at all, mode 0600. Read by every command, the POSIX-sh launcher included:
 * one key a line, as `JSON.stringify(…, null, 2)` writes them, so that `sed -n 's/^ *"proxy": \([0-9]*\).*$/\1/p'` works.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { replaceFileSync } from '../src/files.ts';
import { isObject, type JsonObject } from '../src/wire/json.ts';

export type RuntimeName = 'node' | 'docker' | 'podman';

/** Ports on the host's loopback, whatever the proxy listens on inside its container. */
export interface Ports {
  /** The CONNECT redirector, for `HTTPS_PROXY`. */
  readonly proxy: number;
  /** The forwarder with `/health`, `/api` and the dashboard, over TLS. */
  readonly dashboard: number;
}

/**
 * What runs, or ran last. Written by whoever started the proxy as soon as it is healthy: `serve` itself on Node, the
 * starter for a container. It is a claim, not a proof: whether that proxy lives, `checkHealth` (cli/health-check.ts)
 * finds out. `stop` leaves it, with `running: false`: the next start takes the same ports where they are free.
 */
export interface RuntimeRecord {
  readonly running: boolean;
  readonly runtime: RuntimeName;
  /** Version of the proxy, as its `/health` tells it. */
  readonly version: string;
  /** ISO 8601. */
  readonly since: string;
  readonly ports: Ports;
  /** The ports that the settings asked for when `ports` were chosen; with other settings, they are chosen anew. */
  readonly wanted: Ports;
  /** Process id of `serve`, on Node. */
  readonly pid: number | null;
  /** Name of the container, on docker and podman. */
  readonly container: string | null;
}

export type ContainerNetwork = 'bridge' | 'host';

/** One change that the installer made to a file that is not its own. */
export interface InstalledChange {
  /** Absolute path of the file, e.g. `~/.claude/settings.json`. */
  readonly path: string;
  /** Absolute path of the copy made before, or null when there was no such file. */
  readonly backup: string | null;
}

/** What the installer found and made; what `uninstall` takes back. Missing where nobody ran the installer. */
export interface InstallRecord {
  readonly version: string;
  readonly source: 'checkout' | 'release';
  /** The checkout's path, or the release's URL. */
  readonly from: string;
  /** ISO 8601. */
  readonly installedAt: string;
  /** What `DBPROXY_RUNTIME=auto` means on this machine. */
  readonly runtime: RuntimeName;
  /** Name and tag of the image; null on Node. */
  readonly image: string | null;
  /** How a container reaches the network: its own one with ports published on 127.0.0.1, or this machine's. */
  readonly network: ContainerNetwork;
  /** Absolute paths of files and directories that it made outside the data directory, and inside it beside the layout. */
  readonly made: readonly string[];
  readonly changes: readonly InstalledChange[];
  /** The status line's command that the user had before, which ours runs as well (cli/status-line/status-line.ts); null for none. */
  readonly statusLineBefore: string | null;
}

/** The places of one data directory, all absolute. */
export interface DataPaths {
  readonly dataDir: string;
  readonly certs: string;
  readonly ca: string;
  readonly state: string;
  readonly logs: string;
  readonly log: string;
  /** What a detached `serve` wrote on stderr; anew at each start. */
  readonly output: string;
  readonly token: string;
  readonly runtime: string;
  readonly install: string;
}

export function layoutOf({ dataDir }: { readonly dataDir: string }): DataPaths {
  return {
    dataDir,
    certs: join(dataDir, 'certs'),
    ca: join(dataDir, 'certs', 'ca.pem'),
    state: join(dataDir, 'state'),
    logs: join(dataDir, 'logs'),
    log: join(dataDir, 'logs', 'dbproxy.jsonl'),
    output: join(dataDir, 'logs', 'serve.log'),
    token: join(dataDir, 'token'),
    runtime: join(dataDir, 'runtime.json'),
    install: join(dataDir, 'install.json'),
  };
}

const writeJson = (path: string, value: object): void => replaceFileSync(path, `${JSON.stringify(value, null, 2)}\n`);

/** The object in a JSON file; null where there is none, or none that can be read. */
function readJson(path: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

const isRuntimeName = (value: unknown): value is RuntimeName =>
  value === 'node' || value === 'docker' || value === 'podman';

/** @param least 0 for ports that were wanted, where that means any free one */
function portsIn(value: unknown, least: 0 | 1): Ports | null {
  const isPort = (port: unknown): port is number =>
    typeof port === 'number' && Number.isInteger(port) && port >= least && port <= 65_535;
  if (!isObject(value)) return null;
  const { proxy, dashboard } = value;
  return isPort(proxy) && isPort(dashboard) ? { proxy, dashboard } : null;
}

const textOr = <T>(value: unknown, fallback: T): string | T => (typeof value === 'string' ? value : fallback);

/** What runs or ran last; null where nothing (that can be read) is written down. Never throws. */
export function readRuntimeRecord(layout: DataPaths): RuntimeRecord | null {
  const json = readJson(layout.runtime);
  const ports = portsIn(json?.['ports'], 1);
  const runtime = json?.['runtime'];
  if (json === null || ports === null || !isRuntimeName(runtime)) return null;
  const pid = json['pid'];
  return {
    running: json['running'] === true,
    runtime,
    version: textOr(json['version'], ''),
    since: textOr(json['since'], ''),
    ports,
    wanted: portsIn(json['wanted'], 0) ?? ports,
    pid: typeof pid === 'number' && Number.isInteger(pid) && pid > 1 ? pid : null,
    container: textOr(json['container'], null),
  };
}

/** @throws FileError */
export function writeRuntimeRecord(layout: DataPaths, record: RuntimeRecord): void {
  writeJson(layout.runtime, record);
}

const textsIn = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : [];

/** What the installer wrote down; null where nothing (that can be read) is. Never throws. */
export function readInstallRecord(layout: DataPaths): InstallRecord | null {
  const json = readJson(layout.install);
  const runtime = json?.['runtime'];
  if (json === null || !isRuntimeName(runtime)) return null;
  const changes = Array.isArray(json['changes']) ? json['changes'].filter(isObject) : [];
  return {
    version: textOr(json['version'], ''),
    source: json['source'] === 'release' ? 'release' : 'checkout',
    from: textOr(json['from'], ''),
    installedAt: textOr(json['installedAt'], ''),
    runtime,
    image: textOr(json['image'], null),
    network: json['network'] === 'host' ? 'host' : 'bridge',
    made: textsIn(json['made']),
    changes: changes.flatMap(({ path, backup }) =>
      typeof path === 'string' ? [{ path, backup: textOr(backup, null) }] : [],
    ),
    statusLineBefore: textOr(json['statusLineBefore'], null),
  };
}

/** A script of this copy of the program, below cli/posix; undefined where this copy came without scripts. */
export const posixScript = (path: string): string | undefined =>
  // From `cli/`, and from `dist/cli/` or `dist/chunks/`.
  ['../', '../../']
    .map((root) => fileURLToPath(new URL(`${root}cli/posix/${path}`, import.meta.url)))
    .find((script) => existsSync(script));
