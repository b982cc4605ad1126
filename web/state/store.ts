/**
 * What the proxy has told, as signals. Patches come in through `take…` functions and touch only what they change: one
 * signal per conversation, so that ten patches a second redraw the rows that changed and nothing around them.
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

/** What is kept of the log. */
const MAX_LOG_ENTRIES = 2_000;

export const hello = signal<Hello | null>(null);
export const totals = signal<Totals | null>(null);

// ── conversations ──

const views = new Map<string, Signal<ConversationView>>();

/** Rises when a conversation comes or goes. */
const membershipVersion = signal(0);
/** Rises when something changes that a search or a filter looks at. */
const searchedFieldsVersion = signal(0);
/** Rises when any conversation was active. */
export const activityVersion = signal(0);
/** False until the first full list has come. */
export const isListLoaded = signal(false);

/** All conversations, in no order. Follow it for who is there, not for what they do. */
export const conversationSignals = computed<ReadonlyMap<string, Signal<ConversationView>>>(() => {
  track(membershipVersion);
  return new Map(views);
});

/** Follow it for what search and filters look at. */
export const searchVersion = computed(() => membershipVersion.value + searchedFieldsVersion.value);

/** The signal of a conversation, or undefined when it is not known (any more). */
export function conversation(id: string): Signal<ConversationView> | undefined {
  track(membershipVersion);
  return views.get(id);
}

/** Conversations whose last checkpoint call failed, the ones that are tried again soonest first. */
export const failing = computed<readonly ConversationView[]>(() => {
  track(searchVersion);
  return [...views.values()]
    .map((view) => view.peek())
    .filter((view) => view.call.failure !== null)
    .sort((a, b) => (a.call.retryAt ?? Infinity) - (b.call.retryAt ?? Infinity));
});

/** Conversations by phase. */
export const phaseCounts = computed(() => {
  track(searchVersion);
  const counts = { IDLE: 0, CHECKPOINTING: 0, WAL_ACTIVE: 0, SWAP_READY: 0 };
  for (const view of views.values()) counts[view.peek().phase] += 1;
  return counts;
});

const SEARCHED_FIELDS = ['name', 'model', 'phase', 'kind', 'call'] as const;

export function applyConversations(patch: ConversationsPatch): void {
  batch(() => {
    let came = false;
    let search = false;
    if (patch.full) {
      const there = new Set(patch.conversations.map(({ id }) => id));
      for (const id of views.keys()) if (!there.has(id)) came = views.delete(id) || came;
      for (const view of patch.conversations) {
        const known = views.get(view.id);
        if (known === undefined) {
          views.set(view.id, signal(view));
          came = true;
        } else known.value = view;
      }
      search = true;
      isListLoaded.value = true;
    } else {
      for (const change of patch.changed) {
        const known = views.get(change.id);
        if (known !== undefined) known.value = { ...known.peek(), ...change };
        else if (isComplete(change)) {
          views.set(change.id, signal(change));
          came = true;
        }
        search ||= SEARCHED_FIELDS.some((field) => field in change);
      }
      for (const id of patch.removed) came = views.delete(id) || came;
    }
    if (came) membershipVersion.value += 1;
    if (search) searchedFieldsVersion.value += 1;
    activityVersion.value += 1;
  });
}

/** A change of a conversation that is not known here must be all of it; half of one cannot be shown. */
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

// ── the conversation that is open ──

/** Null while it is being fetched. */
export const detail = signal<ConversationDetail | null>(null);

export const applyDetail = throttleMerging<DetailPatch>(
  (before, more) => (before.id === more.id ? { ...before, ...more } : more),
  (patch) => {
    const open = detail.peek();
    if (open?.id === patch.id) detail.value = { ...open, ...patch };
  },
);

// ── names ──

/** A conversation's name, or a short form of its id where it is gone. */
export function nameOf(id: string): string {
  return conversation(id)?.value.name.text ?? id.slice(0, 12);
}

export const totalConversations = computed(() => PHASES.reduce((sum, phase) => sum + phaseCounts.value[phase], 0));
