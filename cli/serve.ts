/** `claude-db-proxy serve`: the proxy in the foreground, until a signal ends it. */
import { accessSync, constants, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseConfig, type Config, type Environment } from '../src/config.ts';
import { ConfigError } from '../src/errors.ts';
import { createLog, openLogFile, type LogFile } from '../src/log.ts';
import { startProxy } from '../src/proxy.ts';
import { VERSION } from '../src/version.ts';

/** Exit code for a start that was refused, as for wrong usage. */
const REFUSED = 2;

function refuse(error: unknown): void {
  process.stderr.write(`claude-db-proxy: ${error instanceof Error ? error.message : String(error)}\n`);
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
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new ConfigError('DBPROXY_DATA_DIR', dataDir, `must be a directory that can be written (${reason})`);
  }
  try {
    accessSync(dataDir, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Runs until SIGINT or SIGTERM; a second signal ends it at once. Sets the exit code. */
export async function serve(env: Environment): Promise<void> {
  let logFile: LogFile | undefined;
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
    // Before anybody is told that it runs, and ends it at once.
    const signalled = new Promise<NodeJS.Signals>((resolve) => {
      process.once('SIGINT', resolve);
      process.once('SIGTERM', resolve);
    });
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
    const signal = await signalled;
    log.info('proxy.stopping', { signal });
    for (const again of ['SIGINT', 'SIGTERM'] as const) process.once(again, () => process.exit(1));
    await proxy.stop();
    log.info('proxy.stopped');
  } catch (error) {
    refuse(error);
  } finally {
    await logFile?.close();
  }
}
