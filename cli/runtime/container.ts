/**
 * The proxy in a container, with docker or podman: a {@link Runtime}. The container is made anew at each start and removed
 * at each stop; everything worth keeping is in the data directory, which is mounted. In between the engine restarts it.
 * The image is the installer's (`localhost/claude-db-proxy:<version>`), or the one that `DBPROXY_IMAGE` names. The arguments
 * of `run` are those of cli/posix/launcher/container.sh, which both launchers run.
 */
import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import type { Config, Environment } from '../../src/config/config.ts';
import { RuntimeError } from '../../src/errors.ts';
import { VERSION } from '../../src/version.ts';
import { replaceFileSync } from '../../src/files.ts';
import { posixScript } from '../installation.ts';
import { lastLine, runCommand, type CommandResult, type Engine } from './engine.ts';
import type { Availability, Runtime, Started, StartOptions } from './runtime.ts';

/** For a query to the engine. */
const QUERY_MS = 5_000;
/** To make a container and start it; a virtual machine that sleeps is slow to wake. */
const START_MS = 60_000;
/** Between two looks at a container that is not healthy yet. */
const POLL_MS = 250;
/** What an engine needs on top of the grace to end a container by force. */
const KILL_MS = 10_000;

const PORT_TAKEN = /EADDRINUSE|address already in use|port is already allocated|is in use by another process/i;

const imageOf = (env: Environment): string => {
  const named = env['DBPROXY_IMAGE']?.trim() ?? '';
  return named === '' ? `localhost/claude-db-proxy:${VERSION}` : named;
};

/**
 * One name per data directory: `claude-db-proxy-home-ann` for ann's own. Two users of one engine, or two data
 * directories of one user, are two proxies.
 */
