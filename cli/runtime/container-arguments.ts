/**
 * How a container of ours is started: every argument of `docker run` and `podman run`, decided here and nowhere else.
 * Pure. cli/posix/launcher/container.sh says the same for machines without Node; test/launcher/without-node.test.ts holds
 * the two together.
 */
import type { ContainerNetwork, Ports } from '../installation.ts';

export type Engine = 'docker' | 'podman';

/** Labels, by which a container is known to be ours. */
export const DATA_DIR_LABEL = 'claude-db-proxy.data-dir';
export const VERSION_LABEL = 'claude-db-proxy.version';

/** Where the user's own bundle of certificates is inside. */
const EXTRA_CA = '/app/extra-ca.pem';

export interface ContainerOptions {
  readonly engine: Engine;
  readonly image: string;
  readonly version: string;
  /** Absolute; the same path inside, so that whatever names a file names the same one on both sides. */
  readonly dataDir: string;
  /** On 127.0.0.1; the same inside. */
  readonly ports: Ports;
  readonly network: ContainerNetwork;
  /** Who owns the data directory, and will own what is written there. */
  readonly user: { readonly uid: number; readonly gid: number };
  /** The engine runs without privileges, and so maps users to others. */
  readonly rootless: boolean;
  /** For the proxy, by name and value: {@link variablesForProxy}. */
  readonly variables: Readonly<Record<string, string>>;
}

/**
 * One name per data directory: `claude-db-proxy-home-ann` for ann's own. Two users of one engine, or two data
 * directories of one user, are two proxies.
 */
export function containerName(dataDir: string): string {
  const owner = dataDir.replace(/\/\.local\/share\/claude-db-proxy\/*$/, '');
  const slug = owner.replace(/[^A-Za-z0-9]+/g, '-').replace(/^-|-$/g, '');
  return slug === '' ? 'claude-db-proxy' : `claude-db-proxy-${slug}`;
}

/** Users inside and outside: what is written into the data directory belongs to whoever started the proxy. */
function userArguments({ engine, user, rootless }: ContainerOptions): string[] {
  // Rootless Docker: its root is the user; all others are nobody that the user knows.
  if (engine === 'docker' && rootless) return ['--user', '0:0'];
  const own = ['--user', `${user.uid}:${user.gid}`];
  return engine === 'podman' && rootless ? ['--userns', 'keep-id', ...own] : own;
}

function networkArguments({ engine, network, ports }: ContainerOptions): string[] {
  if (network === 'host') return ['--network', 'host', '--env', 'DBPROXY_HOST=127.0.0.1'];
  // Said in so many words: containers.conf may make the host's network the default, where 0.0.0.0 is everybody.
  const own = ['--network', engine === 'podman' ? 'private' : 'bridge'];
  const published = [ports.proxy, ports.dashboard].flatMap((port) => ['--publish', `127.0.0.1:${port}:${port}`]);
  // All addresses of the container's own network; from outside there is but what is published.
  return [...own, ...published, '--env', 'DBPROXY_HOST=0.0.0.0'];
}

/** The arguments after `docker` or `podman`. Values of variables are not among them: others can read arguments. */
export function runArguments(options: ContainerOptions): string[] {
  const { engine, image, version, dataDir, ports, variables } = options;
  const extraCa = variables['NODE_EXTRA_CA_CERTS'];
  const passed = Object.keys(variables).filter((name) => name !== 'NODE_EXTRA_CA_CERTS' && name !== 'DBPROXY_HOST');
  return [
    ...['run', '--detach', '--name', containerName(dataDir), '--pull', 'never', '--restart', 'unless-stopped'],
    ...['--label', `${DATA_DIR_LABEL}=${dataDir}`, '--label', `${VERSION_LABEL}=${version}`],
    ...['--read-only', '--tmpfs', '/tmp', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'],
    // With SELinux, a container may not read what is in a home. Not relabelled: the files are the user's.
    ...['--security-opt', 'label=disable'],
    ...['--log-driver', engine === 'podman' ? 'k8s-file' : 'json-file', '--log-opt', 'max-size=10m'],
    ...(engine === 'podman' ? ['--http-proxy=false'] : []),
    ...userArguments(options),
    ...networkArguments(options),
    ...['--volume', `${dataDir}:${dataDir}`, '--env', `DBPROXY_DATA_DIR=${dataDir}`],
    ...['--env', `DBPROXY_PROXY_PORT=${ports.proxy}`, '--env', `DBPROXY_DASHBOARD_PORT=${ports.dashboard}`],
    ...(extraCa === undefined
      ? []
      : ['--volume', `${extraCa}:${EXTRA_CA}:ro`, '--env', `NODE_EXTRA_CA_CERTS=${EXTRA_CA}`]),
    ...passed.sort().flatMap((name) => ['--env', name]),
    image,
    // runtime.json is about this machine, whose ports and processes the container cannot know.
    'serve',
    '--no-record',
  ];
}
