/** Clocks. What is shown and kept goes by the wall clock, which may be set at any time; what expires must not. */
import { performance } from 'node:perf_hooks';
import { timestamp, type Timestamp } from '../machines/units.ts';

/** The wall clock as it was at the start, going on from there evenly, whatever is done to the wall clock meanwhile. */
export function monotonicClock(): () => Timestamp {
  const began = Date.now() - performance.now();
  return () => timestamp(Math.round(began + performance.now()));
}
