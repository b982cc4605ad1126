/**
 * What the pages receive: the full state once, then patches against the state that was sent last. A patch is serialised
 * once for all pages in a room.
 */
import type { ConversationId } from '../../../machines/units.ts';
import type {
  ConversationChange,
  ConversationDetail,
  ConversationView,
  Hello,
  HistoryPatch,
  Totals,
} from '../../../web/contract.ts';
import type { ConversationViews } from '../conversation-views.ts';
import type { EventLog } from '../event-log.ts';
import type { Inspector } from '../inspector/inspector.ts';
import { BUCKET_MS, type Statistics } from '../statistics.ts';
import { ALL_PAGES, detailRoom, type Page, type SocketServer } from './page.ts';
import { conversationChange, detailPatch } from './patches.ts';

/** Minimum time between two updates of the totals, in milliseconds: they change with every request. */
export const TOTALS_MS = 500;

export interface PageUpdatesOptions {
  readonly views: ConversationViews;
  readonly statistics: Statistics;
  readonly events: EventLog;
  readonly inspector: Inspector;
  readonly hello: () => Hello;
  readonly totals: () => Totals;
  readonly now: () => number;
}

export class PageUpdates {
  readonly #options: PageUpdatesOptions;
  readonly #changed = new Set<ConversationId>();
  /** The state that was sent last. */
  readonly #sentViews = new Map<ConversationId, ConversationView>();
  readonly #sentDetails = new Map<ConversationId, ConversationDetail>();
  #sentTotals = { version: 0, at: 0, counts: '' };
  #lastEntry = 0;
  #lastRecord = 0;

  constructor(options: PageUpdatesOptions) {
    this.#options = options;
  }

  /** Makes the current state the base of the patches; called for the first page. */
  start(): void {
    const { views, events, inspector } = this.#options;
    for (const view of views.all()) this.#sentViews.set(view.id as ConversationId, view);
    this.#lastEntry = events.newest;
    this.#lastRecord = inspector.newest;
  }

  /** Releases what is kept for patches; called after the last page. */
  stop(): void {
    this.#changed.clear();
    this.#sentViews.clear();
    this.#sentDetails.clear();
  }

  markChanged(conversation: ConversationId): void {
    this.#changed.add(conversation);
  }

  addDetail(id: ConversationId, detail: ConversationDetail): void {
    if (!this.#sentDetails.has(id)) this.#sentDetails.set(id, detail);
  }

  removeDetail(id: ConversationId): void {
    this.#sentDetails.delete(id);
  }

  /** Sends the full state to one page. */
  sendAll({ detail: id, socket }: Page): void {
    const { views, events, hello, totals } = this.#options;
    socket.emit('hello', hello());
    socket.emit('conversations', { full: true, conversations: views.all() });
    socket.emit('totals', totals());
    socket.emit('history', this.#history(0));
    socket.emit('log', { full: true, entries: events.after() });
    const detail = id === null ? null : views.detail(id);
    if (detail !== null) socket.emit('detail', detail);
  }

  /** Sends all patches. Returns true when new totals are waiting for their minimum time. */
  sendPatches(server: SocketServer, pages: Iterable<Page>): boolean {
    this.#sendConversations(server);
    this.#sendDetails(server);
    const hasMoreTotals = this.#sendTotals(server);
    this.#sendLog(server);
    this.#sendRecords(pages);
    this.#changed.clear();
    return hasMoreTotals;
  }

  #sendConversations(server: SocketServer): void {
    const changed: ConversationChange[] = [];
    const removed: ConversationId[] = [];
    for (const id of this.#changed) {
      const view = this.#options.views.view(id);
      if (view === null) {
        if (this.#sentViews.delete(id)) removed.push(id);
        continue;
      }
      const change = conversationChange(view, this.#sentViews.get(id));
      if (change === null) continue;
      this.#sentViews.set(id, view);
      changed.push(change);
    }
    if (changed.length + removed.length === 0) return;
    server.to(ALL_PAGES).emit('conversations', { full: false, changed, removed });
  }

  #sendDetails(server: SocketServer): void {
    for (const [id, before] of this.#sentDetails) {
      const detail = this.#changed.has(id) ? this.#options.views.detail(id) : null;
      const patch = detail === null ? null : detailPatch(detail, before);
      if (detail === null || patch === null) continue;
      this.#sentDetails.set(id, detail);
      server.to(detailRoom(id)).emit('detail', patch);
    }
  }

  #sendTotals(server: SocketServer): boolean {
    const { now, statistics } = this.#options;
    const sent = this.#sentTotals;
    if (now() - sent.at < TOTALS_MS) return this.#changed.size > 0 || statistics.version !== sent.version;
    const totals = this.#options.totals();
    const counts = JSON.stringify([totals.conversations, totals.checkpoints]);
    if (statistics.version === sent.version && counts === sent.counts) return false;
    server.to(ALL_PAGES).emit('totals', totals);
    // Buckets are sent whole: the current one, and those that began since the last update.
    if (statistics.version !== sent.version) server.to(ALL_PAGES).emit('history', this.#history(sent.at - BUCKET_MS));
    this.#sentTotals = { version: statistics.version, at: now(), counts };
    return false;
  }

  #history(since: number): HistoryPatch {
    const { buckets, from } = this.#options.statistics.history(since);
    return { full: since <= 0, bucketMs: BUCKET_MS, from, buckets };
  }

  #sendLog(server: SocketServer): void {
    const entries = this.#options.events.after(this.#lastEntry);
    if (entries.length === 0) return;
    this.#lastEntry = this.#options.events.newest;
    server.to(ALL_PAGES).emit('log', { full: false, entries });
  }

  #sendRecords(pages: Iterable<Page>): void {
    const { inspector } = this.#options;
    const since = this.#lastRecord;
    this.#lastRecord = inspector.newest;
    for (const { isBehind, inspected, socket, stopInspecting } of pages) {
      const records = isBehind || stopInspecting === null ? [] : inspector.after(since, inspected);
      if (records.length > 0) socket.emit('inspector', { records });
    }
  }
}
