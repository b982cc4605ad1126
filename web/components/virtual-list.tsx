/**
 * A long list of rows of one height, of which only those in sight are drawn, so that thousands cost what twenty do.
 * Arrow keys walk through it, Home and End jump; what a row does on Enter is its own affair (a link, a button).
 */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

/** Rows drawn above and below what can be seen. */
const OVERSCAN = 6;
/** As near to the end as this is at the end. */
const END_PX = 24;

export interface VirtualListProps {
  readonly label: string;
  readonly count: number;
  readonly height: number;
  /** Draws `<li>` with one focusable element that carries `data-row={index}`. Gives its key along. */
  readonly row: (index: number) => JSX.Element | null;
  /** Stay at the end while the list grows, as long as nobody has scrolled away from it. */
  readonly stickToEnd?: boolean;
  /** Bring this row into sight whenever it changes. */
  readonly reveal?: number | null;
  /** Somebody points at rows or walks through them, or does so no longer. */
  readonly onInteraction?: (held: boolean) => void;
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

  const walk = (event: KeyboardEvent): void => {
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
      class="rows"
      onScroll={({ currentTarget: it }) => {
        top.value = it.scrollTop;
        atEnd.current = it.scrollHeight - it.scrollTop - it.clientHeight < END_PX;
      }}
      onMouseMove={() => onInteraction?.(true)}
      onMouseLeave={() => onInteraction?.(false)}
      onFocusIn={() => onInteraction?.(true)}
      onFocusOut={() => onInteraction?.(false)}
      onKeyDown={walk}
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

/** Where a key leads from row `at`, or null when it leads nowhere. Pure. */
export function targetRow(key: string, at: number, page: number, last: number): number | null {
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
  const wanted = to[key];
  return wanted === undefined ? null : Math.max(0, Math.min(last, wanted));
}

function scrollToRow(scroller: HTMLElement, at: number, height: number): void {
  const above = at * height;
  if (above < scroller.scrollTop) scroller.scrollTop = above;
  else if (above + height > scroller.scrollTop + scroller.clientHeight) {
    scroller.scrollTop = above + height - scroller.clientHeight;
  }
}
