/** The doctor's checks: what can go wrong between `claude` and the API, each with what to do about it. */
import { X509Certificate } from 'node:crypto';
import { accessSync, constants, existsSync, readFileSync, realpathSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Environment } from '../../src/config/config.ts';
import { API_NAME } from '../../src/certificates/names.ts';
import { codeOf, messageOf } from '../../src/errors.ts';
import { openHttpClient, type HttpClient } from '../../src/upstream/http-client.ts';
import { OutboundTunnels } from '../../src/upstream/outbound-tunnel.ts';
import { headerValue, type RawHeaders } from '../../src/wire/headers.ts';
import { isOlder } from '../health-check.ts';
import { caBundle, isOurBundle } from '../launch/ca-bundle.ts';
import { findClaude, HOW_TO_GET_IT } from '../launch/find-claude.ts';
import { isFree } from '../runtime/free-ports.ts';
import { runtimeNamed, runtimeNameFor } from '../runtime/runtimes.ts';
import { findRunning, wantedPorts, type Running, type CliContext } from '../runtime/supervision.ts';
import { VERSION } from '../../src/version.ts';
import { fault, warning, well, type CheckResult } from './check-results.ts';
import { handshakeFault } from './handshake.ts';
import { readSettingsFiles } from './settings-files.ts';
import { shadows } from './env-overrides.ts';

const MEGABYTE = 1024 * 1024;
/** The log alone may take 60 MB. */
const LITTLE_SPACE = 200 * MEGABYTE;
const NO_SPACE = 20 * MEGABYTE;
/** Certificates count from a day ago, and the API's own need a clock that is about right. */
const CLOCK_MS = 5 * 60_000;
const UPSTREAM_MS = 15_000;
const DAY_MS = 86_400_000;
const SOON_MS = 30 * DAY_MS;

/** Everything, in the order in which a request meets it. */
export async function allChecks(site: CliContext, env: Environment): Promise<readonly CheckResult[]> {
  const { running } = await findRunning(site);
  const first = [checkClaude(env), ...checkShadows(site, env), checkDirectory(site), await checkDisk(site)];
  const second = [
    await checkRuntime(site, env),
    ...(await checkPorts(site, running)),
    ...(await checkProxy(site, running)),
  ];
  const third = [...(await checkTrust(site, env, running)), ...(await checkUpstream(site))];
  return [...first, ...second, ...third];
}

/**
 * What the launcher without Node tells of the machine, when the doctor is in the container and cannot see it: where claude
 * is, '' for nowhere, and the engine.
 */
const OUTSIDE = { claude: 'DBPROXY_OUTSIDE_CLAUDE', engine: 'DBPROXY_OUTSIDE_ENGINE' };

function checkClaude(env: Environment): CheckResult {
  const isOutside = env[OUTSIDE.engine] !== undefined;
  const claude = isOutside
    ? (env[OUTSIDE.claude] ?? '')
    : (findClaude(env, realpathSync(process.argv[1] ?? '.')) ?? '');
  if (claude === '') return fault('claude', 'Claude Code is not installed, or not on PATH', HOW_TO_GET_IT);
  return well('claude', `claude is ${claude}`);
}

function checkShadows({ config }: CliContext, env: Environment): readonly CheckResult[] {
  if (env[OUTSIDE.engine] !== undefined) {
    const message = 'variables and settings that could lead claude past the proxy cannot be seen from the container';
    return [warning('shadows', message, 'look for ANTHROPIC_BASE_URL and HTTPS_PROXY in ~/.claude/settings.json')];
  }
  const files = readSettingsFiles(env, process.cwd());
  const own = { name: 'the environment', variables: env, overrides: false };
  const found = [...files.findings, ...shadows([own, ...files.sources], config.thresholds)];
  return found.length > 0 ? found : [well('shadows', 'no variable and no setting leads claude past the proxy')];
}

function checkDirectory({ layout }: CliContext): CheckResult {
  const { dataDir } = layout;
  let nearest = dataDir;
  while (!existsSync(nearest) && dirname(nearest) !== nearest) nearest = dirname(nearest);
  try {
    accessSync(nearest, constants.W_OK | constants.X_OK);
    return well('data-directory', `${dataDir} can be written`);
  } catch (error) {
    const remedy = `make ${nearest} yours to write, or set DBPROXY_DATA_DIR`;
    return fault('data-directory', `${dataDir} cannot be written (${codeOf(error)})`, remedy);
  }
}

