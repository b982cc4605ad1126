/**
 * How much room V8 is given before it collects garbage in earnest.
 *
 * Requests of megabytes pass through memory outside V8's heap, and V8 counts that against a limit that follows the size
 * of the heap. The proxy's heap is small: with 4 MB requests V8 marked all of it every fourth request, in threads that
 * take the processor from whoever waits for the bytes (Node 20, `--trace-gc`; docs/performance.md has the figures; Node
 * 24 and later do it more often still, nodejs/node#61967). With a higher limit such memory is freed by the quick
 * collections of young objects alone. Nothing is allocated ahead: it is what may be reached.
 */
import { setFlagsFromString } from 'node:v8';

/** Versions of Node that are known to take the option; others would say on stderr that they do not. */
const NEWEST_KNOWN = 26;

/** What the heap may grow by from what is in use after a whole collection, in percent. */
const GROWTH = 300;

/** The option for this version of Node; null for one that may not know it. */
export const heapOption = (nodeVersion: string): string | null =>
  parseInt(nodeVersion, 10) > NEWEST_KNOWN ? null : `--heap-growing-percent=${GROWTH}`;

/**
 * Gives V8 room from now on. To be called when everything is loaded: with any option changed, on the command line above
 * all, V8 takes the compiled code that Node brings of its own modules for somebody else's, and compiles them again
 * (measured: 25 to 55 ms of the proxy's start).
 */
export function raiseHeapGrowth(): void {
  const option = heapOption(process.versions.node);
  if (option !== null) setFlagsFromString(option);
}
