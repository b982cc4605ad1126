/** Real Podman, as `container-lab` makes it, on a machine without Node. Used by the tests of this directory only. */
import { spawnSync } from 'node:child_process';
import { ScriptedClient } from '../../../src/demo/scripted-client.ts';
import { startSimulatedApi, type SimulatedApi } from '../../../src/simulated-api/index.ts';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Machine, type Ended } from '../../install/machine.ts';
import { json } from '../../launcher/host.ts';

export const BASE_IMAGE = process.env['DBPROXY_NODE_IMAGE'] ?? 'localhost/node-lab:24';

/** Runs podman; the trimmed output. Throws where it fails. */
export function podman(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync('podman', [...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`podman ${args.join(' ')}: ${stderr}`);
  return stdout.trim();
}

/** True where there is a container or an image of that name. */
export const exists = (what: 'container' | 'image', name: string): boolean =>
  spawnSync('podman', [what, 'exists', name]).status === 0;

export interface Ports {
  readonly proxy: number;
  readonly dashboard: number;
}

export class ContainerMachine extends Machine {
  constructor(tools: readonly string[] = []) {
    super([...tools]);
    // It needs much that a machine has and the launcher must not need.
    this.program('podman', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin exec podman "$@"');
    Object.assign(this.env, {
      DBPROXY_NODE_IMAGE: BASE_IMAGE,
      // The API is simulated on this machine's loopback.
      DBPROXY_CONTAINER_NETWORK: 'host',
    });
  }

  get ports(): Ports {
    return (json(join(this.dataDir, 'runtime.json')) as { ports: Ports }).ports;
  }

  get container(): string {
    return String(json(join(this.dataDir, 'runtime.json'))['container']);
  }

  get caFile(): string {
    return join(this.dataDir, 'certs/ca.pem');
  }

  client(session?: string): ScriptedClient {
    return new ScriptedClient({
      proxy: `http://127.0.0.1:${this.ports.proxy}`,
      ca: readFileSync(this.caFile, 'utf8'),
      ...(session === undefined ? {} : { session }),
    });
  }

  async inside(...command: readonly string[]): Promise<Ended> {
    return this.run('podman', ['exec', this.container, ...command]);
  }
}

export { startSimulatedApi, type SimulatedApi };
