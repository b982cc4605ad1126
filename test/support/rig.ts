/** A whole proxy on free ports in front of a simulated API, in this process, and clients for it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig, type Environment } from '../../src/config/config.ts';
import { ScriptedClient, type ScriptedClientOptions } from '../../src/demo/scripted-client.ts';
import type { Log, LogFields } from '../../src/log.ts';
import { startProxy, type Proxy } from '../../src/proxy.ts';
import { startSimulatedApi, type SimulatedApi, type SimulatedApiOptions } from '../../src/simulated-api/index.ts';

export interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly fields: LogFields;
}

/** Keeps what is logged. */
export function recordingLog(lines: LogLine[]): Log {
  const at =
    (level: string) =>
    (event: string, fields: LogFields = {}): void =>
      void lines.push({ level, event, fields });
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

export interface Rig {
  readonly api: SimulatedApi;
  readonly proxy: Proxy;
  readonly ca: string;
  readonly dataDir: string;
  readonly log: readonly LogLine[];
  client(options?: Partial<ScriptedClientOptions>): ScriptedClient;
  /** Resolves with the first log line of that event from now or before; rejects after `ms`. */
  logged(event: string, where?: (fields: LogFields) => boolean, ms?: number): Promise<LogFields>;
  close(): Promise<void>;
}

export async function startRig(env: Environment = {}, options: SimulatedApiOptions = {}): Promise<Rig> {
  const dataDir = mkdtempSync(join(tmpdir(), 'dbproxy-test-'));
  const api = await startSimulatedApi(options);
  const lines: LogLine[] = [];
  const config = parseConfig({
    HOME: dataDir,
    DBPROXY_DATA_DIR: dataDir,
    DBPROXY_PROXY_PORT: '0',
    DBPROXY_DASHBOARD_PORT: '0',
    DBPROXY_UPSTREAM_URL: api.url,
    ...env,
  });
  const proxy = await startProxy({ config, log: recordingLog(lines) });
  const ca = readFileSync(proxy.caPath, 'utf8');
  const clients: ScriptedClient[] = [];
  return {
    api,
    proxy,
    ca,
    dataDir,
    log: lines,
    client(given = {}) {
      const client = new ScriptedClient({ proxy: `http://127.0.0.1:${proxy.ports.proxy}`, ca, ...given });
      clients.push(client);
      return client;
    },
    async logged(event, where = () => true, ms = 3_000) {
      const deadline = Date.now() + ms;
      for (;;) {
        const line = lines.find((candidate) => candidate.event === event && where(candidate.fields));
        if (line !== undefined) return line.fields;
        if (Date.now() > deadline)
          throw new Error(`no ${event} was logged; there were: ${lines.map((l) => l.event).join(' ')}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    async close() {
      await Promise.all(clients.map((client) => client.close()));
      await proxy.stop();
      await api.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
