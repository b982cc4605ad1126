/**
 * How much room V8 is given before it collects garbage in earnest.
 *
 * Requests of megabytes pass through memory outside V8's heap, and V8 counts that against a limit that follows the size
 * of the heap. The proxy's heap is small: with 4 MB requests V8 marked all of it every fourth request, in threads that
 * take the processor from whoever waits for the bytes (Node 20, `--trace-gc`; docs/performance.md has the figures; Node
 * 24 and later do it more often still, nodejs/node#61967). With a floor below that limit such memory is freed by the
 * quick collections of young objects alone. Nothing is allocated ahead: the floor is what may be reached.
 */

/** Versions of Node that are known to take the option; a V8 that does not know it would end at once. */
const NEWEST_KNOWN = 26;

/** In megabytes. */
const FLOOR = 96;

/** Options of Node for the process that the proxy runs in. The image's entry point (Dockerfile) says the same. */
export function heapOptions(nodeVersion = process.versions.node): readonly string[] {
  return parseInt(nodeVersion, 10) > NEWEST_KNOWN ? [] : [`--initial-old-space-size=${FLOOR}`];
}
