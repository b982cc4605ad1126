/** What a process holds open, counted by kind: whatever a scenario opened has to be gone after it. */

/** Counts by the names that Node gives them. */
export interface Handles {
  readonly sockets: number;
  readonly servers: number;
  readonly timers: number;
}

/** This process now. */
export function handles(): Handles {
  const names = process.getActiveResourcesInfo();
  const count = (wanted: string): number => names.filter((name) => name === wanted).length;
  return { sockets: count('TCPSocketWrap'), servers: count('TCPServerWrap'), timers: count('Timeout') };
}

/** Resolves as soon as `holds` does; rejects with what `otherwise` says after `ms`. */
export async function eventually(holds: () => boolean, otherwise: () => string, ms = 5_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`${otherwise()} (waited ${ms} ms)`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
