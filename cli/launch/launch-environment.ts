/** The environment that `claude` is started with so that it goes through the proxy. Pure. */
import type { Environment } from '../../src/config/config.ts';
import { API_NAME } from '../../src/certificates/names.ts';
import { bypasses, parseNoProxy } from '../../src/upstream/no-proxy.ts';
import { LAUNCH_HEADERS } from '../../src/wire/launch-settings.ts';

export interface ThroughProxy {
  /** `http://127.0.0.1:8080` */
  readonly proxyUrl: string;
  /** Our CA, together with what the user trusts beside the built-in ones. */
  readonly caFile: string;
  /** Share of the window at which the client is to compact, in (0, 1). */
  readonly swap: number;
}

const LOOPBACK = ['localhost', '127.0.0.1', '::1'];
const API = { host: API_NAME, port: 443 };

const valueOf = (env: Environment, name: string): string => env[name]?.trim() ?? '';

/** The lower-case name wins, as on the way out (src/upstream/outbound-proxy.ts). */
const eitherCase = (env: Environment, name: string): string => valueOf(env, name.toLowerCase()) || valueOf(env, name);

/**
 * `NO_PROXY` for the client: what the user has, and the loopback. Entries that would lead the client past us to the API
 * are left out; the proxy has the whole list itself, and goes by it on the way out.
 */
export function noProxyFor(value: string): string {
  const entries = value.split(/[\s,]+/).filter((entry) => entry !== '' && !bypasses(parseNoProxy(entry), API));
  return [...entries, ...LOOPBACK.filter((entry) => !entries.includes(entry))].join(',');
}

/** `ANTHROPIC_CUSTOM_HEADERS`: the user's own, and the settings of this launch (src/wire/launch-settings.ts). */
export function customHeadersFor(env: Environment): string | undefined {
  const own = env['ANTHROPIC_CUSTOM_HEADERS'];
  const ours = LAUNCH_HEADERS.flatMap(([variable, header]) => {
    // One line each: a value with a line break in it would be a header of somebody's own making.
    const [value = ''] = valueOf(env, variable).split(/[\r\n]/);
    return value === '' ? [] : [`${header}: ${value}`];
  });
  if (ours.length === 0) return own;
  return [...(own === undefined || own.trim() === '' ? [] : [own.trimEnd()]), ...ours].join('\n');
}

/** In per cent, as the client reads it. */
const percentOf = (share: number): string => String(Math.round(share * 10_000) / 100);

/** What is to be set beside everything that the user's environment holds. */
export function launchEnvironment(env: Environment, through: ThroughProxy): Record<string, string> {
  const noProxy = noProxyFor(eitherCase(env, 'NO_PROXY'));
  const headers = customHeadersFor(env);
  const override = valueOf(env, 'CLAUDE_AUTOCOMPACT_PCT_OVERRIDE');
  return {
    HTTPS_PROXY: through.proxyUrl,
    https_proxy: through.proxyUrl,
    NO_PROXY: noProxy,
    no_proxy: noProxy,
    NODE_EXTRA_CA_CERTS: through.caFile,
    CLAUDE_CODE_GATEWAY_HINT_HEADERS: '1',
    ...(override === '' ? { CLAUDE_AUTOCOMPACT_PCT_OVERRIDE: percentOf(through.swap) } : {}),
    ...(headers === undefined ? {} : { ANTHROPIC_CUSTOM_HEADERS: headers }),
  };
}
