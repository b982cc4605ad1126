/**
 * The demo's environment: the real proxy in front of the simulated API, and a client for each.
 *
 *   client ─ CONNECT + TLS ─▶ redirector ─▶ forwarder ─▶ simulated API
 *   direct ───────────────────────────────────────────▶ simulated API     for comparison
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseConfig, type Config, type Environment } from '../config/config.ts';
import { startProxy, type Proxy } from '../proxy.ts';
import { startSimulatedApi, type Call, type Message, type SimulatedApi } from '../simulated-api/index.ts';
import { EventTail } from './event-tail.ts';
import { ScriptedClient, type ScriptedClientOptions } from './scripted-client.ts';
import { answerTo, listing, SUMMARY, SYSTEM_TOKENS } from './session.ts';

/** Speed of a large model. */
const FIRST_BYTE_MS = 300;
const TOKENS_PER_SECOND = 70;

export interface DemoEnvironmentOptions {
  /** An existing directory for certificates. */
  readonly dataDir: string;
  /** How many times faster than life. */
  readonly pace: number;
  /** Further settings of the proxy. */
  readonly settings: Environment;
}

export interface DemoEnvironment {
  readonly api: SimulatedApi;
  readonly proxy: Proxy;
  readonly config: Config;
  readonly events: EventTail;
  /** The user's client, behind the proxy. */
  readonly client: ScriptedClient;
  /** The same client without a proxy. */
  readonly direct: ScriptedClient;
  /** Stops everything, including running requests. Can be called again. */
  close(): Promise<void>;
}

/** Starts the environment. Nothing is left running when it fails. */
export async function openDemoEnvironment({
  dataDir,
  pace,
  settings,
}: DemoEnvironmentOptions): Promise<DemoEnvironment> {
  const session = randomUUID();
  const api = await startSimulatedApi({
    speed: { firstByteMs: FIRST_BYTE_MS / pace, tokensPerSecond: TOKENS_PER_SECOND * pace },
    script: (call) => (call.request.headers['x-claude-code-session-id'] === session ? answerFor(call) : undefined),
    record: 'heads',
  });
  const events = new EventTail();
  try {
    const config = parseConfig({
      HOME: dataDir,
      DBPROXY_DATA_DIR: dataDir,
      DBPROXY_PROXY_PORT: '0',
      DBPROXY_DASHBOARD_PORT: '0',
      DBPROXY_UPSTREAM_URL: api.url,
      ...settings,
    });
    const proxy = await startProxy({ config, log: events });
    const common: ScriptedClientOptions = { session, system: listing('system prompt and tools', SYSTEM_TOKENS) };
    const ca = readFileSync(proxy.caPath, 'utf8');
    const client = new ScriptedClient({ ...common, proxy: `http://${config.host}:${proxy.ports.proxy}`, ca });
    const direct = new ScriptedClient({ ...common, api: api.url });
    let closing: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      await Promise.all([client.close(), direct.close()]);
      await api.close();
      await proxy.stop();
    };
    return { api, proxy, config, events, client, direct, close: () => (closing ??= close()) };
  } catch (error) {
    await api.close();
    throw error;
  }
}

/** The user's last words, which can precede a tool result. */
function lastWords(messages: readonly Message[]): string {
  for (const { role, content } of messages.toReversed()) {
    const text = typeof content === 'string' ? content : content.at(-1)?.text;
    if (role === 'user' && text !== undefined) return text;
  }
  return '';
}

/** The scripted answer of the simulated model; undefined for its default answer. */
function answerFor({ isSummary, message }: Call): { blocks: { type: 'text'; text: string }[] } | undefined {
  const text = isSummary ? SUMMARY : answerTo(lastWords(message.messages));
  return text === undefined ? undefined : { blocks: [{ type: 'text', text }] };
}
