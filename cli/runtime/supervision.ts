/**
 * The proxy as a service: found where it runs, started where it does not, replaced when it is old, stopped. What all
 * runtimes have in common; used by the launcher and the commands.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Config, Environment } from '../../src/config/config.ts';
import { codeOf, messageOf, RuntimeError } from '../../src/errors.ts';
import type { Health } from '../../src/admin/health.ts';
import { checkHealth, isOlder, reachableAddress, type HealthCheck, type Trouble } from '../health-check.ts';
import {
  readRuntimeRecord,
  writeRuntimeRecord,
  type DataPaths,
  type Ports,
  type RuntimeRecord,
} from '../installation.ts';

export interface CliContext {
  readonly config: Config;
  readonly layout: DataPaths;
}

/** A proxy that is healthy. */
export interface Running {
  readonly record: RuntimeRecord;
  readonly health: Health;
  readonly endpoint: Endpoint;
}

export interface EnsureOptions extends CliContext {
  readonly env: Environment;
  /** Aborts when nobody wants to wait any longer. */
  readonly signal: AbortSignal;
  /** Ports that come first: those of a client that runs already. */
  readonly ports?: Ports;
}

/** For one question to a proxy that is expected to be there. */
const CHECK_TIMEOUT_MS = 2_000;
/** … before it is taken for dead: on a busy machine a healthy one may be slow, and ending it would cost its clients. */
const FINAL_CHECK_TIMEOUT_MS = 10_000;
const POLL_MS = 50;
/** A proxy that does not answer is asked to end, and ended after this. */
const HUNG_GRACE_MS = 2_000;
/** Requests under way may end; the proxy itself drains for 8 s. */
const STOP_GRACE_MS = 12_000;
/** Whoever stands in for the proxy on its port (launch/fallback-redirector.ts) gives way to a start within this. */
const FALLBACK_STOP_MS = 1_000;
/** Ports can be taken between looking and listening. */
const MAX_TRIES = 5;

export const wantedPorts = ({ proxyPort, dashboardPort }: Config): Ports => ({
  proxy: proxyPort,
  dashboard: dashboardPort,
});

const samePorts = (a: Ports, b: Ports): boolean => a.proxy === b.proxy && a.dashboard === b.dashboard;

/** Containers publish on the loopback, whatever the settings say of addresses. */
const addressOf = (config: Config, runtime: RuntimeRecord['runtime']): string =>
  runtime === 'node' ? reachableAddress(config.host) : '127.0.0.1';

/** Where a proxy is reached. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
  /** For `HTTPS_PROXY`. */
  readonly url: string;
}

export function endpointOf({ config }: Pick<CliContext, 'config'>, { runtime, ports }: RuntimeRecord): Endpoint {
  const address = addressOf(config, runtime);
  const host = address.includes(':') ? `[${address}]` : address;
  return { address, port: ports.proxy, url: `http://${host}:${ports.proxy}` };
}

/** Where the proxy was last, or is to be by the settings; not said to be there. */
export function lastKnownRecord({ config, layout }: CliContext): RuntimeRecord {
  return readRuntimeRecord(layout) ?? unknownRecord(config);
}

function unknownRecord(config: Config): RuntimeRecord {
  const ports = wantedPorts(config);
  const nothing = { running: false, version: '', since: '', pid: null, container: null };
  return { ...nothing, runtime: 'node', ports, wanted: ports };
}

export type ProbeResult =
  | { readonly running: Running }
  /** `record`: where it was looked for. */
  | { readonly running: null; readonly trouble: Trouble; readonly record: RuntimeRecord };

/** Looks where the proxy was last, and where the settings want it. Never rejects. */
export async function findRunning(site: CliContext, timeoutMs: number = CHECK_TIMEOUT_MS): Promise<ProbeResult> {
  const { config } = site;
  const record = lastKnownRecord(site);
  const there = await checkAt(site, record, timeoutMs);
  if (there.healthy) return { running: runningAt(site, record, there.health) };
  const asked = wantedPorts(config);
  if (!samePorts(asked, record.ports) && asked.proxy !== 0) {
    // Not started by us: `serve` by hand, or a container that compose runs.
    const other = unknownRecord(config);
    const here = await checkAt(site, other, timeoutMs);
    if (here.healthy) return { running: runningAt(site, other, here.health) };
  }
  return { running: null, trouble: there.trouble, record };
}

/** The same of a proxy whose health is known already (launch/startup-probe.ts), which runs where it was last. */
export const foundHealthy = (site: CliContext, health: Health): Running =>
  runningAt(site, lastKnownRecord(site), health);

function checkAt(site: CliContext, record: RuntimeRecord, timeoutMs: number): Promise<HealthCheck> {
  if (record.ports.proxy === 0) return Promise.resolve({ healthy: false, trouble: 'nobody' });
  const { address: host, port } = endpointOf(site, record);
  return checkHealth(site.layout, { host, port, timeoutMs });
}

function runningAt(site: CliContext, record: RuntimeRecord, health: Health): Running {
  const endpoint = endpointOf(site, record);
  const { pid, uptimeSeconds: uptime, version } = health;
  if (record.running) return { record: { ...record, version }, health, endpoint };
  const since = new Date(Date.now() - uptime * 1_000).toISOString();
  return { record: { ...record, running: true, version, since, pid: pid > 1 ? pid : null }, health, endpoint };
}

/**
 * A healthy proxy: the one that runs, else a new one. Of any number of callers one starts it.
 *
 * @throws RuntimeError with one line that says why there is none
 */
