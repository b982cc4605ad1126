/** Throttles patches, which arrive ten times a second, for content that is read or expensive to render. */
const INTERVAL_MS = 250;

/**
 * Returns a function that passes the first patch to `apply` immediately, and merges those that follow within the
 * interval into one.
 */
export function throttleMerging<T>(merge: (before: T, more: T) => T, apply: (patch: T) => void): (patch: T) => void {
  let pending: { readonly patch: T } | null = null;
  let timer: ReturnType<typeof setTimeout> | null = null;
  const flush = (): void => {
    timer = null;
    if (pending === null) return;
    const { patch } = pending;
    pending = null;
    timer = setTimeout(flush, INTERVAL_MS);
    apply(patch);
  };
  return (patch) => {
    pending = { patch: pending === null ? patch : merge(pending.patch, patch) };
    if (timer === null) flush();
  };
}
