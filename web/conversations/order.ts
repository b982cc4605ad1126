/**
 * Which conversations the list shows, and in what order. The order follows activity, but calmly: once a second, and not
 * while somebody is about to click or walks through the list.
 */
import { computed, effect, signal, untracked } from '@preact/signals';
import type { Phase } from '../contract.ts';
import { track } from '../state/track.ts';
import { activity, members, searchVersion } from '../state/store.ts';
import { matches, wordsOf } from './search.ts';

const CALM_MS = 1_000;

export const search = signal('');
/** Phases that are shown; empty: all. */
export const phases = signal<ReadonlySet<Phase>>(new Set());
/** Somebody is pointing at a row, or walks through them. */
export const held = signal(false);

export const filtered = computed(() => search.value.trim() !== '' || phases.value.size > 0);

/** All ids, the most recently active first, as of the last time it was looked. */
const order = signal<readonly string[]>([]);

function sort(): void {
  const ids = [...members.peek()]
    .map(([id, view]) => ({ id, at: view.peek().lastActivity }))
    .sort((a, b) => b.at - a.at || (a.id < b.id ? -1 : 1))
    .map(({ id }) => id);
  const before = order.peek();
  if (ids.length !== before.length || ids.some((id, at) => id !== before[at])) order.value = ids;
}

let timer: ReturnType<typeof setTimeout> | null = null;

effect(() => {
  track(activity);
  if (held.value || timer !== null) return;
  timer = setTimeout(() => {
    timer = null;
    if (!held.peek()) untracked(sort);
  }, CALM_MS);
});

// Who comes or goes is shown at once.
effect(() => {
  track(members);
  untracked(sort);
});

/** The ids to show, in order. */
export const shown = computed<readonly string[]>(() => {
  const words = wordsOf(search.value);
  const { value: wanted } = phases;
  const { value: ids } = order;
  if (words.length === 0 && wanted.size === 0) return ids;
  track(searchVersion);
  return ids.filter((id) => {
    const view = members.value.get(id)?.peek();
    return view !== undefined && matches(view, words, wanted);
  });
});
