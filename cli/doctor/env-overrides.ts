/**
 * Variables and settings that would lead `claude` past the proxy, or make it compact otherwise than expected. What is in
 * `env` of a settings.json counts for more than what `claude` was started with. Pure.
 */
import { API_NAME } from '../../src/certificates/names.ts';
import type { Thresholds } from '../../machines/conversation-events.ts';
import { bypasses, parseNoProxy } from '../../src/upstream/no-proxy.ts';
import { fault, warning, type CheckResult } from './check-results.ts';

export type Variables = Readonly<Record<string, unknown>>;

/** Variables from one place. */
export interface Source {
  /** `the environment`, or the path of a file. */
  readonly name: string;
  readonly variables: Variables;
  /** True for a settings file, whose variables hold against the launcher's. */
  readonly overrides: boolean;
}

const CHECK = 'shadows';
const OTHER_CLOUDS = /^CLAUDE_CODE_USE_(?:BEDROCK|VERTEX|FOUNDRY|MANTLE|ANTHROPIC_AWS|GOOGLE_CLOUD|GATEWAY)$/;
const isOn = (value: string): boolean => /^(?:1|true|yes|on)$/i.test(value);

/** In a settings file they can be numbers and switches as well. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value.trim();
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

/** Judges one variable; null for one that is in nobody's way. */
function judge(name: string, value: string, source: Source, thresholds: Thresholds): CheckResult | null {
  const where = `${name} in ${source.name}`;
  const remove = `remove ${name} from ${source.name}`;
  if (value === '') return null;
  if (name === 'ANTHROPIC_BASE_URL') {
    if (URL.canParse(value) && new URL(value).hostname === API_NAME) return null;
    return fault(CHECK, `${where} sends claude to another address than the API's`, remove);
  }
  if (OTHER_CLOUDS.test(name) && isOn(value)) {
    return fault(CHECK, `${where} makes claude use another cloud, which the proxy does not serve`, remove);
  }
  if ((name === 'DISABLE_AUTO_COMPACT' || name === 'DISABLE_COMPACT') && isOn(value)) {
    return warning(CHECK, `${where} turns compaction off: what the proxy prepares is not asked for`, remove);
  }
  if (name === 'CLAUDE_AUTOCOMPACT_PCT_OVERRIDE') {
    const percent = Number.parseFloat(value);
    if (!(percent > 0) || percent / 100 > thresholds.checkpoint) return null;
    const message = `${where} makes claude compact at ${percent} %, before the checkpoint at ${thresholds.checkpoint * 100} %`;
    // From the environment the launcher tells the proxy; a settings file it does not know.
    return source.overrides ? warning(CHECK, message, `${remove}, or lower DBPROXY_CHECKPOINT_THRESHOLD`) : null;
  }
  if (!source.overrides) return null;
  if (/^https_proxy$/i.test(name))
    return fault(
      CHECK,
      `${where} leads claude past the proxy`,
      `${remove}; the proxy itself takes it from the environment it is started in`,
    );
  if (/^no_proxy$/i.test(name) && bypasses(parseNoProxy(value), { host: API_NAME, port: 443 })) {
    return fault(CHECK, `${where} leads claude past the proxy`, `take ${API_NAME} out of it`);
  }
  if (name === 'NODE_EXTRA_CA_CERTS') {
    return fault(
      CHECK,
      `${where} replaces the certificates that claude is to trust`,
      `${remove}, and set it in the environment instead: the launcher joins both`,
    );
  }
  if (name === 'ANTHROPIC_CUSTOM_HEADERS') {
    return warning(
      CHECK,
      `${where} replaces the headers that carry the settings of a launch`,
      `${remove}, and set it in the environment instead`,
    );
  }
  return null;
}

/** What is in the way, from all sources. */
export function shadows(sources: readonly Source[], thresholds: Thresholds): readonly CheckResult[] {
  return sources.flatMap((source) =>
    Object.entries(source.variables).flatMap(([name, value]) => judge(name, textOf(value), source, thresholds) ?? []),
  );
}
