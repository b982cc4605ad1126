import type { ReadonlySignal } from '@preact/signals';

/** Subscribes the current render, effect or computed signal to `signal` without using its value. */
export const track = (signal: ReadonlySignal<unknown>): unknown => signal.value;
