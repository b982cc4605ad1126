/** For what follows a signal without looking at its value. */
import type { ReadonlySignal } from '@preact/signals';

/** Whoever is being drawn or computed now is so again when `signal` changes. */
export const track = (signal: ReadonlySignal<unknown>): unknown => signal.value;