async function checkDisk({ layout }: CliContext): Promise<CheckResult> {
  let nearest = layout.dataDir;
  while (!existsSync(nearest) && dirname(nearest) !== nearest) nearest = dirname(nearest);
  try {
    const { bavail, bsize } = await statfs(nearest);
    const free = bavail * bsize;
    const text = `${Math.round(free / MEGABYTE)} MB are free for ${layout.dataDir}`;
    const remedy = 'free some space there, or set DBPROXY_DATA_DIR to another disk';
    if (free < NO_SPACE) return fault('disk', text, remedy);
    return free < LITTLE_SPACE ? warning('disk', text, remedy) : well('disk', text);
  } catch (error) {
    return warning('disk', `the space for ${layout.dataDir} cannot be told (${codeOf(error)})`, 'look for yourself');
  }
}

async function checkRuntime({ config, layout }: CliContext, env: Environment): Promise<CheckResult> {
  const engine = env[OUTSIDE.engine];
  if (engine !== undefined) return well('runtime', `${engine} can be used`);
  const runtime = await runtimeNamed(runtimeNameFor(config, layout));
  const availability = await runtime.isAvailable();
  const chosen = config.runtime === 'auto' ? ' (chosen automatically)' : '';
  if (availability.usable) return well('runtime', `${runtime.name} can be used${chosen}`);
  return fault('runtime', `${runtime.name} cannot be used${chosen}`, availability.reason);
}

async function checkPorts(site: CliContext, running: Running | null): Promise<readonly CheckResult[]> {
  const { proxy, dashboard } = wantedPorts(site.config);
  const wanted = [['proxy', proxy] as const, ['dashboard', dashboard] as const].filter(([, port]) => port !== 0);
  const ours = running === null ? [] : [running.record.ports.proxy, running.record.ports.dashboard];
  const findings = wanted.map(async ([name, port]) => {
    if (ours.includes(port)) return well('ports', `port ${port} (${name}) is the proxy's`);
    if (await isFree('127.0.0.1', port)) return well('ports', `port ${port} (${name}) is free`);
    const variable = `DBPROXY_${name.toUpperCase()}_PORT`;
    const message = `port ${port} (${name}) is taken by another process; the next free one is used instead`;
    return warning('ports', message, `nothing, or choose another with ${variable}`);
  });
  return Promise.all(findings);
}

async function checkProxy(site: CliContext, running: Running | null): Promise<readonly CheckResult[]> {
  if (running === null) {
    const found = await findRunning(site);
    const trouble = found.running === null ? found.trouble : null;
    if (trouble === 'silent') {
      const remedy = 'claude-db-proxy stop, then claude-db-proxy start; look into claude-db-proxy logs';
      return [fault('proxy', 'the proxy does not answer', remedy)];
    }
    const other = trouble === 'stranger' ? '; another process is on its port' : '';
    return [
      warning('proxy', `the proxy is not running${other}`, 'start it: claude-db-proxy start (claude does as well)'),
    ];
  }
  const { health, endpoint } = running;
  const found = [well('proxy', `the proxy answers through ${endpoint.url}, version ${health.version}`)];
  if (isOlder(health.version)) {
    const remedy = 'it is replaced as soon as it is idle; or: claude-db-proxy stop, then start';
    found.push(warning('version', `the proxy is ${health.version}, older than this ${VERSION}`, remedy));
  }
  if (health.passthrough) {
    found.push(
      warning(
        'passthrough',
        'DBPROXY_PASSTHROUGH is on: nothing is computed or served',
        'unset it, and restart the proxy',
      ),
    );
  }
  return found;
}

