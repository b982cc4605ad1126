import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { checkHealth } from '../../../cli/health-check.ts';
import { layoutOf } from '../../../cli/installation.ts';
import { ROOT } from '../../install/machine.ts';
import { freePorts } from '../../../cli/runtime/free-ports.ts';
import { BASE_IMAGE, ContainerMachine, exists, podman } from './podman.ts';

describe('compose.yaml', function () {
  this.timeout(420_000);
  const machine = new ContainerMachine();
  after(() => machine.remove());

  it('builds and runs the proxy with podman-compose', async () => {
    mkdirSync(machine.dataDir, { recursive: true, mode: 0o700 });
    const ports = await freePorts('127.0.0.1', { proxy: 0, dashboard: 0 }, null, new Set());
    const env = {
      PATH: process.env['PATH'] ?? '',
      HOME: machine.home,
      DBPROXY_CONTAINER_NAME: 'dbproxy-compose-test',
      DBPROXY_NODE_IMAGE: BASE_IMAGE,
      DBPROXY_DATA_DIR: machine.dataDir,
      DBPROXY_USER: `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`,
      DBPROXY_PROXY_PORT: String(ports.proxy),
      DBPROXY_DASHBOARD_PORT: String(ports.dashboard),
    };
    const compose = (...args: string[]) =>
      spawnSync('podman-compose', ['--project-name', 'dbproxytest', '--file', join(ROOT, 'compose.yaml'), ...args], {
        env,
        encoding: 'utf8',
        cwd: ROOT,
      });
    // Built apart: this machine's builds need its network.
    podman(
      ...['build', '--network=host', '--format', 'docker', '--layers=false', '--build-arg', `NODE_IMAGE=${BASE_IMAGE}`],
      ...['-t', 'localhost/claude-db-proxy:compose', ROOT],
    );
    try {
      const up = compose('up', '--detach', '--no-build');
      expect(up.status, up.stderr).to.equal(0);
      const question = { host: '127.0.0.1', port: ports.proxy, timeoutMs: 2_000 };
      for (const deadline = Date.now() + 30_000; ;) {
        const check = await checkHealth(layoutOf(machine), question);
        if (check.healthy) break;
        if (Date.now() > deadline) throw new Error(`${check.trouble}: ${podman('logs', 'dbproxy-compose-test')}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      expect(podman('port', 'dbproxy-compose-test').split('\n').sort()).to.deep.equal([
        `8080/tcp -> 127.0.0.1:${ports.proxy}`,
        `8443/tcp -> 127.0.0.1:${ports.dashboard}`,
      ]);
      expect(podman('inspect', '--format', '{{.HostConfig.ReadonlyRootfs}}', 'dbproxy-compose-test')).to.equal('true');
    } finally {
      compose('down');
      // Debian's podman-compose leaves its network behind.
      spawnSync('podman', ['network', 'rm', '--force', 'dbproxytest_default']);
      podman('image', 'rm', '--force', 'localhost/claude-db-proxy:compose');
    }
    expect(exists('container', 'dbproxy-compose-test')).to.equal(false);
  });
});