export async function ensureRunning(options: EnsureOptions): Promise<Running> {
  const { layout, signal } = options;
  for (;;) {
    const { running } = await findRunning(options);
    if (running !== null) return running;
    const unlock = await lock(layout);
    if (unlock !== null) {
      try {
        const other = await findRunning(options, FINAL_CHECK_TIMEOUT_MS);
        return other.running ?? (await start(options));
      } finally {
        unlock();
      }
    }
    await pause(signal, 'another start of the proxy did not end in time');
  }
}

/** Idle: nobody is connected, and no summary is being computed. */
export const isIdle = (health: Health): boolean => health.activeConnections === 0 && health.checkpointCalls === 0;

/** Replaces an older proxy by one of this version, if it is idle. Returns the one that runs now. */
export async function replaceIfOlder(options: EnsureOptions, running: Running): Promise<Running> {
  if (!isOlder(running.health.version) || !isIdle(running.health) || !isOurs(running.record)) return running;
  const unlock = await lock(options.layout);
  if (unlock === null) return running;
  try {
    const { running: now } = await findRunning(options);
    if (now !== null && !(isOlder(now.health.version) && isIdle(now.health))) return now;
    return await start(options);
  } finally {
    unlock();
  }
}

const isOurs = ({ pid, container }: RuntimeRecord): boolean => pid !== null || container !== null;

/** Loaded when needed: a launch beside a proxy that runs needs none of it. */
async function lock(layout: DataPaths): Promise<(() => void) | null> {
  const { tryStartLock } = await import('./start-lock.ts');
  try {
    return await tryStartLock(layout);
  } catch (error) {
    throw new RuntimeError(`${layout.dataDir} cannot be written (${reasonOf(error)}); see DBPROXY_DATA_DIR`, {
      cause: error,
    });
  }
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = codeOf(cause);
  return code === 'unknown' ? messageOf(cause) : code;
}

async function pause(signal: AbortSignal, inVain: string): Promise<void> {
  await delay(POLL_MS, undefined, { signal }).catch(() => undefined);
  if (signal.aborted) throw new RuntimeError(inVain);
}

/** Starts it, whatever was there before. The lock is held. */
async function start(options: EnsureOptions): Promise<Running> {
  const { config, layout, env, signal } = options;
  const { runtimeNamed, usableRuntime } = await import('./runtimes.ts');
  const { freePorts, isFree } = await import('./free-ports.ts');
  const before = readRuntimeRecord(layout);
  // It does not answer, or is too old: it makes way.
  if (before?.running === true)
    await (await runtimeNamed(before.runtime)).stop(before, { layout, graceMs: HUNG_GRACE_MS });
  const runtime = await usableRuntime(config, layout);
  const host = addressOf(config, runtime.name);
  const wanted = wantedPorts(config);
  const remembered = options.ports ?? (before !== null && samePorts(before.wanted, wanted) ? before.ports : null);
  if (remembered !== null) await within(FALLBACK_STOP_MS, () => isFree(host, remembered.proxy));

  const taken = new Set<number>();
  for (let tries = 1; ; tries += 1) {
    const ports = await freePorts(host, wanted, remembered, taken);
    const started = await runtime.start(config, { layout, ports, env, signal });
    const record: RuntimeRecord = {
      ...{ running: true, runtime: runtime.name, version: '', since: new Date().toISOString() },
      ...{ ports, wanted, pid: started.pid, container: started.container },
    };
    const outcome = await Promise.race([healthy(options, record), started.ended]);
    if ('health' in outcome) {
      started.release();
      const { health } = outcome;
      const written = { ...record, version: health.version };
      writeRuntimeRecord(layout, written);
      return { record: written, health, endpoint: endpointOf(options, written) };
    }
    if (!outcome.portTaken || tries === MAX_TRIES) throw new RuntimeError(outcome.message);
    for (const port of [ports.proxy, ports.dashboard]) if (!(await isFree(host, port))) taken.add(port);
  }
}

async function healthy(options: EnsureOptions, record: RuntimeRecord): Promise<{ readonly health: Health }> {
  for (;;) {
    const check = await checkAt(options, record, CHECK_TIMEOUT_MS);
    if (check.healthy) return { health: check.health };
    const { layout } = options;
    await pause(options.signal, `the proxy did not become healthy in time; see ${layout.output} and ${layout.log}`);
  }
}

async function within(ms: number, condition: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + ms; !(await condition()) && Date.now() < end;) await delay(POLL_MS);
}

/**
 * Stops the proxy. Resolves with what was stopped, or null when nothing ran.
 *
 * @throws RuntimeError when it cannot be stopped, or is not ours to stop
 */
export async function stopRunning(site: CliContext, signal: AbortSignal): Promise<RuntimeRecord | null> {
  const { layout } = site;
  let unlock = await lock(layout);
  while (unlock === null) {
    await pause(signal, 'the proxy is being started by somebody else; try again');
    unlock = await lock(layout);
  }
  try {
    const { running } = await findRunning(site);
    const record = running?.record ?? readRuntimeRecord(layout);
    if (record?.running !== true) return null;
    const { runtimeNamed } = await import('./runtimes.ts');
    const runtime = await runtimeNamed(record.runtime);
    const was = running !== null || (await runtime.state(record, layout)).running;
    // Before it has ended: launches that are connected must know that nobody is to start it again.
    writeRuntimeRecord(layout, { ...record, running: false });
    await runtime.stop(record, { layout, graceMs: STOP_GRACE_MS });
    if (running !== null && (await findRunning(site)).running !== null) {
      throw new RuntimeError('it was not started by claude-db-proxy and runs on; stop it where it was started');
    }
    return was ? record : null;
  } finally {
    unlock();
  }
}
