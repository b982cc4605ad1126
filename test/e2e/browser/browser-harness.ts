/** The demo's environment on fixed ports, so that a proxy can be stopped and another one started in its place. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dashboardUrl } from '../../../src/admin/access/access.ts';
import { parseConfig } from '../../../src/config/config.ts';
import { ScriptedClient } from '../../../src/demo/scripted-client.ts';
import { messagesOf, type ScriptedTurn } from '../../../src/demo/session.ts';
import { openDemoEnvironment, type DemoEnvironment } from '../../../src/demo/environment.ts';
import { startProxy, type Proxy } from '../../../src/proxy.ts';

/** The demo's speed, in times real time: a checkpoint takes about three seconds. */
const PACE = 3;

export interface BrowserHarness {
  readonly environment: DemoEnvironment;
  readonly origin: string;
  readonly token: string;
  readonly ca: string;
  /** The dashboard's URL with the token. */
  readonly tokenUrl: string;
  /** The dashboard's URL after the token was accepted. */
  readonly dashboard: string;
  /** Plays one turn of the demo's session. */
  turn(turn: ScriptedTurn): Promise<void>;
  /** Opens another client. The simulated API answers it with random text. */
  client(): ScriptedClient;
  stop(): Promise<void>;
  /** Starts a new proxy with the same settings, ports and directory. */
  start(): Promise<void>;
  close(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export async function openBrowserHarness(): Promise<BrowserHarness> {
  const dataDir = mkdtempSync(join(tmpdir(), 'dbproxy-browser-'));
  const [proxyPort, dashboardPort] = [await freePort(), await freePort()];
  const ports = { DBPROXY_PROXY_PORT: String(proxyPort), DBPROXY_DASHBOARD_PORT: String(dashboardPort) };
  const environment = await openDemoEnvironment({ dataDir, pace: PACE, settings: ports });
  const ca = readFileSync(environment.proxy.caPath, 'utf8');
  const origin = `https://localhost:${dashboardPort}`;
  const { token } = environment.proxy.access;
  let turns = 0;
  let proxy: Proxy | null = environment.proxy;
  const clients: ScriptedClient[] = [];
  const stop = async (): Promise<void> => {
    await proxy?.stop();
    proxy = null;
  };
  return {
    environment,
    origin,
    token,
    ca,
    tokenUrl: dashboardUrl(origin, token),
    dashboard: `${origin}/dashboard/`,
    async turn(turn) {
      turns += 1;
      const { before, last } = messagesOf(turn, turns);
      environment.client.messages.push(...before);
      const reply = await environment.client.say(last);
      if (reply.status !== 200 || reply.error !== null)
        throw new Error(`a turn failed: ${reply.error ?? reply.status}`);
    },
    client() {
      const client = new ScriptedClient({ proxy: `http://127.0.0.1:${proxyPort}`, ca });
      clients.push(client);
      return client;
    },
    stop,
    async start() {
      const env = { HOME: dataDir, DBPROXY_DATA_DIR: dataDir, DBPROXY_UPSTREAM_URL: environment.api.url, ...ports };
      proxy = await startProxy({ config: parseConfig(env), log: environment.events });
    },
    async close() {
      await Promise.all(clients.map((client) => client.close()));
      await stop();
      await environment.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
