/** Claude Code's settings files on this machine, as far as the doctor looks into them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Environment } from '../../src/config/config.ts';
import { isObject } from '../../src/wire/json.ts';
import { fault, warning, type CheckResult } from './check-results.ts';
import type { Source, Variables } from './env-overrides.ts';

const MANAGED: Readonly<Partial<Record<NodeJS.Platform, string>>> = {
  linux: '/etc/claude-code/managed-settings.json',
  darwin: '/Library/Application Support/ClaudeCode/managed-settings.json',
};

export interface SettingsFiles {
  readonly sources: readonly Source[];
  readonly findings: readonly CheckResult[];
}

/** Reads those of the user, of the project in `cwd`, and of the administrator. */
export function readSettingsFiles(env: Environment, cwd: string): SettingsFiles {
  const home = env['HOME'] ?? '';
  const users = env['CLAUDE_CONFIG_DIR'] ?? join(home, '.claude');
  const paths = [
    join(users, 'settings.json'),
    join(cwd, '.claude', 'settings.json'),
    join(cwd, '.claude', 'settings.local.json'),
    ...(MANAGED[process.platform] === undefined ? [] : [MANAGED[process.platform] ?? '']),
  ];
  const read = [...new Set(paths)].map(readOne);
  const global = readOne(join(env['CLAUDE_CONFIG_DIR'] ?? home, '.claude.json'));
  const off =
    global.json?.['autoCompactEnabled'] === false
      ? [
          warning(
            'auto-compact',
            `auto-compact is off in ${global.path}: claude compacts only when told to`,
            'turn it on with /config in claude',
          ),
        ]
      : [];
  return {
    sources: read.flatMap(({ path, json }) => {
      const variables = json?.['env'];
      return isObject(variables) ? [{ name: path, variables, overrides: true }] : [];
    }),
    findings: [...read.flatMap(({ problem }) => problem ?? []), ...off],
  };
}

interface ReadFile {
  readonly path: string;
  readonly json: Variables | null;
  readonly problem: CheckResult | null;
}

function readOne(path: string): ReadFile {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return { path, json: null, problem: null };
  }
  if (text.trim() === '') return { path, json: null, problem: null };
  try {
    const json: unknown = JSON.parse(text);
    if (isObject(json)) return { path, json, problem: null };
  } catch {
    // Told below.
  }
  const remedy = 'mend it by hand: claude ignores it as it is';
  return { path, json: null, problem: fault('settings-files', `${path} is no valid JSON object`, remedy) };
}
