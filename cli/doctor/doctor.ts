/** `claude-db-proxy proxy-doctor [--json]`: every check, and what to do. Exit code 1 where something does not work. */
import pc from 'picocolors';
import { parseConfig, type Environment } from '../../src/config/config.ts';
import { ConfigError } from '../../src/errors.ts';
import { plural } from '../../web/format.ts';
import { layoutOf } from '../installation.ts';
import { wantsColours, withProgress } from '../progress.ts';
import { allChecks } from './checks.ts';
import { fault, well, type CheckResult } from './check-results.ts';

export async function doctor(env: Environment, options: { readonly json: boolean }): Promise<void> {
  const findings = await withProgress('looking around', examine(env));
  if (options.json) process.stdout.write(`${JSON.stringify(findings, null, 2)}\n`);
  else process.stdout.write(asText(findings, pc.createColors(wantsColours(process.stdout, env))));
  process.exitCode = findings.some(({ verdict }) => verdict === 'fault') ? 1 : 0;
}

async function examine(env: Environment): Promise<readonly CheckResult[]> {
  let config;
  try {
    config = parseConfig(env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const remedy = `correct ${error.variable}; until then claude runs without the proxy`;
    return [fault('settings', error.message, remedy)];
  }
  return [
    well('settings', 'the settings can be used'),
    ...(await allChecks({ config, layout: layoutOf(config) }, env)),
  ];
}

function asText(findings: readonly CheckResult[], c: ReturnType<typeof pc.createColors>): string {
  const marks = { well: c.green('✔'), warning: c.yellow('!'), fault: c.red('✘') };
  const lines = findings.map(({ verdict, message, remedy }) => {
    const first = `${marks[verdict]} ${message}\n`;
    return remedy === null ? first : `${first}  ${c.dim('→')} ${remedy}\n`;
  });
  const faults = findings.filter(({ verdict }) => verdict === 'fault').length;
  const warnings = findings.filter(({ verdict }) => verdict === 'warning').length;
  const end =
    faults + warnings === 0 ? 'Everything is well.' : `${plural(faults, 'fault')}, ${plural(warnings, 'warning')}.`;
  return `${lines.join('')}\n${end}\n`;
}
