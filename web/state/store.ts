/**
 * The data received from the proxy, as signals. Each conversation has its own signal, so that a patch renders only the
 * rows that it changes.
 */
import { batch, computed, signal, type Signal } from '@preact/signals';
import type {
  ConversationDetail,
  ConversationsPatch,
  ConversationView,
  DetailPatch,
  Hello,
  HistoryBucket,
  HistoryPatch,
  LogEntry,
  LogPatch,
  Totals,
} from '../contract.ts';
import { PHASES } from '../labels.ts';
import { throttleMerging } from './throttle.ts';
import { track } from './track.ts';

const MAX_LOG_ENTRIES = 2_000;

export const hello = signal<Hello | null>(null);
export const totals = signal<Totals | null>(null);

// ── conversations ──

const views = new Map<string, Signal<ConversationView>>();

/** Incremented when a conversation is added or removed. */
const membershipVersion = signal(0);
/** Incremented when a field that search and filters use changes. */
const searchedFieldsVersion = signal(0);
/** Incremented with every patch. */
export const activityVersion = signal(0);
/** False until the first full list is received. */
export const isListLoaded = signal(false);

/** All conversations, unordered. Changes when one is added or removed, not when one is updated. */
export const conversationSignals = computed<ReadonlyMap<string, Signal<ConversationView>>>(() => {
  track(membershipVersion);
  return new Map(views);
});

/** Changes when the result of a search or a filter may change. */
export const searchVersion = computed(() => membershipVersion.value + searchedFieldsVersion.value);

/** The signal of a conversation; undefined when it is unknown. */
export function conversation(id: string): Signal<ConversationView> | undefined {
  track(membershipVersion);
  return views.get(id);
}

/** Conversations whose last checkpoint call failed, the soonest retry first. */
export const failing = computed<readonly ConversationView[]>(() => {
  track(searchVersion);
  return [...views.values()]
    .map((view) => view.peek())
    .filter((view) => view.call.failure !== null)
    .sort((a, b) => (a.call.retryAt ?? Infinity) - (b.call.retryAt ?? Infinity));
});

/** The number of conversations in each phase. */
export const phaseCounts = computed(() => {
  track(searchVersion);
  const counts = { IDLE: 0, CHECKPOINTING: 0, WAL_ACTIVE: 0, SWAP_READY: 0 };
  for (const view of views.values()) counts[view.peek().phase] += 1;
  return counts;
});

const SEARCHED_FIELDS = ['name', 'model', 'phase', 'kind', 'call'] as const;

export function applyConversations(patch: ConversationsPatch): void {
  batch(() => {
    let membershipChanged = false;
    let searchChanged = false;
    if (patch.full) {
      const ids = new Set(patch.conversations.map(({ id }) => id));
      for (const id of views.keys()) if (!ids.has(id)) membershipChanged = views.delete(id) || membershipChanged;
      for (const view of patch.conversations) {
        const known = views.get(view.id);
        if (known === undefined) {
          views.set(view.id, signal(view));
          membershipChanged = true;
        } else known.value = view;
      }
      searchChanged = true;
      isListLoaded.value = true;
    } else {
      for (const change of patch.changed) {
        const known = views.get(change.id);
        if (known !== undefined) known.value = { ...known.peek(), ...change };
        else if (isComplete(change)) {
          views.set(change.id, signal(change));
          membershipChanged = true;
        }
        searchChanged ||= SEARCHED_FIELDS.some((field) => field in change);
      }
      for (const id of patch.removed) membershipChanged = views.delete(id) || membershipChanged;
    }
    if (membershipChanged) membershipVersion.value += 1;
    if (searchChanged) searchedFieldsVersion.value += 1;
    activityVersion.value += 1;
  });
}

/** Whether a change to an unknown conversation contains the whole view. */
function isComplete(change: Partial<ConversationView>): change is ConversationView {
  return change.name !== undefined && change.phase !== undefined && change.call !== undefined;
}

// ── history ──

export interface History {
  readonly bucketMs: number;
  readonly from: number;
  /** Oldest first. */
  readonly buckets: readonly HistoryBucket[];
}

export const history = signal<History | null>(null);

export function applyHistory(patch: HistoryPatch): void {
  const kept = patch.full ? [] : (history.peek()?.buckets ?? []);
  const byTime = new Map(kept.map((bucket) => [bucket.at, bucket]));
  for (const bucket of patch.buckets) byTime.set(bucket.at, bucket);
  const buckets = [...byTime.values()].filter(({ at }) => at >= patch.from).sort((a, b) => a.at - b.at);
  history.value = { bucketMs: patch.bucketMs, from: patch.from, buckets };
}

// ── log ──

/** Oldest first. */
export const log = signal<readonly LogEntry[]>([]);

export const applyLog = throttleMerging<LogPatch>(
  (before, more) => (more.full ? more : { full: before.full, entries: [...before.entries, ...more.entries] }),
  (patch) => (log.value = [...(patch.full ? [] : log.peek()), ...patch.entries].slice(-MAX_LOG_ENTRIES)),
);

// ── the open conversation ──

/** Null until it is loaded. */
export const detail = signal<ConversationDetail | null>(null);

export const applyDetail = throttleMerging<DetailPatch>(
  (before, more) => (before.id === more.id ? { ...before, ...more } : more),
  (patch) => {
    const open = detail.peek();
    if (open?.id === patch.id) detail.value = { ...open, ...patch };
  },
);

// ── names ──

/** A conversation's name; the beginning of the id when it is unknown. */
export function nameOf(id: string): string {
  return conversation(id)?.value.name.text ?? id.slice(0, 12);
}

export const totalConversations = computed(() => PHASES.reduce((sum, phase) => sum + phaseCounts.value[phase], 0));
