/** Figures as people read them in a terminal. Pure. */
import type pc from 'picocolors';
import type { Phase } from '../machines/phases.ts';

/** `850 ms`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`: the two largest units. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 1_000);
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  const shown = parts.slice(first, first + 2).filter(([amount]) => amount > 0);
  return shown.map(([amount, unit]) => `${amount} ${unit}`).join(' ');
}

/** `1 fault`, `2 faults`. */
export const manyText = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;

/** `850`, `9.3k`, `152k`, `1.2M`: three digits at most, as long as they mean something. */
export function countText(count: number): string {
  if (count < 1_000) return String(count);
  // What would be rounded to 1,000k is 1M.
  const [unit, name] = count < 999_500 ? ([1_000, 'k'] as const) : ([1_000_000, 'M'] as const);
  const value = count / unit;
  return `${value < 99.95 ? value.toFixed(1).replace(/\.0$/, '') : Math.round(value)}${name}`;
}

const WIDTH = 'CHECKPOINTING'.length + 1;

export function phaseText(phase: Phase, c: ReturnType<typeof pc.createColors>): string {
  const text = phase.padEnd(WIDTH);
  switch (phase) {
    case 'IDLE':
      return c.dim(text);
    case 'CHECKPOINTING':
      return c.yellow(text);
    case 'WAL_ACTIVE':
    case 'SWAP_READY':
      return c.green(text);
  }
}
