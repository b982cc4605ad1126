/**
 * Which conversations the list shows, and in what order. The list is sorted by activity once a second, except while the
 * user points at it or navigates in it.
 */
import { computed, effect, signal, untracked } from '@preact/signals';
import type { Phase } from '../contract.ts';
import { track } from '../state/track.ts';
import { activityVersion, conversationSignals, searchVersion } from '../state/store.ts';
import { wordsOf } from '../text-search.ts';
import { matches } from './search.ts';

const SORT_INTERVAL_MS = 1_000;

export const searchInput = signal('');
/** The phases shown; empty: all. */
export const phaseFilter = signal<ReadonlySet<Phase>>(new Set());
/** The pointer or the focus is in the list. */
export const isOrderPaused = signal(false);

export const isFiltered = computed(() => searchInput.value.trim() !== '' || phaseFilter.value.size > 0);

/** All ids, the most recently active first, as of the last update. */
const order = signal<readonly string[]>([]);

function updateOrder(): void {
  const ids = [...conversationSignals.peek()]
    .map(([id, view]) => ({ id, at: view.peek().lastActivity }))
    .sort((a, b) => b.at - a.at || (a.id < b.id ? -1 : 1))
    .map(({ id }) => id);
  const before = order.peek();
  if (ids.length !== before.length || ids.some((id, at) => id !== before[at])) order.value = ids;
}

let timer: ReturnType<typeof setTimeout> | null = null;

effect(() => {
  track(activityVersion);
  if (isOrderPaused.value || timer !== null) return;
  timer = setTimeout(() => {
    timer = null;
    if (!isOrderPaused.peek()) untracked(updateOrder);
  }, SORT_INTERVAL_MS);
});

// Added and removed conversations show immediately.
effect(() => {
  track(conversationSignals);
  untracked(updateOrder);
});

/** The ids to show, in order. */
export const visibleIds = computed<readonly string[]>(() => {
  const words = wordsOf(searchInput.value);
  const { value: phases } = phaseFilter;
  const { value: ids } = order;
  if (words.length === 0 && phases.size === 0) return ids;
  track(searchVersion);
  return ids.filter((id) => {
    const view = conversationSignals.value.get(id)?.peek();
    return view !== undefined && matches(view, words, phases);
  });
});
