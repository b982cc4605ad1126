/** What an open dashboard costs the proxy: its CPU with pages open less its CPU without, 200 conversations changing. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { io, type Socket } from 'socket.io-client';
import { figure, type Figure } from './figures.ts';

const GOAL_PERCENT = 3;
/** Until the compiler has seen enough of what goes on. */
const WARM_UP_MS = 10_000;
const READING_MS = 1_000;
const READINGS = 5;
/** Without, with, without, …: other work on the machine then meets both, and what is added is told from the mean around. */
const TURNS = 4;

interface Reading {
  readonly cpu: NodeJS.CpuUsage;
  readonly at: number;
}

async function read(child: ChildProcess): Promise<Reading> {
  child.send('cpu');
  const [reading] = (await once(child, 'message')) as [Reading];
  return reading;
}

/** Shares of one core, in percent, of so many stretches of time. */
async function measure(child: ChildProcess): Promise<number[]> {
  await pause(READING_MS);
  const shares: number[] = [];
  let before = await read(child);
  for (let taken = 0; taken < READINGS; taken += 1) {
    await pause(READING_MS);
    const now = await read(child);
    const spent = now.cpu.user + now.cpu.system - before.cpu.user - before.cpu.system;
    shares.push((spent / 1_000 / (now.at - before.at)) * 100);
    before = now;
  }
  return shares;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

export async function benchDashboard(): Promise<Figure[]> {
  const dataDir = mkdtempSync(join(tmpdir(), 'dbproxy-bench-'));
  const child = fork(fileURLToPath(new URL('dashboard-process.ts', import.meta.url)), {
    execArgv: [
      '--import',
      'tsx',
      ...(process.env['PROF'] === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir=/tmp/prof']),
    ],
    env: {
      ...process.env,
      DBPROXY_DATA_DIR: dataDir,
      DBPROXY_PROXY_PORT: '0',
      DBPROXY_DASHBOARD_PORT: '0',
      DBPROXY_UPSTREAM_URL: 'http://127.0.0.1:9',
    },
  });
  const [proxy] = (await once(child, 'message')) as [{ port: number; caPath: string; token: string }];
  const ca = readFileSync(proxy.caPath, 'utf8');
  let patches = 0;
  const open = async (): Promise<Socket> => {
    const options = { transports: ['websocket'], ca, extraHeaders: { authorization: `Bearer ${proxy.token}` } };
    const page: Socket = io(`https://localhost:${proxy.port}`, { ...options, forceNew: true });
    await new Promise<void>((resolve) => page.once('hello', () => resolve()));
    page.on('conversations', () => (patches += 1));
    return page;
  };
  const added = { page: [] as number[], inspector: [] as number[] };
  try {
    await pause(WARM_UP_MS);
    for (let turn = 0; turn < TURNS; turn += 1) {
      const before = await measure(child);
      const page = await open();
      const withPage = await measure(child);
      page.emit('inspector.open', () => undefined);
      const withInspector = await measure(child);
      page.disconnect();
      const without = mean([...before, ...(await measure(child))]);
      added.page.push(...withPage.map((share) => share - without));
      added.inspector.push(...withInspector.map((share) => share - without));
    }
    if (patches < TURNS * READINGS * 5) throw new Error(`only ${patches} patches came: this measures nothing`);
    return [
      figure('CPU for a page: 200 conversations changing 10 times a second', '%', added.page, GOAL_PERCENT),
      figure('the same with its inspector open', '%', added.inspector, null),
    ];
  } finally {
    child.kill('SIGTERM');
    await once(child, 'exit');
    rmSync(dataDir, { recursive: true, force: true });
  }
}
