/** Which runtime it is to be. Containers are loaded only where one is wanted. */
import type { Config } from '../../src/config/config.ts';
import { RuntimeError } from '../../src/errors.ts';
import { readInstallRecord, type DataPaths, type RuntimeName } from '../installation.ts';
import type { Runtime } from './runtime.ts';

export async function runtimeNamed(name: RuntimeName): Promise<Runtime> {
  switch (name) {
    case 'node':
      return (await import('./node.ts')).nodeRuntime;
    case 'docker':
    case 'podman':
      return (await import('./container.ts')).containerRuntime(name);
  }
}

/** What `DBPROXY_RUNTIME` comes down to here: `auto` is what the installer found to work, else Node. */
export const runtimeNameFor = (config: Config, layout: DataPaths): RuntimeName =>
  config.runtime === 'auto' ? (readInstallRecord(layout)?.runtime ?? 'node') : config.runtime;

/**
 * The runtime to start the proxy in. What was chosen automatically and does not work any more gives way to Node; what was
 * asked for by name does not.
 *
 * @throws RuntimeError when the one that was asked for cannot be used
 */
export async function usableRuntime(config: Config, layout: DataPaths): Promise<Runtime> {
  const runtime = await runtimeNamed(runtimeNameFor(config, layout));
  const availability = await runtime.isAvailable();
  if (availability.usable) return runtime;
  if (config.runtime === 'auto') return runtimeNamed('node');
  throw new RuntimeError(`DBPROXY_RUNTIME=${config.runtime} cannot be used: ${availability.reason}`);
}