export function containerName(dataDir: string): string {
  const owner = dataDir.replace(/\/\.local\/share\/claude-db-proxy\/*$/, '');
  const slug = owner.replace(/[^A-Za-z0-9]+/g, '-').replace(/^-|-$/g, '');
  return slug === '' ? 'claude-db-proxy' : `claude-db-proxy-${slug}`;
}

interface Inspected {
  readonly status: string;
  readonly restarts: number;
  /** Of the label; empty for a container of somebody else. */
  readonly dataDir: string;
}

/** Looks at a container by name; null where there is none, or no engine to ask. */
async function inspect(engine: Engine, name: string): Promise<Inspected | null> {
  const format = `{{.State.Status}}\n{{.RestartCount}}\n{{index .Config.Labels "claude-db-proxy.data-dir"}}`;
  const looked = await runCommand(engine, ['container', 'inspect', '--format', format, name], { timeoutMs: QUERY_MS });
  if (looked.code !== 0) return null;
  const [status = '', restarts = '', dataDir = ''] = looked.stdout.trimEnd().split('\n');
  return { status, restarts: Number(restarts), dataDir };
}

/** Removes the container of that name, provided it is this data directory's. */
async function remove(engine: Engine, name: string, dataDir: string): Promise<void> {
  const found = await inspect(engine, name);
  if (found === null) return;
  if (found.dataDir !== dataDir) {
    throw new RuntimeError(
      `a container ${name} that is not ours is in the way; rename it: ${engine} rename ${name} <name>`,
    );
  }
  const removed = await runCommand(engine, ['rm', '--force', name], { timeoutMs: KILL_MS });
  if (removed.code !== 0 && (await inspect(engine, name)) !== null) {
    throw new RuntimeError(`${engine} cannot remove the container ${name}: ${lastLine(removed)}`);
  }
}

async function isAvailable(engine: Engine): Promise<Availability> {
  const unusable = (reason: string): Availability => ({ usable: false, reason });
  const image = imageOf(process.env);
  const looked = await runCommand(engine, ['image', 'inspect', '--format', '{{.Id}}', image], { timeoutMs: QUERY_MS });
  if (looked.code === 0) return { usable: true };
  if (looked.fault === 'missing')
    return unusable(`${engine} is not installed; install it, or set DBPROXY_RUNTIME=node`);
  if (looked.fault !== null) return unusable(`${engine} does not answer; start it, or set DBPROXY_RUNTIME=node`);
  const engineLives = await runCommand(engine, ['info', '--format', '{{.Host}}{{.ID}}'], { timeoutMs: QUERY_MS });
  return /no such image|image not known|failed to find image/i.test(looked.stderr) || engineLives.code === 0
    ? unusable(`${engine} has no image ${image}; run the installer again (sh install.sh), or set DBPROXY_RUNTIME=node`)
    : unusable(`${engine} cannot be used: ${lastLine(looked)}`);
}

/** What a failed start left to read: the container's own words, or the engine's. */
function failureOf(said: CommandResult, engine: Engine): { readonly portTaken: boolean; readonly message: string } {
  const text = `${said.stdout}\n${said.stderr}`;
  const own = text.split('\n').findLast((line) => line.startsWith('claude-db-proxy: '));
  const message = own?.slice('claude-db-proxy: '.length) ?? `${engine}: ${lastLine(said)}`;
  return { portTaken: PORT_TAKEN.test(text), message };
}

/** Waits until the container has ended or restarted, which before it was healthy is a failed start; then removes it. */
async function watch(engine: Engine, name: string, options: StartOptions, released: AbortSignal): Started['ended'] {
  const { layout } = options;
  for (;;) {
    const found = await inspect(engine, name);
    const runs = found !== null && found.restarts === 0 && ['created', 'running', 'starting'].includes(found.status);
    if (released.aborted) return { portTaken: false, message: 'the start was given up' };
    if (!runs) break;
    await pause(POLL_MS, undefined, { signal: released }).catch(() => undefined);
  }
  const said = await runCommand(engine, ['logs', '--tail', '50', name], { timeoutMs: QUERY_MS });
  replaceFileSync(layout.output, `${said.stdout}${said.stderr}`);
  await remove(engine, name, layout.dataDir);
  return failureOf(said, engine);
}

async function start(engine: Engine, _config: Config, options: StartOptions): Promise<Started> {
  const { layout, ports, env, signal } = options;
  const { dataDir } = layout;
  // Before the engine does, which makes it root's.
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const name = containerName(dataDir);
  const script = posixScript('launcher/run-container.sh');
  if (script === undefined) throw new RuntimeError('this copy of claude-db-proxy cannot start containers');
  await remove(engine, name, dataDir);
  const ran = await runCommand('/bin/sh', [script, engine, name, String(ports.proxy), String(ports.dashboard)], {
    timeoutMs: START_MS,
    signal,
    env: { HOME: homedir(), ...env, DBPROXY_DATA_DIR: dataDir },
  });
  const released = new AbortController();
  if (ran.code !== 0) {
    await remove(engine, name, dataDir);
    const failure = failureOf(ran, engine);
    if (!failure.portTaken) throw new RuntimeError(failure.message);
    return { pid: null, container: null, ended: Promise.resolve(failure), release: () => undefined };
  }
  if (signal.aborted) {
    await remove(engine, name, dataDir);
    throw new RuntimeError('the start was given up');
  }
  const giveUp = (): void => {
    released.abort();
    void remove(engine, name, dataDir).catch(() => undefined);
  };
  signal.addEventListener('abort', giveUp, { once: true });
  const ended = watch(engine, name, options, released.signal);
  ended.catch(() => undefined); // for whoever waits
  const release = (): void => {
    signal.removeEventListener('abort', giveUp);
    released.abort();
  };
  return { pid: null, container: name, ended, release };
}

export function containerRuntime(engine: Engine): Runtime {
  return {
    name: engine,
    isAvailable: () => isAvailable(engine),
    start: (config, options) => start(engine, config, options),
    async stop(record, { layout, graceMs }) {
      const name = record.container ?? containerName(layout.dataDir);
      const found = await inspect(engine, name);
      if (found?.dataDir !== layout.dataDir) return;
      const grace = Math.ceil(graceMs / 1_000);
      await runCommand(engine, ['stop', '-t', String(grace), name], { timeoutMs: graceMs + KILL_MS });
      await remove(engine, name, layout.dataDir);
    },
    async state(record, layout) {
      const name = record.container ?? containerName(layout.dataDir);
      const found = await inspect(engine, name);
      const ours = found?.dataDir === layout.dataDir;
      return { running: ours && found.status === 'running', where: `container ${name} (${engine})` };
    },
    logFile: (layout) => layout.log,
  };
}
