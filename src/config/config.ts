/**
 * The settings: `DBPROXY_*` variables (settings.ts) and the usual ones for an outbound proxy, parsed and validated
 * once into one frozen value. Nothing else reads them.
 * An unset or empty variable means its default; a value that cannot be used is a `ConfigError`.
 */
import { homedir } from 'node:os';
import type { Thresholds } from '../../machines/conversation-events.ts';
import { SETTINGS, type Setting, type Values } from './settings.ts';
import { ConfigError } from '../errors.ts';
import { parseOutboundProxy, type OutboundProxy } from '../upstream/outbound-proxy.ts';

export interface Config extends Omit<Values, 'checkpointThreshold' | 'swapThreshold'> {
  readonly thresholds: Thresholds;
  /** The proxy between this one and the network, from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. */
  readonly outboundProxy: OutboundProxy;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const valueOf = (env: Environment, name: string): string => env[name]?.trim() ?? '';

/** A URL may contain a password; messages must not. */
const withoutPassword = (value: string): string => value.replace(/\/\/[^/]*@/, '//…@');

/** @throws ConfigError */
function parseSetting(env: Environment, setting: Setting<unknown>, home: string): unknown {
  const value = valueOf(env, setting.name) || setting.default;
  const parsed = setting.parse(value, home);
  if (parsed === undefined) throw new ConfigError(setting.name, withoutPassword(value), setting.allowed);
  return parsed;
}

/**
 * Parses the environment.
 *
 * @throws ConfigError naming variable, value and what is allowed
 */
export function parseConfig(env: Environment): Config {
  const home = env['HOME'] ?? homedir();
  const parsed = Object.entries(SETTINGS).map(([key, setting]) => [key, parseSetting(env, setting, home)]);
  const { checkpointThreshold: checkpoint, swapThreshold: swap, ...values } = Object.fromEntries(parsed) as Values;
  if (swap <= checkpoint) throw thresholdError(env, checkpoint, swap);
  const { proxyPort, dashboardPort } = values;
  if (proxyPort === dashboardPort && proxyPort !== 0) {
    const other = SETTINGS.proxyPort.name;
    throw new ConfigError(SETTINGS.dashboardPort.name, String(dashboardPort), `must not be ${other} as well`);
  }
  const thresholds = Object.freeze({ checkpoint, swap });
  return Object.freeze<Config>({ ...values, thresholds, outboundProxy: parseOutboundProxy(env) });
}

/** Names the threshold that the user has set: a default alone is never wrong. */
function thresholdError(env: Environment, checkpoint: number, swap: number): ConfigError {
  const [first, second] = [SETTINGS.checkpointThreshold.name, SETTINGS.swapThreshold.name];
  return valueOf(env, first) === ''
    ? new ConfigError(second, String(swap), `must be above ${first} (${checkpoint})`)
    : new ConfigError(first, String(checkpoint), `must be below ${second} (${swap})`);
}
