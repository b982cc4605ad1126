/**
 * Selects the variables of the user's environment that are passed to the proxy, which may outlive the shell that starts it.
 */
import type { Environment } from '../src/config/config.ts';

/** Variables for the outbound connections; proxies in either case of letters. */
const OUTBOUND = /^(?:https?_proxy|no_proxy|node_extra_ca_certs)$/i;
/** Settings of the launcher, or set by the process that starts the proxy. */
const NOT_PASSED = new Set(['DBPROXY_RUNTIME', 'DBPROXY_DATA_DIR', 'DBPROXY_PROXY_PORT', 'DBPROXY_DASHBOARD_PORT']);

/** Settings and the variables for outbound connections, where they are not empty. */
export function variablesForProxy(env: Environment): Record<string, string> {
  const passed = Object.entries(env).filter(
    ([name, value]) =>
      value !== undefined &&
      value !== '' &&
      ((name.startsWith('DBPROXY_') && !NOT_PASSED.has(name)) || OUTBOUND.test(name)),
  );
  return Object.fromEntries(passed) as Record<string, string>;
}
