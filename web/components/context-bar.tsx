/** A bar of the context in use, with marks for the two thresholds and the client's own compaction point. */
import type { JSX } from 'preact';
import type { ConversationView } from '../contract.ts';
import { count, percent } from '../format.ts';
import { PHASE_CLASS } from './phase-badge.tsx';

/** Share of the effective window in use; 0 while the window is unknown. */
export const contextShare = ({ used, effectiveWindow }: Pick<ConversationView, 'used' | 'effectiveWindow'>): number =>
  effectiveWindow > 0 ? used / effectiveWindow : 0;

const markPosition = (at: number, window: number): { left: string } => ({
  left: `${Math.min(100, (100 * at) / window)}%`,
});

export function ContextBar({ view }: { readonly view: ConversationView }): JSX.Element {
  const { used, effectiveWindow: window, marks, phase } = view;
  const text =
    window === 0 ? 'not known yet' : `${count(used)} of ${count(window)} tokens, ${percent(contextShare(view))}`;
  return (
    <div
      class={`context-bar ${PHASE_CLASS[phase]}`}
      role="meter"
      aria-label="Context in use"
      aria-valuemin={0}
      aria-valuemax={window === 0 ? 1 : window}
      aria-valuenow={Math.min(used, window === 0 ? 1 : window)}
      aria-valuetext={text}
      title={text}
    >
      <div class="context-track">
        <div class="context-fill" style={{ transform: `scaleX(${Math.min(1, contextShare(view))})` }} />
      </div>
      {marks !== null && window > 0 && (
        <>
          <i class="mark checkpoint-mark" style={markPosition(marks.checkpoint, window)} />
          <i class="mark swap-mark" style={markPosition(marks.swap, window)} />
          <i class="mark client-mark" style={markPosition(marks.client, window)} />
        </>
      )}
    </div>
  );
}
