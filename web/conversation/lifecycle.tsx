/** The four phases in order, the current one highlighted, and what ends each of them. */
import type { JSX } from 'preact';
import type { ConversationView, Phase } from '../contract.ts';
import { percent } from '../format.ts';
import { TimeAgo } from '../components/relative-time.tsx';
import { PhaseIcon } from '../components/icons.tsx';
import { PHASE_CLASS } from '../components/phase-badge.tsx';
import { hello } from '../state/store.ts';
import { PHASE_EXIT, PHASE_MEANING, PHASE_NAME, PHASES } from '../labels.ts';

export function Lifecycle({ view }: { readonly view: ConversationView }): JSX.Element {
  return (
    <div class="lifecycle">
      <ol>
        {PHASES.map((phase) => (
          <li key={phase} class={PHASE_CLASS[phase]} aria-current={phase === view.phase ? 'step' : undefined}>
            <span class="step">
              <PhaseIcon phase={phase} />
              <span>{PHASE_NAME[phase]}</span>
            </span>
            <span class="next-phase muted">
              <span>{exitText(phase)}</span>
            </span>
          </li>
        ))}
      </ol>
      <p class="phase-description muted">
        {meaningText(view)} Started <TimeAgo at={view.phaseSince} past />.
      </p>
    </div>
  );
}

function exitText(phase: Phase): string {
  const { value } = hello;
  if (value === null) return PHASE_EXIT[phase];
  if (phase === 'IDLE') return `at ${percent(value.thresholds.checkpoint)}`;
  if (phase === 'WAL_ACTIVE') return `at ${percent(value.thresholds.swap)}`;
  return PHASE_EXIT[phase];
}

function meaningText(view: ConversationView): string {
  if (view.phase === 'IDLE' && view.call.state === 'given_up') return 'No checkpoint: given up after failed attempts.';
  if (view.phase === 'IDLE' && view.call.state === 'waiting')
    return 'A checkpoint is due; waiting for the next attempt.';
  if (view.phase === 'IDLE' && view.effectiveWindow === 0) return 'Waiting for the end of the first answer.';
  return PHASE_MEANING[view.phase];
}
