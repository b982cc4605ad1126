/** What every command begins with: the settings of this environment, and the places that follow from them. */
import { parseConfig, type Environment } from '../src/config/config.ts';
import { layoutOf } from './installation.ts';
import type { CliContext } from './runtime/supervision.ts';

/** @throws ConfigError */
export function contextOf(env: Environment): CliContext {
  const config = parseConfig(env);
  return { config, layout: layoutOf(config) };
}
