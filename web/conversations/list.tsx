/** The list of conversations: rows of one line in a wide list, of three in a narrow one. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { VirtualList } from '../components/virtual-list.tsx';
import { conversationSignals } from '../state/store.ts';
import { isOrderPaused, visibleIds } from './order.ts';
import { ConversationRow } from './row.tsx';

/** Heights of a row in pixels, as in the style sheet. */
const HEIGHT = { wide: 46, narrow: 92 } as const;
const MIN_WIDE_PX = 940;

export function ConversationList({ selected }: { readonly selected: string | null }): JSX.Element {
  const container = useRef<HTMLDivElement>(null);
  const hadFocus = useRef(false);
  const layout = useSignal<'wide' | 'narrow'>(
    window.innerWidth >= MIN_WIDE_PX && selected === null ? 'wide' : 'narrow',
  );
  useLayoutEffect(() => {
    const { current } = container;
    if (current === null) return;
    const measure = (): void => {
      if (current.clientWidth === 0) return;
      hadFocus.current = current.contains(document.activeElement);
      layout.value = current.clientWidth >= MIN_WIDE_PX ? 'wide' : 'narrow';
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(current);
    return () => observer.disconnect();
  }, []);
  // Another layout renders new rows; a list that had the focus keeps it, at the selected row.
  useLayoutEffect(() => {
    if (hadFocus.current)
      container.current?.querySelector<HTMLElement>('[aria-current]')?.focus({ preventScroll: true });
  }, [layout.value]);
  const { value: ids } = visibleIds;
  const { value: conversations } = conversationSignals;
  return (
    <div ref={container} class={`list ${layout.value}`}>
      {layout.value === 'wide' && <ListHeader />}
      <VirtualList
        key={layout.value}
        label="Conversations, the most recently active first"
        count={ids.length}
        height={HEIGHT[layout.value]}
        onInteraction={(active) => (isOrderPaused.value = active)}
        row={(index) => {
          const id = ids[index] ?? '';
          const view = conversations.get(id);
          if (view === undefined) return null;
          return <ConversationRow key={id} view={view} selected={id === selected} index={index} total={ids.length} />;
        }}
      />
    </div>
  );
}

/** The column titles. Hidden from screen readers, since every row labels its own values. */
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
