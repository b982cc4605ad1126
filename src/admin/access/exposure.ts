/** What is said, loudly, when the listeners are open to other machines. Pure. */
import { isLoopback } from '../../net/addresses.ts';

/** One line about listeners on `address`; null where only this machine reaches them. */
export function exposure(address: string, ports: readonly number[]): string | null {
  if (isLoopback(address)) return null;
  return (
    `WARNING: listening on ${address}, not only for this machine. Whoever reaches the ports ${ports.join(' and ')} can ` +
    'open tunnels from here, send requests to the API with a key of their own, be answered from a checkpoint of a ' +
    'history that they know, and read /health; the dashboard still needs its token. ' +
    'Unless a firewall or a container keeps others out, unset DBPROXY_HOST'
  );
}
