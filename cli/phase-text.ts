/** Colours of the phases in a terminal; numbers and durations are formatted by web/format.ts. */
import type pc from 'picocolors';
import type { Phase } from '../machines/phases.ts';

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
