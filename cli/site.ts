/** What every command begins with: the settings of this environment, and the places that follow from them. */
import { parseConfig, type Environment } from '../src/config.ts';
import { layoutOf } from './installation.ts';
import type { Site } from './runtime/supervision.ts';

/** @throws ConfigError */
export function siteOf(env: Environment): Site {
  const config = parseConfig(env);
  return { config, layout: layoutOf(config) };
}
