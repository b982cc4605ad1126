/** The context in use as a large bar, with its marks listed in tokens. */
import type { JSX } from 'preact';
import type { ConversationView } from '../contract.ts';
import { count, percent } from '../format.ts';
import { ContextBar, contextShare } from '../components/context-bar.tsx';

export function ContextCard({ view }: { readonly view: ConversationView }): JSX.Element {
  const { marks, effectiveWindow: window, used } = view;
  return (
    <div class="context-card">
      <p class="context-value">
        <strong class="number">{window === 0 ? '—' : percent(contextShare(view))}</strong>
        <span class="muted number">
          {window === 0 ? 'known after the first answer' : `${count(used)} of ${count(window)} tokens`}
        </span>
      </p>
      <ContextBar view={view} />
      {marks !== null && (
        <dl class="context-marks">
          <Mark kind="checkpoint-mark" name="checkpoint" at={marks.checkpoint} window={window} />
          <Mark kind="swap-mark" name="swap" at={marks.swap} window={window} />
          <Mark kind="client-mark" name="Claude Code compacts" at={marks.client} window={window} />
        </dl>
      )}
    </div>
  );
}

interface MarkProps {
  readonly kind: string;
  readonly name: string;
  readonly at: number;
  readonly window: number;
}

function Mark({ kind, name, at, window }: MarkProps): JSX.Element {
  return (
    <div>
      <dt>
        <i class={`mark ${kind}`} aria-hidden="true" />
        {name}
      </dt>
      <dd class="number">
        {count(at)} <span class="muted">{window > 0 ? percent(at / window) : ''}</span>
      </dd>
    </div>
  );
}
