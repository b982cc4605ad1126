/** `claude-db-proxy serve`: the proxy in the foreground, until a signal ends it. */
import { accessSync, constants, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseConfig, type Config, type Environment } from '../src/config/config.ts';
import { codeOf, ConfigError, messageOf } from '../src/errors.ts';
import { createLog, openLogFile, type LogFile } from '../src/log.ts';
import { startProxy } from '../src/proxy.ts';
import { VERSION } from '../src/version.ts';
import { raiseHeapGrowth } from './v8-heap-growth.ts';
import { layoutOf, readRuntimeRecord, writeRuntimeRecord, type Ports } from './installation.ts';

/** Exit code for a start that was refused, as for wrong usage. */
const REFUSED = 2;

function refuse(error: unknown): void {
  process.stderr.write(`claude-db-proxy: ${messageOf(error)}\n`);
  process.exitCode = REFUSED;
}

/**
 * True when the data directory can be written. One that cannot still serves, where it holds the certificates.
 *
 * @throws ConfigError when there is none and none can be made
 */
function prepareDataDir({ dataDir }: Config): boolean {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    accessSync(dataDir, constants.R_OK | constants.X_OK);
  } catch (error) {
    throw new ConfigError('DBPROXY_DATA_DIR', dataDir, `must be a directory that can be written (${codeOf(error)})`);
  }
  try {
    accessSync(dataDir, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

export interface ServeOptions {
  /** Writes down that it runs, so that launches and commands find it. False where the starter does, or in a container. */
  readonly record: boolean;
  /** Resolves when it is to end, also while it is still starting. */
  readonly stopping: Promise<NodeJS.Signals>;
}

/** Writes `runtime.json` for a proxy in the foreground; returns how to write down that it has ended. */
function writeRecord(config: Config, ports: Ports): () => void {
  const layout = layoutOf(config);
  const since = new Date().toISOString();
  const wanted = { proxy: config.proxyPort, dashboard: config.dashboardPort };
  const what = { runtime: 'node', version: VERSION, since, ports, wanted, pid: process.pid, container: null } as const;
  writeRuntimeRecord(layout, { running: true, ...what });
  return () => {
    // Somebody else's by now, maybe.
    if (readRuntimeRecord(layout)?.pid === process.pid) writeRuntimeRecord(layout, { running: false, ...what });
  };
}

/** Runs until SIGINT or SIGTERM. Sets the exit code. */
export async function serve(env: Environment, options: ServeOptions): Promise<void> {
  let logFile: LogFile | undefined;
  let unrecord: (() => void) | undefined;
  try {
    const config = parseConfig(env);
    if (prepareDataDir(config)) {
      logFile = openLogFile(join(config.dataDir, 'logs'), (error) => {
        process.stderr.write(`claude-db-proxy: the log file cannot be written: ${error.message}\n`);
      });
    } else {
      process.stderr.write(
        `claude-db-proxy: WARNING: ${config.dataDir} cannot be written: no log file, and nothing outlives this process\n`,
      );
    }
    const log = createLog(config.logLevel, [process.stdout, ...(logFile === undefined ? [] : [logFile.stream])]);
    // Whatever went wrong, the requests under way did not: go on.
    process.on('uncaughtException', (error) =>
      log.error('process.uncaught', { message: error.message, stack: error.stack }),
    );
    const proxy = await startProxy({ config, log });
    if (proxy.exposed !== null) process.stderr.write(`claude-db-proxy: ${proxy.exposed}\n`);
    log.info('proxy.started', {
      version: VERSION,
      node: process.version,
      upstream: config.upstreamUrl.href,
      passthrough: config.passthrough,
      checkpoint_threshold: config.thresholds.checkpoint,
      swap_threshold: config.thresholds.swap,
      https_proxy: `http://${config.host}:${proxy.ports.proxy}`,
      dashboard: `https://localhost:${proxy.ports.dashboard}`,
      ca: proxy.caPath,
    });
    let stopping = false;
    void proxy.preloaded.then((loaded) => {
      if (stopping) return;
      if (loaded) log.info('proxy.loaded');
      raiseHeapGrowth();
    });
    if (options.record) unrecord = writeRecord(config, proxy.ports);
    const signal = await options.stopping;
    stopping = true;
    log.info('proxy.stopping', { signal });
    // Before it has ended: whoever is connected must know that nobody is to start it again.
    unrecord?.();
    await proxy.stop();
    log.info('proxy.stopped');
  } catch (error) {
    refuse(error);
  } finally {
    await logFile?.close();
  }
}
