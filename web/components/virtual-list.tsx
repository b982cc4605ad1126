/**
 * A virtualized list of rows of one height: only the visible rows are rendered. Arrow keys, page keys, Home and End
 * move the focus; each row handles Enter itself, as a link or a button.
 */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

/** Rows rendered above and below the visible ones. */
const OVERSCAN = 6;
/** The list counts as scrolled to its end within this distance. */
const END_PX = 24;

export interface VirtualListProps {
  readonly label: string;
  readonly count: number;
  readonly height: number;
  /** Renders a keyed `<li>` with one focusable element that has `data-row={index}`. */
  readonly row: (index: number) => JSX.Element | null;
  /** Keeps the list at its end while it grows, until the user scrolls away from it. */
  readonly stickToEnd?: boolean;
  /** Scrolls to this row whenever the number changes. */
  readonly reveal?: number | null;
  /** Called with true while the pointer or the focus is in the list, and with false afterwards. */
  readonly onInteraction?: (active: boolean) => void;
}

export function VirtualList({
  label,
  count,
  height,
  row,
  stickToEnd = false,
  reveal = null,
  onInteraction,
}: VirtualListProps): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const top = useSignal(0);
  const visible = useSignal(0);

  useLayoutEffect(() => {
    const { current } = scroller;
    if (current === null) return;
    const observer = new ResizeObserver(() => (visible.value = current.clientHeight));
    observer.observe(current);
    visible.value = current.clientHeight;
    return () => {
      observer.disconnect();
      onInteraction?.(false);
    };
  }, []);
  useLayoutEffect(() => {
    const { current } = scroller;
    if (current !== null && stickToEnd && atEnd.current) current.scrollTop = current.scrollHeight;
  }, [count, stickToEnd]);
  useLayoutEffect(() => {
    if (reveal !== null && scroller.current !== null) scrollToRow(scroller.current, reveal, height);
  }, [reveal, height]);

  const first = Math.max(0, Math.min(count, Math.floor(top.value / height)) - OVERSCAN);
  const last = Math.min(count, Math.ceil((top.value + visible.value) / height) + OVERSCAN);
  const rows: (JSX.Element | null)[] = [];
  for (let index = first; index < last; index += 1) rows.push(row(index));

  const onKeyDown = (event: KeyboardEvent): void => {
    const at = rowOf(event.target);
    const { current } = scroller;
    if (at === null || current === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(visible.value / height) - 1);
    const to = targetRow(event.key, at, page, count - 1);
    if (to === null) return;
    event.preventDefault();
    scrollToRow(current, to, height);
    requestAnimationFrame(() => {
      current.querySelector<HTMLElement>(`[data-row="${to}"]`)?.focus({ preventScroll: true });
    });
  };

  return (
    <div
      ref={scroller}
      class="virtual-list"
      onScroll={({ currentTarget: it }) => {
        top.value = it.scrollTop;
        atEnd.current = it.scrollHeight - it.scrollTop - it.clientHeight < END_PX;
      }}
      onMouseMove={() => onInteraction?.(true)}
      onMouseLeave={() => onInteraction?.(false)}
      onFocusIn={() => onInteraction?.(true)}
      onFocusOut={() => onInteraction?.(false)}
      onKeyDown={onKeyDown}
    >
      <ol aria-label={label} style={{ paddingTop: `${first * height}px`, height: `${count * height}px` }}>
        {rows}
      </ol>
    </div>
  );
}

function rowOf(target: EventTarget | null): number | null {
  const row = target instanceof Element ? target.closest<HTMLElement>('[data-row]') : null;
  return row === null ? null : Number(row.dataset['row']);
}

/** The row that a key moves to from row `at`; null for other keys. Pure. */
function targetRow(key: string, at: number, page: number, last: number): number | null {
  const to: Readonly<Record<string, number>> = {
    ArrowDown: at + 1,
    ArrowUp: at - 1,
    j: at + 1,
    k: at - 1,
    PageDown: at + page,
    PageUp: at - page,
    Home: 0,
    End: last,
  };
  const target = to[key];
  return target === undefined ? null : Math.max(0, Math.min(last, target));
}

function scrollToRow(scroller: HTMLElement, at: number, height: number): void {
  const above = at * height;
  if (above < scroller.scrollTop) scroller.scrollTop = above;
  else if (above + height > scroller.scrollTop + scroller.clientHeight) {
    scroller.scrollTop = above + height - scroller.clientHeight;
  }
}
