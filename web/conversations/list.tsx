/** The list of conversations, in one line each where there is room and in three where not. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { VirtualList } from '../components/virtual-list.tsx';
import { conversationSignals } from '../state/store.ts';
import { isOrderPaused, visibleIds } from './order.ts';
import { ConversationRow } from './row.tsx';

/** Heights of a row, as in the style sheet. */
const HEIGHT = { wide: 46, narrow: 92 } as const;
const WIDE_FROM = 940;

export function ConversationList({ selected }: { readonly selected: string | null }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const hadFocus = useRef(false);
  const form = useSignal<'wide' | 'narrow'>(window.innerWidth >= WIDE_FROM && selected === null ? 'wide' : 'narrow');
  useLayoutEffect(() => {
    const { current } = place;
    if (current === null) return;
    const measure = (): void => {
      if (current.clientWidth === 0) return;
      hadFocus.current = current.contains(document.activeElement);
      form.value = current.clientWidth >= WIDE_FROM ? 'wide' : 'narrow';
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(current);
    return () => observer.disconnect();
  }, []);
  // The rows of another form are new ones; who walked through the list goes on at the one that was chosen.
  useLayoutEffect(() => {
    if (hadFocus.current) place.current?.querySelector<HTMLElement>('[aria-current]')?.focus({ preventScroll: true });
  }, [form.value]);
  const { value: ids } = visibleIds;
  const { value: known } = conversationSignals;
  return (
    <div ref={place} class={`list ${form.value}`}>
      {form.value === 'wide' && <ListHeader />}
      <VirtualList
        key={form.value}
        label="Conversations, the most recently active first"
        count={ids.length}
        height={HEIGHT[form.value]}
        onInteraction={(hold) => (isOrderPaused.value = hold)}
        row={(index) => {
          const id = ids[index] ?? '';
          const view = known.get(id);
          if (view === undefined) return null;
          return <ConversationRow key={id} view={view} selected={id === selected} place={index + 1} of={ids.length} />;
        }}
      />
    </div>
  );
}

/** Over the columns, for the eye: what is read out names its figures itself. */
const ListHeader = (): JSX.Element => (
  <div class="list-head" aria-hidden="true">
    <span>Conversation</span>
    <span>Phase</span>
    <span>Model</span>
    <span>Context</span>
    <span>Messages</span>
    <span>Age</span>
    <span>Active</span>
  </div>
);
