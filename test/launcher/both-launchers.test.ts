/** The launcher on Node and the launcher in POSIX sh do the same: both run over the same cases. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { layoutOf, type Ports } from '../../cli/installation.ts';
import { launchEnvironment } from '../../cli/launch/launch-environment.ts';
import { containerName, containerRuntime } from '../../cli/runtime/container.ts';
import { parseConfig, type Environment } from '../../src/config/config.ts';
import { VERSION } from '../../src/version.ts';
import { told } from './host.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SHELLS = [['sh'], ['bash', '--norc', '--posix']] as const;
const LOOPBACK = 'localhost,127.0.0.1,::1';
const HOME = mkdtempSync(join(tmpdir(), 'dbproxy-both-'));
const PATH = `${join(HOME, 'bin')}:${process.env['PATH'] ?? ''}`;
const LAYOUT = layoutOf({ dataDir: join(HOME, '.local/share/claude-db-proxy') });
const PORTS: Ports = { proxy: 18_080, dashboard: 18_443 };
const CA_BUNDLE = join(HOME, 'corp ca.pem');

/** Runs commands with the functions of the launcher in POSIX sh. */
function runInShell([shell, ...options]: (typeof SHELLS)[number], commands: string, env: Environment): string {
  const files = ['json', 'paths', 'container', 'proxy', 'claude'].map(
    (name) => `. '${ROOT}cli/posix/launcher/${name}.sh'`,
  );
  const script = ['set -u', `root='${ROOT}'`, ...files, commands].join('\n');
  return execFileSync(shell, [...options, '-c', script], { env: { HOME, PATH, ...env }, encoding: 'utf8' });
}

before(() => {
  mkdirSync(join(HOME, 'bin'));
  writeFileSync(CA_BUNDLE, 'certificates');
});
after(() => rmSync(HOME, { recursive: true, force: true }));

