/** Reads histories in slices, so that one of megabytes never holds up the bytes of another conversation. */
import { performance } from 'node:perf_hooks';
import { setImmediate as nextRound } from 'node:timers/promises';
import { lineageSteps, type Lineage } from '../wire/lineage.ts';
import type { History } from '../wire/message-request.ts';

/** How long a slice may hold the event loop, in milliseconds. */
const SLICE_MS = 3;

/** The chain over a history; null when a message is of no known shape. Pauses for the event loop every few milliseconds. */
export async function readLineage(history: History): Promise<Lineage | null> {
  const steps = lineageSteps(history);
  let began = performance.now();
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (performance.now() - began < SLICE_MS) continue;
    await nextRound();
    began = performance.now();
  }
}
