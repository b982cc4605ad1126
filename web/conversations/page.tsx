/** All conversations and, beside them, the open one; on a narrow screen only one of the two. */
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { ConversationPage } from '../conversation/page.tsx';
import type { Phase } from '../contract.ts';
import { Headline } from '../statistics/headline.tsx';
import { count, plural } from '../format.ts';
import { PHASE_CLASS } from '../components/phase-badge.tsx';
import { SearchField } from '../components/search-field.tsx';
import { connection } from '../state/connection.ts';
import { isListLoaded, phaseCounts, totalConversations } from '../state/store.ts';
import { PHASE_NAME, PHASES } from '../labels.ts';
import { ConversationList } from './list.tsx';
import { EmptyState } from './empty-state.tsx';
import { isFiltered, isOrderPaused, phaseFilter, searchInput, visibleIds } from './order.ts';

export function ConversationsPage({ id }: { readonly id: string | null }): JSX.Element {
  return (
    <div class={id === null ? 'split' : 'split open'}>
      <section class="split-list" aria-label="Conversations">
        <h1 class="visually-hidden">Conversations</h1>
        <ListPane selected={id} />
      </section>
      {id !== null && (
        <section class="split-detail" aria-label="Conversation">
          <ConversationPage key={id} id={id} />
        </section>
      )}
    </div>
  );
}

function ListPane({ selected }: { readonly selected: string | null }): JSX.Element {
  if (!isListLoaded.value)
    return connection.value.state === 'live' ? <p class="empty muted">Loading …</p> : <NotConnected />;
  if (totalConversations.value === 0) return <EmptyState />;
  return (
    <>
      <Headline />
      <ListTools />
      {visibleIds.value.length === 0 ? <NoMatches /> : <ConversationList selected={selected} />}
    </>
  );
}

function ListTools(): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      const typing = event.target instanceof HTMLElement && event.target.matches('input, textarea, select');
      if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      input.current?.select();
    };
    document.addEventListener('keydown', onKeyDown);
    return () => document.removeEventListener('keydown', onKeyDown);
  }, []);
  return (
    <div class="toolbar list-tools">
      <SearchField label="Search conversations by name, model, phase or id" text={searchInput} inputRef={input}>
        <kbd aria-hidden="true">/</kbd>
      </SearchField>
      <div class="phase-filter" role="group" aria-label="Show phases">
        {PHASES.map((phase) => (
          <button
            key={phase}
            type="button"
            class={`chip ${PHASE_CLASS[phase]}`}
            aria-pressed={phaseFilter.value.has(phase)}
            onClick={() => toggle(phase)}
          >
            {PHASE_NAME[phase]} <span class="number">{count(phaseCounts.value[phase])}</span>
          </button>
        ))}
      </div>
      <p class="muted list-count" role="status">
        {isFiltered.value
          ? `${count(visibleIds.value.length)} of ${plural(totalConversations.value, 'conversation')}`
          : plural(totalConversations.value, 'conversation')}
        <span aria-hidden="true">{isOrderPaused.value ? ' · order paused' : ''}</span>
      </p>
    </div>
  );
}

function toggle(phase: Phase): void {
  const next = new Set(phaseFilter.value);
  if (!next.delete(phase)) next.add(phase);
  phaseFilter.value = next;
}

function NoMatches(): JSX.Element {
  return (
    <div class="empty">
      <h2>No conversation matches</h2>
      <p>The search covers names, first words, folders, models, phases and ids.</p>
      <p>
        <button
          type="button"
          class="button"
          onClick={() => {
            searchInput.value = '';
            phaseFilter.value = new Set();
          }}
        >
          Show all
        </button>
      </p>
    </div>
  );
}

function NotConnected(): JSX.Element {
  return (
    <div class="empty">
      <h2>
        {connection.value.state === 'connecting' && connection.value.failed ? 'Proxy not reachable' : 'Connecting …'}
      </h2>
      <p>Conversations appear here as soon as the proxy answers, without a reload.</p>
    </div>
  );
}