async function checkTrust(
  site: CliContext,
  env: Environment,
  running: Running | null,
): Promise<readonly CheckResult[]> {
  const { layout } = site;
  if (!existsSync(layout.ca)) {
    return [
      warning('ca-trust', 'there is no CA certificate yet', 'start the proxy, which makes one: claude-db-proxy start'),
    ];
  }
  const findings = [checkCa(layout.ca)];
  const users = env['NODE_EXTRA_CA_CERTS'] ?? '';
  if (users !== '' && !isOurBundle(layout, users)) findings.push(checkUsersBundle(users));
  if (running !== null) {
    const reason = await handshakeFault(running.endpoint, caBundle(layout, users === '' ? undefined : users));
    findings.push(
      reason === null
        ? well('ca-trust', `a client that trusts ${layout.ca} reaches ${API_NAME} through the proxy`)
        : fault(
            'ca-trust',
            `a TLS handshake through the proxy fails (${reason})`,
            `restart the proxy (claude-db-proxy stop, then start); if that does not help, remove ${layout.certs} and start again`,
          ),
    );
  }
  return findings;
}

function checkCa(path: string): CheckResult {
  try {
    const left = Date.parse(new X509Certificate(readFileSync(path)).validTo) - Date.now();
    const remedy = `claude-db-proxy stop, remove ${dirname(path)}, claude-db-proxy start; then start claude again`;
    if (left <= 0) return fault('ca', 'the CA certificate has expired, or the clock is wrong', remedy);
    const days = Math.floor(left / DAY_MS);
    if (left < SOON_MS) return warning('ca', `the CA certificate expires in ${days} days`, remedy);
    return well('ca', `the CA certificate is good for ${days} days`);
  } catch (error) {
    return fault(
      'ca',
      `the CA certificate ${path} cannot be read (${codeOf(error)})`,
      'start the proxy, which makes a new one',
    );
  }
}

function checkUsersBundle(path: string): CheckResult {
  try {
    const count = readFileSync(path, 'utf8').split('-----BEGIN CERTIFICATE-----').length - 1;
    if (count > 0) return well('ca-bundle', `NODE_EXTRA_CA_CERTS names ${count} certificates, which are kept`);
    return warning('ca-bundle', `there is no certificate in ${path}`, 'correct NODE_EXTRA_CA_CERTS');
  } catch (error) {
    return warning(
      'ca-bundle',
      `NODE_EXTRA_CA_CERTS=${path} cannot be read (${codeOf(error)})`,
      'correct NODE_EXTRA_CA_CERTS',
    );
  }
}

/** The API, reached as the proxy reaches it. Any answer will do; a refused request is one. */
async function checkUpstream({ config }: CliContext): Promise<readonly CheckResult[]> {
  const tunnels = new OutboundTunnels({
    proxy: config.outboundProxy,
    isOwn: (_host, port) => port === config.proxyPort,
  });
  const upstream = openHttpClient({ url: config.upstreamUrl, tunnels });
  const { host } = config.upstreamUrl;
  try {
    const answer = await headOf(upstream);
    const found = [well('upstream', `${host} answers`)];
    const date = Date.parse(headerValue(answer, 'date') ?? '');
    if (Number.isNaN(date)) return found;
    const skew = Math.abs(Date.now() - date);
    const remedy = 'set the clock (automatically, if you can): certificates are refused by a clock that is wrong';
    const clock =
      skew > CLOCK_MS
        ? fault('clock', `this clock and ${host}'s are ${Math.round(skew / 60_000)} minutes apart`, remedy)
        : well('clock', 'the clock is right');
    return [...found, clock];
  } catch (error) {
    const reason = messageOf(error);
    const remedy =
      'check the network; behind a proxy set HTTPS_PROXY, behind one that opens TLS set NODE_EXTRA_CA_CERTS as well';
    return [fault('upstream', `${host} cannot be reached: ${reason}`, remedy)];
  } finally {
    await upstream.close();
  }
}

function headOf(upstream: HttpClient): Promise<RawHeaders> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      running.abort();
      reject(new Error(`no answer within ${UPSTREAM_MS / 1_000} s`));
    }, UPSTREAM_MS);
    const running = upstream.send(
      { method: 'GET', path: '/v1/models', headers: ['accept-encoding', 'identity'], body: Buffer.alloc(0) },
      {
        onHead: (_status, _reason, headers) => {
          clearTimeout(timer);
          resolve(headers);
        },
        onData: () => true,
        onEnd: () => undefined,
        onError: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      },
    );
  });
}
