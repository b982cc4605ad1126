/** One conversation in the list, bound to its own signal so that a change renders only this row. */
import type { Signal } from '@preact/signals';
import type { JSX } from 'preact';
import { memo } from 'preact/compat';
import type { ConversationView } from '../contract.ts';
import { count, percent, short } from '../format.ts';
import { TimeAgo } from '../components/relative-time.tsx';
import { ContextBar, contextShare } from '../components/context-bar.tsx';
import { PhaseBadge } from '../components/phase-badge.tsx';
import { routeUrl } from '../state/route-url.ts';

interface RowProps {
  readonly view: Signal<ConversationView>;
  readonly selected: boolean;
  /** Position in the whole list, of which only a part is rendered. */
  readonly index: number;
  readonly total: number;
}

export const ConversationRow = memo(function Row({ view, selected, index, total }: RowProps): JSX.Element {
  const { value: it } = view;
  return (
    <li class="row" aria-setsize={total} aria-posinset={index + 1}>
      <a
        href={routeUrl({ page: 'conversations', id: it.id })}
        aria-current={selected ? 'true' : undefined}
        data-row={index}
      >
        <span class="row-name">
          <strong>{it.name.text}</strong>
          {it.kind === 'subagent' && <span class="tag">subagent</span>}
          {it.name.words !== null && it.name.from !== 'words' && <span class="muted first-words">{it.name.words}</span>}
        </span>
        <span class="row-phase">
          <PhaseBadge phase={it.phase} />
          {it.call.failure !== null && <span class="failing-badge">failing</span>}
        </span>
        <span class="row-model muted">{it.model?.replace(/^claude-/, '') ?? '—'}</span>
        <span class="row-context">
          <ContextBar view={it} />
          <span class="number row-share" aria-hidden="true">
            {it.effectiveWindow === 0 ? '—' : percent(contextShare(it))}
          </span>
          <span class="number muted row-used" aria-hidden="true">
            {it.effectiveWindow === 0 ? '' : short(it.used)}
          </span>
        </span>
        <span class="row-messages number">
          {count(it.messages)}
          <span class="unit"> {it.messages === 1 ? 'message' : 'messages'}</span>
        </span>
        <span class="row-age number muted">
          <span class="visually-hidden">started </span>
          <TimeAgo at={it.created} />
        </span>
        <span class="row-activity number">
          <span class="visually-hidden">last active </span>
          <TimeAgo at={it.lastActivity} />
        </span>
      </a>
    </li>
  );
});
