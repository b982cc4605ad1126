/**
 * The signal that ends `serve`. Listened for before anything else of it is loaded: as process 1 of a container, a signal
 * that nobody listens to yet is not delivered at all, and the engine would wait for ten seconds in vain.
 */

/** Resolves with the first SIGINT or SIGTERM from now on. A second one ends the process at once. */
export function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let told = false;
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (told) process.exit(1);
        told = true;
        resolve(signal);
      });
    }
  });
}
