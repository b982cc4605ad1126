/** The proxy in a process of its own, which tells on request how it is: lag of its event loop, memory, handles. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { raiseHeapGrowth } from '../../cli/v8-heap-growth.ts';
import { parseConfig } from '../../src/config/config.ts';
import { silentLog } from '../../src/log.ts';
import { startProxy } from '../../src/proxy.ts';

export interface ProxyStats {
  /** Longest and 99th percentile of the event loop's delay since the last question, in milliseconds. */
  readonly lagP99: number;
  readonly lagMax: number;
  /** Heap and external memory in use after a collection, in bytes. */
  readonly memory: number;
  readonly rss: number;
  readonly conversations: number;
  readonly handles: number;
}

const proxy = await startProxy({ config: parseConfig(process.env), log: silentLog });
await proxy.preloaded;
raiseHeapGrowth();
/** Watched from the first question on: it takes a thousand wake-ups a second, which nobody else's figures are to feel. */
const lag = monitorEventLoopDelay({ resolution: 1 });

function stats(): ProxyStats {
  lag.enable();
  const lagP99 = lag.percentile(99) / 1e6;
  const lagMax = lag.max / 1e6;
  globalThis.gc?.();
  globalThis.gc?.();
  const { arrayBuffers, external, heapUsed, rss } = process.memoryUsage();
  lag.reset();
  return {
    lagP99,
    lagMax,
    memory: heapUsed + Math.max(external, arrayBuffers),
    rss,
    conversations: proxy.conversations.actors.size,
    handles: process.getActiveResourcesInfo().length,
  };
}

process.on('message', (question) => {
  if (question === 'stats') process.send?.({ stats: stats() });
});
process.on('SIGTERM', () => {
  void proxy.stop().then(() => process.exit(0));
});
process.send?.({ ports: proxy.ports, caPath: proxy.caPath });
