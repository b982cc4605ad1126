/** The proxy in a container, with docker or podman. A placeholder until the image is there: never usable. */
import type { RuntimeName } from '../installation.ts';
import { RuntimeError } from '../../src/errors.ts';
import type { Runtime } from './runtime.ts';

export function containerRuntime(name: Exclude<RuntimeName, 'node'>): Runtime {
  const reason = `${name} is not supported yet; use DBPROXY_RUNTIME=node`;
  return {
    name,
    isAvailable: () => Promise.resolve({ usable: false, reason }),
    start: () => Promise.reject(new RuntimeError(reason)),
    stop: () => Promise.resolve(),
    state: () => Promise.resolve({ running: false, where: `no container (${name})` }),
    logFile: (layout) => layout.log,
  };
}
