/** The most important totals, in one line above the list. */
import type { JSX } from 'preact';
import { count, duration } from '../format.ts';
import { totals } from '../state/store.ts';

export function Headline(): JSX.Element | null {
  const { value } = totals;
  if (value === null) return null;
  const { checkpoints, compactions } = value;
  return (
    <dl class="headline">
      <div class="hero">
        <dt>time saved</dt>
        <dd>{duration(value.savedMs)}</dd>
      </div>
      <div>
        <dt>compactions served</dt>
        <dd>{count(compactions.served)}</dd>
      </div>
      <div>
        <dt>checkpoints ready</dt>
        <dd>{count(checkpoints.held)}</dd>
      </div>
      <div class="secondary">
        <dt>checkpoints running</dt>
        <dd>{count(checkpoints.running)}</dd>
      </div>
      <div class="secondary">
        <dt>requests</dt>
        <dd>{count(value.requests)}</dd>
      </div>
    </dl>
  );
}
