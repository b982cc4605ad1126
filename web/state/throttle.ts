/** Patches come ten times a second; what is read, and what costs much to draw, is told less often. */

/** Often enough to look alive, seldom enough to be read. */
const INTERVAL_MS = 250;

/**
 * Returns a function that takes patches: the first goes to `take` at once, those that follow within a moment are merged
 * into one.
 */
export function throttleMerging<T>(merge: (before: T, more: T) => T, take: (patch: T) => void): (patch: T) => void {
  let waiting: { readonly patch: T } | null = null;
  let timer: ReturnType<typeof setTimeout> | null = null;
  const flush = (): void => {
    timer = null;
    if (waiting === null) return;
    const { patch } = waiting;
    waiting = null;
    timer = setTimeout(flush, INTERVAL_MS);
    take(patch);
  };
  return (patch) => {
    waiting = { patch: waiting === null ? patch : merge(waiting.patch, patch) };
    if (timer === null) flush();
  };
}
