/**
 * What of the user's environment reaches the proxy. The proxy may outlive the shell that started it, and in a container it
 * sees nothing but this.
 */
import type { Environment } from '../src/config/config.ts';

/** What the user's network needs on the way out; names of proxies in either case. */
const FOR_THE_WAY_OUT = /^(?:https?_proxy|no_proxy|node_extra_ca_certs)$/i;
/** Settings of the launcher, or decided by whoever starts the proxy. */
const NOT_PASSED = new Set(['DBPROXY_RUNTIME', 'DBPROXY_DATA_DIR', 'DBPROXY_PROXY_PORT', 'DBPROXY_DASHBOARD_PORT']);

/** The variables for a proxy that is started from an environment: settings and the way out, nothing else. */
export function variablesForProxy(env: Environment): Record<string, string> {
  const passed = Object.entries(env).filter(
    ([name, value]) =>
      value !== undefined &&
      value !== '' &&
      ((name.startsWith('DBPROXY_') && !NOT_PASSED.has(name)) || FOR_THE_WAY_OUT.test(name)),
  );
  return Object.fromEntries(passed) as Record<string, string>;
}
