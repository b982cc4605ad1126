/** A phase as colour, icon and word: colour alone is not accessible. */
import type { JSX } from 'preact';
import type { Phase } from '../contract.ts';
import { PHASE_MEANING, PHASE_NAME } from '../labels.ts';
import { PhaseIcon } from './icons.tsx';

export const PHASE_CLASS: Readonly<Record<Phase, string>> = {
  IDLE: 'idle',
  CHECKPOINTING: 'checkpointing',
  WAL_ACTIVE: 'wal',
  SWAP_READY: 'swap',
};

export function PhaseBadge({ phase }: { readonly phase: Phase }): JSX.Element {
  return (
    <span class={`phase ${PHASE_CLASS[phase]}`} title={PHASE_MEANING[phase]}>
      <PhaseIcon phase={phase} />
      {PHASE_NAME[phase]}
    </span>
  );
}
