/**
 * What `claude-db-proxy` costs somebody who starts `claude`: the launch beside a proxy that runs, the status line, and how
 * soon a proxy that was killed serves again. With the bundle, and the two launchers as the installer leaves them.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { checkHealth } from '../../cli/health-check.ts';
import { ScriptedClient } from '../../src/demo/scripted-client.ts';
import { figure, type Figure } from './figures.ts';
import { Installed } from './installed.ts';

const LAUNCHES = 60;
const LAUNCH_GOAL_MS = 150;
const LINES = 100;
const LINE_GOAL_MS = 100;
const REVIVALS = 10;
const REVIVAL_GOAL_MS = 2_000;
/** How long the watch over a proxy waits until it begins, and some more. */
const SETTLED_MS = 1_500;
const LIMIT_MS = 30_000;

const WITHOUT_NODE = { DBPROXY_RUNTIME: 'podman' };

type Command = readonly [string, ...string[]];

/** In turns, so that what else the machine does meets all of them. */
async function benchLaunches(installed: Installed): Promise<Figure[]> {
  const claude: Command = [installed.claude('exit 0')];
  const plain: number[] = [];
  const bare: number[] = [];
  const node: number[] = [];
  const sh: number[] = [];
  for (let turn = 0; turn < LAUNCHES; turn += 1) {
    const { ms } = await installed.run(claude);
    plain.push(ms);
    bare.push((await installed.run([process.execPath, '--eval', '0'])).ms);
    node.push((await installed.run(installed.launcher('with-node'))).ms - ms);
    sh.push((await installed.run(installed.launcher('without-node'), '', WITHOUT_NODE)).ms - ms);
  }
  return [
    figure('`claude` alone (a script that ends at once)', 'ms', plain, null),
    figure('Node alone (nothing to do)', 'ms', bare, null),
    figure('added by the launcher on Node, proxy running', 'ms', node, LAUNCH_GOAL_MS),
    figure('added by the launcher in sh, proxy running', 'ms', sh, LAUNCH_GOAL_MS),
  ];
}

/** Of a session that the proxy knows. */
async function benchStatusLines(installed: Installed): Promise<Figure[]> {
  const proxy = `http://127.0.0.1:${installed.ports.proxy}`;
  const client = new ScriptedClient({ proxy, ca: readFileSync(installed.layout.ca, 'utf8') });
  await client.say('Hello.');
  await client.close();
  const input = JSON.stringify({ session_id: client.session, cost: { total_api_duration_ms: 1_000 } });
  const node: number[] = [];
  const sh: number[] = [];
  const measured = async (times: number[], command: Command, env = {}): Promise<void> => {
    const { ms, said } = await installed.run([...command, 'statusline'], input, { HTTPS_PROXY: proxy, ...env });
    if (!/^◈ DB_PROXY_ON \d+%\n$/.test(said)) throw new Error(`the status line said ${said}`);
    times.push(ms);
  };
  for (let turn = 0; turn < LINES; turn += 1) {
    await measured(node, installed.launcher('with-node'));
    await measured(sh, installed.launcher('without-node'), WITHOUT_NODE);
  }
  return [
    figure('status line, launcher on Node', 'ms', node, LINE_GOAL_MS),
    figure('status line, launcher in sh', 'ms', sh, LINE_GOAL_MS),
  ];
}

/** From the proxy's death to its first healthy answer on the same port, while `claude` runs. */
async function benchRevival(installed: Installed): Promise<Figure> {
  installed.claude('exec sleep 600');
  const running = installed.spawn(installed.launcher('with-node'));
  const ended = once(running, 'exit');
  const times: number[] = [];
  try {
    for (let turn = 0; turn < REVIVALS; turn += 1) {
      await pause(SETTLED_MS);
      times.push(await revival(installed));
    }
  } finally {
    running.kill('SIGTERM');
    await ended;
  }
  return figure('a killed proxy is healthy again, launcher on Node', 'ms', times, REVIVAL_GOAL_MS);
}

async function revival(installed: Installed): Promise<number> {
  const { pid, ports } = installed;
  if (pid === null) throw new Error('no process is written down');
  const question = { host: '127.0.0.1', port: ports.proxy, timeoutMs: 1_000 };
  const began = performance.now();
  process.kill(pid, 'SIGKILL');
  while (!(await checkHealth(installed.layout, question)).healthy) {
    if (performance.now() - began > LIMIT_MS) throw new Error('the proxy did not come back');
    await pause(5);
  }
  const ms = performance.now() - began;
  // It is written down a moment later.
  while (installed.pid === pid) await pause(5);
  return ms;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function benchLaunch(): Promise<Figure[]> {
  const installed = await Installed.make();
  try {
    await installed.run([...installed.launcher('with-node'), 'start']);
    return [...(await benchLaunches(installed)), ...(await benchStatusLines(installed)), await benchRevival(installed)];
  } finally {
    await installed.close();
  }
}