/** A user's value, and the entries of it that are left. */
const CASES: readonly (readonly [value: string, kept: string])[] = [
  ['', ''],
  ['corp.example', 'corp.example'],
  ['corp.example, intern', 'corp.example,intern'],
  ['*', ''],
  ['*:443', ''],
  ['*:80', '*:80'],
  ['*.', '*.'],
  ['api.anthropic.com', ''],
  ['api.anthropic.com:443', ''],
  ['api.anthropic.com:8443', 'api.anthropic.com:8443'],
  ['API.ANTHROPIC.COM', ''],
  ['api.anthropic.com.', ''],
  ['.api.anthropic.com', ''],
  ['*.api.anthropic.com', ''],
  ['Anthropic.com', ''],
  ['*.Anthropic.com', ''],
  ['.COM', ''],
  ['*.com', ''],
  ['com', ''],
  ['notanthropic.com', 'notanthropic.com'],
  ['x.api.anthropic.com', 'x.api.anthropic.com'],
  ['10.0.0.0/8', '10.0.0.0/8'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['[::1]', '[::1]'],
];

describe("claude's environment from both launchers", () => {
  /** A user's environment, and the variables of claude's that follow from it. */
  const ENVIRONMENTS: readonly (readonly [
    what: string,
    env: Record<string, string>,
    claude: Record<string, string>,
  ])[] = [
    ...CASES.map(
      ([value, kept]) =>
        [
          `NO_PROXY ${JSON.stringify(value)}`,
          { NO_PROXY: value },
          { NO_PROXY: kept === '' ? LOOPBACK : `${kept},${LOOPBACK}` },
        ] as const,
    ),
    ['no_proxy before NO_PROXY', { NO_PROXY: 'a', no_proxy: 'b' }, { no_proxy: `b,${LOOPBACK}` }],
    ['loopback that is listed', { NO_PROXY: '::1,localhost' }, { NO_PROXY: '::1,localhost,127.0.0.1' }],
    ["the proxy's threshold", {}, { CLAUDE_AUTOCOMPACT_PCT_OVERRIDE: '75' }],
    ...[
      ['0.655', '65.5'],
      ['.5', '50'],
      ['0.8', '80'],
      ['0.07', '7'],
      ['0.12345', '12.35'],
    ].map(
      ([share = '', percent = '']) =>
        [
          `threshold ${share}`,
          { DBPROXY_SWAP_THRESHOLD: share },
          { CLAUDE_AUTOCOMPACT_PCT_OVERRIDE: percent, ANTHROPIC_CUSTOM_HEADERS: `x-dbproxy-swap-threshold: ${share}` },
        ] as const,
    ),
    [
      "the user's percentage",
      { CLAUDE_AUTOCOMPACT_PCT_OVERRIDE: '60' },
      { ANTHROPIC_CUSTOM_HEADERS: 'x-dbproxy-compact-percent: 60' },
    ],
    [
      'headers for all settings of a launch',
      {
        ANTHROPIC_CUSTOM_HEADERS: 'x-a: 1\nx-b: 2\n',
        DBPROXY_SWAP_THRESHOLD: '0.9',
        DBPROXY_CHECKPOINT_THRESHOLD: ' 0.6 ',
        CLAUDE_CODE_AUTO_COMPACT_WINDOW: '200k\nx-evil: 1',
      },
      {
        ANTHROPIC_CUSTOM_HEADERS:
          'x-a: 1\nx-b: 2\nx-dbproxy-checkpoint-threshold: 0.6\nx-dbproxy-swap-threshold: 0.9\nx-dbproxy-compact-window: 200k',
      },
    ],
    ['headers of white space', { ANTHROPIC_CUSTOM_HEADERS: ' \n', DBPROXY_SWAP_THRESHOLD: '0.9' }, {}],
    ['headers of the user alone', { ANTHROPIC_CUSTOM_HEADERS: 'x-a: 1' }, {}],
  ];
  const health = '{"status":"ok","swap_threshold":0.75,"uptime_s":1}';
  for (const [what, env, claude] of ENVIRONMENTS) {
    it(`is the same for ${what}`, () => {
      const swap = env['DBPROXY_SWAP_THRESHOLD'] ?? '0.75';
      const onNode = launchEnvironment(env, {
        proxyUrl: `http://127.0.0.1:${PORTS.proxy}`,
        caFile: LAYOUT.ca,
        swap: Number(swap),
      });
      expect(onNode).to.include(claude);
      for (const shell of SHELLS) {
        const commands = `proxy_port=${PORTS.proxy} said='${health}'; set_environment; echo ENVIRONMENT; env`;
        const inShell = told({ code: 0, stderr: '', stdout: `${runInShell(shell, commands, env)}INPUT\n` });
        expect(inShell.env, shell[0]).to.include(onNode);
      }
    });
  }
});

describe('the container from both launchers', () => {
  let path: string | undefined;
  before(() => {
    path = process.env['PATH'];
    process.env['PATH'] = PATH;
  });
  after(() => {
    process.env['PATH'] = path;
  });

  type Engine = 'docker' | 'podman';
  const USER = `--user ${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;
  const PUBLISHED = '--publish 127.0.0.1:18080:18080 --publish 127.0.0.1:18443:18443 --env DBPROXY_HOST=0.0.0.0';
  const HARDENED =
    '--read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --security-opt label=disable';
  const LOG = '--log-opt max-size=10m';
  const DOCKER = `--log-driver json-file ${LOG}`;
  const PODMAN = `--log-driver k8s-file ${LOG} --http-proxy=false`;
  const HOST = { DBPROXY_CONTAINER_NETWORK: 'host', DBPROXY_HOST: '0.0.0.0' };
  /** Engine, user's environment; the arguments that depend on them, in order. */
  const RUNS: readonly (readonly [
    engine: Engine,
    rootless: boolean,
    env: Record<string, string>,
    ...expected: string[],
  ])[] = [
    ['docker', false, {}, DOCKER, USER, `--network bridge ${PUBLISHED}`],
    ['podman', false, {}, PODMAN, USER, `--network private ${PUBLISHED}`],
    ['podman', true, {}, PODMAN, `--userns keep-id ${USER}`, `--network private ${PUBLISHED}`],
    ['docker', true, {}, DOCKER, '--user 0:0', `--network bridge ${PUBLISHED}`],
    [
      'docker',
      false,
      HOST,
      DOCKER,
      USER,
      '--network host --env DBPROXY_HOST=127.0.0.1',
      '--env DBPROXY_CONTAINER_NETWORK',
    ],
    [
      ...([
        'podman',
        true,
        { HTTPS_PROXY: 'http://u:secret@proxy:3128', no_proxy: 'a', DBPROXY_PASSTHROUGH: '' },
      ] as const),
      ...[PODMAN, `--userns keep-id ${USER}`, `--network private ${PUBLISHED}`, '--env HTTPS_PROXY --env no_proxy'],
    ],
    [
      ...([
        'docker',
        false,
        { NODE_EXTRA_CA_CERTS: CA_BUNDLE, DBPROXY_LOG_LEVEL: 'debug', DBPROXY_RUNTIME: 'docker' },
      ] as const),
      ...[DOCKER, USER, `--network bridge ${PUBLISHED}`],
      `--volume ${CA_BUNDLE}:/app/extra-ca.pem:ro --env NODE_EXTRA_CA_CERTS=/app/extra-ca.pem --env DBPROXY_LOG_LEVEL`,
    ],
    [
      'docker',
      false,
      { DBPROXY_IMAGE: 'registry.example/proxy:7' },
      DOCKER,
      USER,
      `--network bridge ${PUBLISHED}`,
      '--env DBPROXY_IMAGE',
    ],
  ];
  const DATA = `--volume ${LAYOUT.dataDir}:${LAYOUT.dataDir} --env DBPROXY_DATA_DIR=${LAYOUT.dataDir} --env DBPROXY_PROXY_PORT=18080 --env DBPROXY_DASHBOARD_PORT=18443`;

  /** An engine that writes the arguments of `run` to a file and fails. */
  function installEngine(engine: Engine, rootless: boolean): void {
    const answer = engine === 'podman' ? String(rootless) : `["name=${rootless ? 'rootless' : 'seccomp'}"]`;
    const run = `printf '%s ' "$@" >'${HOME}/arguments'`;
    const script = `#!/bin/sh\ncase $1 in info) echo '${answer}' ;; run) ${run}; exit 125 ;; *) exit 1 ;; esac\n`;
    writeFileSync(join(HOME, 'bin', engine), script);
    chmodSync(join(HOME, 'bin', engine), 0o755);
  }
  function argumentsOfRun(): string {
    const text = readFileSync(join(HOME, 'arguments'), 'utf8').trimEnd();
    rmSync(join(HOME, 'arguments'));
    return text;
  }
  async function startOnNode(engine: Engine, env: Environment): Promise<unknown> {
    const full = { HOME, PATH, ...env };
    const options = { layout: LAYOUT, ports: PORTS, env: full, signal: new AbortController().signal };
    return containerRuntime(engine)
      .start(parseConfig(full), options)
      .then(() => null, String);
  }
  const startInShell = (shell: (typeof SHELLS)[number], engine: Engine, env: Environment): string =>
    runInShell(
      shell,
      `engine=${engine} container=$(container_name); (run_container 18080 18443 detached 2>&1) || true`,
      env,
    );

  for (const [engine, rootless, env, ...expected] of RUNS) {
    it(`is started alike by ${rootless ? 'rootless ' : ''}${engine} with ${JSON.stringify(env)}`, async () => {
      installEngine(engine, rootless);
      await startOnNode(engine, env);
      const onNode = argumentsOfRun();
      const [log = '', user = '', network = '', ...rest] = expected;
      const image = env['DBPROXY_IMAGE'] ?? `localhost/claude-db-proxy:${VERSION}`;
      expect(onNode).to.equal(
        [
          `run --detach --name ${containerName(LAYOUT.dataDir)} --pull never --restart unless-stopped`,
          `--label claude-db-proxy.data-dir=${LAYOUT.dataDir} --label claude-db-proxy.version=${VERSION} ${HARDENED}`,
          ...[log, user, network, DATA, ...rest, image, 'serve --no-record'],
        ].join(' '),
      );
      for (const shell of SHELLS) {
        startInShell(shell, engine, env);
        expect(argumentsOfRun(), shell[0]).to.equal(onNode);
      }
    });
  }

  for (const [env, message] of [
    [{ DBPROXY_CONTAINER_NETWORK: 'lan' }, 'DBPROXY_CONTAINER_NETWORK=lan cannot be used: bridge or host'],
    [{ DBPROXY_DATA_DIR: `${HOME}/a:b` }, `DBPROXY_DATA_DIR=${HOME}/a:b cannot be mounted: it has a colon in its name`],
  ] as const) {
    it(`is refused by both: ${message}`, async () => {
      installEngine('docker', false);
      const layout = layoutOf(parseConfig({ HOME, ...env }));
      const options = { layout, ports: PORTS, env: { HOME, PATH, ...env }, signal: new AbortController().signal };
      const error = await containerRuntime('docker')
        .start(parseConfig({ HOME }), options)
        .then(() => null, String);
      expect(error).to.include(message);
      expect(startInShell(['sh'], 'docker', env)).to.equal(`claude-db-proxy: ${message}\n`);
    });
  }

  for (const [dataDir, name] of [
    ['/home/ann/.local/share/claude-db-proxy', 'claude-db-proxy-home-ann'],
    ['/home/ann/.local/share/claude-db-proxy/', 'claude-db-proxy-home-ann'],
    ['/srv/my data (1)', 'claude-db-proxy-srv-my-data-1'],
    ['/.local/share/claude-db-proxy', 'claude-db-proxy'],
  ] as const) {
    it(`of ${dataDir} is named ${name}`, () => {
      expect(containerName(dataDir)).to.equal(name);
      expect(runInShell(['sh'], 'container_name', { DBPROXY_DATA_DIR: dataDir })).to.equal(`${name}\n`);
    });
  }
});
