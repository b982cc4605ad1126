/** Ports for a proxy that is about to be started: the ones asked for, else the next free ones. */
import { connect, createServer } from 'node:net';
import type { Ports } from '../installation.ts';

/** How far from a port that is taken the next free one is looked for, before any free one will do. */
const NEIGHBOURS = 50;
/** Loopback answers at once, however busy the machine: whoever says nothing for so long has taken the connection. */
const PROBE_MS = 3_000;

/** True when somebody accepts connections there, be it on all addresses. */
function isAnswered(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: PROBE_MS });
    const end = (answered: boolean) => (): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', end(true)).once('error', end(false)).once('timeout', end(true));
  });
}

/** The port that could be bound (`port`, or any where that is 0); null where it is taken. */
function bindable(host: string, port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(null));
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      const bound = typeof address === 'object' && address !== null ? address.port : null;
      server.close(() => resolve(bound));
    });
  });
}

/** True when a proxy could listen there. macOS lets a port be bound beside one on all addresses: hence both questions. */
export async function isFree(host: string, port: number): Promise<boolean> {
  return (await bindable(host, port)) !== null && !(await isAnswered(host, port));
}

async function freePort(
  host: string,
  first: readonly number[],
  wanted: number,
  but: ReadonlySet<number>,
): Promise<number> {
  const next = Array.from({ length: wanted === 0 ? 0 : NEIGHBOURS }, (_, at) => wanted + at);
  for (const port of [...first, ...next]) {
    if (port > 0 && port <= 65_535 && !but.has(port) && (await isFree(host, port))) return port;
  }
  for (;;) {
    const port = await bindable(host, 0);
    if (port === null) throw new Error(`no port of ${host} can be listened on`);
    if (!but.has(port)) return port;
  }
}

/**
 * Finds free ports.
 *
 * @param wanted what the settings ask for; 0: any
 * @param remembered those of the last time, where they were chosen for the same wishes: they come first
 * @param but ports that turned out to be taken
 * @throws Error where nothing at all can be listened on
 */
export async function freePorts(
  host: string,
  wanted: Ports,
  remembered: Ports | null,
  but: ReadonlySet<number>,
): Promise<Ports> {
  const first = (port: number | undefined): readonly number[] => (port === undefined ? [] : [port]);
  const proxy = await freePort(host, first(remembered?.proxy), wanted.proxy, but);
  const others = new Set([...but, proxy, wanted.proxy]);
  const dashboard = await freePort(host, first(remembered?.dashboard), wanted.dashboard, others);
  return { proxy, dashboard };
}
