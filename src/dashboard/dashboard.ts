/**
 * The wiring of the dashboard: its inputs (facts, log, actors), what it derives from them (views, statistics, metrics,
 * event log), and its outputs (pages over socket.io, scripts over HTTP).
 *
 *   facts ─▶ views, statistics, metrics ─▶ pages (socket.io), routes (HTTP)
 *   log ─▶ event log ─▶ pages
 *   actors ─▶ inspector ─▶ pages
 */
import type { Server as HttpServer } from 'node:http';
import type { AnyActorRef } from 'xstate';
import type { CheckpointId, ConversationId } from '../../machines/units.ts';
import type { Hello, Phase, Thresholds, Totals } from '../../web/contract.ts';
import type { Access } from '../admin/access/access.ts';
import type { BreakerStatus } from '../checkpoint/gate.ts';
import type { Checkpoint } from '../checkpoint/index.ts';
import { messageOf } from '../errors.ts';
import type { Facts } from '../facts.ts';
import type { Log } from '../log.ts';
import type { CompactionHistory } from '../store/history.ts';
import { VERSION } from '../version.ts';
import { ConversationViews } from './conversation-views.ts';
import type { EventLog } from './event-log.ts';
import { Inspector } from './inspector/inspector.ts';
import { PageServer, type SocketIoServer } from './push/page-server.ts';
import { Metrics } from '../admin/metrics.ts';
import { loadStatisticsSeed } from './statistics-seed.ts';
import type { DashboardRoutesOptions } from '../admin/conversation-routes.ts';
import { Statistics } from './statistics.ts';

/** What the dashboard reads from the rest of the proxy. */
export interface Sources {
  /** The supervisor, root of all actors. */
  readonly root: () => AnyActorRef;
  readonly checkpoint: (id: CheckpointId) => Checkpoint | null;
  readonly checkpointsHeld: () => number;
  readonly callsRunning: () => number;
  readonly breaker: () => BreakerStatus;
  readonly history: () => CompactionHistory;
  readonly reset: (conversation: ConversationId) => boolean;
  readonly setup: () => Hello['setup'];
}

export interface DashboardOptions {
  readonly log: Log;
  readonly facts: Pick<Facts, 'subscribe'>;
  /** The newest lines of `log`, for the log page. */
  readonly events: EventLog;
  readonly thresholds: Thresholds;
  readonly passthrough: boolean;
  /** `DBPROXY_INSPECT`: where inspection is forwarded to, or null. */
  readonly inspectUrl: string | null;
  readonly now: () => number;
  readonly sources: Sources;
}

export class Dashboard {
  readonly views: ConversationViews;
  readonly statistics: Statistics;
  readonly pages: PageServer;
  readonly metrics: Metrics;
  readonly #options: DashboardOptions;
  readonly #events: EventLog;
  readonly #failureListeners = new Set<(error: Error) => void>();
  readonly #started: number;
  #stopForwarding: (() => void) | null = null;
  #isSeeded = false;
  /** Incremented at each opening and closing. */
  #opening = 0;
  #socketIo: SocketIoServer | null = null;
  /** The server and access it is open on; null while it is closed. */
  #at: { readonly pages: HttpServer; readonly access: Access } | null = null;

  constructor(options: DashboardOptions) {
    const { now, sources } = options;
    this.#options = options;
    this.#started = now();
    const news = (): void => this.pages.onNews();
    this.#events = options.events;
    this.#events.setListener(news);
    this.statistics = new Statistics(now);
    this.views = new ConversationViews({
      now,
      checkpoint: (id) => sources.checkpoint(id),
      onChange: (id) => this.pages.onConversationChange(id),
    });
    const inspector = new Inspector({
      root: () => sources.root(),
      now,
      onRecords: news,
      onError: (error) => this.#options.log.error('inspector.failed', { message: messageOf(error) }),
    });
    this.metrics = new Metrics(
      () => ({
        phases: this.#phases(),
        checkpointsHeld: sources.checkpointsHeld(),
        callsRunning: sources.callsRunning(),
        pages: this.pages.size,
      }),
      VERSION,
    );
    this.pages = new PageServer({
      views: this.views,
      statistics: this.statistics,
      events: this.#events,
      inspector,
      hello: () => this.#hello(),
      totals: () => this.#totals(),
      reset: (id) => sources.reset(id),
      now,
      onError: (error) => this.#fail(error),
    });
    for (const subscriber of [this.views, this.statistics, this.metrics]) {
      options.facts.subscribe((fact) => subscriber.onFact(fact));
    }
    options.facts.subscribe(news);
  }

  /** Calls `onFailed` when the dashboard can no longer serve its pages. Returns a function that ends the subscription. */
  onFailure(onFailed: (error: Error) => void): () => void {
    this.#failureListeners.add(onFailed);
    return () => this.#failureListeners.delete(onFailed);
  }

  #fail(error: Error): void {
    this.#options.log.error('dashboard.failed', { message: error.message });
    this.close();
    for (const onFailed of this.#failureListeners) onFailed(error);
  }

  /** Adds the stored history to the statistics, once, when the state file can be read for the first time. */
  remember(history: CompactionHistory): void {
    if (this.#isSeeded) return;
    try {
      const { checkpoint } = this.#options.sources;
      this.statistics.seed(loadStatisticsSeed(history, this.#started, (id) => checkpoint(id as CheckpointId) !== null));
      this.#isSeeded = true;
    } catch (error) {
      this.#options.log.warn('statistics.unread', { message: messageOf(error) });
    }
  }

  /** The options of the dashboard's HTTP routes (admin/conversation-routes.ts). */
  get routesOptions(): DashboardRoutesOptions {
    const { history, reset } = this.#options.sources;
    return { views: this.views, metrics: this.metrics, history: history(), reset };
  }

  /** Loads the forwarding of inspection only when it is configured. */
  async #forward(url: string): Promise<void> {
    const opening = this.#opening;
    const { forwardInspection } = await import('./inspector/forward.ts');
    if (opening !== this.#opening) return;
    this.#stopForwarding = forwardInspection({ url, root: this.#options.sources.root(), log: this.#options.log });
  }

  /** Accepts pages, and forwards inspection if it is configured. May be called again after a failure. */
  open(pages: HttpServer, access: Access): void {
    this.close();
    const { inspectUrl: url } = this.#options;
    this.#at = { pages, access };
    this.#attach();
    if (url !== null) void this.#forward(url);
  }

  /** Receives socket.io when it is loaded; no page can connect before. */
  use(socketIo: SocketIoServer): void {
    if (this.#socketIo !== null) return; // the admin pages were loaded again after a failure
    this.#socketIo = socketIo;
    this.#attach();
  }

  #attach(): void {
    if (this.#at !== null && this.#socketIo !== null)
      this.pages.attach(this.#socketIo, this.#at.pages, this.#at.access);
  }

  close(): void {
    this.#opening += 1;
    this.#at = null;
    this.pages.close();
    this.#stopForwarding?.();
    this.#stopForwarding = null;
  }

  #phases(): Record<Phase, number> {
    const phases: Record<Phase, number> = { IDLE: 0, CHECKPOINTING: 0, WAL_ACTIVE: 0, SWAP_READY: 0 };
    for (const phase of this.views.phases()) phases[phase] += 1;
    return phases;
  }

  #hello(): Hello {
    const { now, passthrough, sources, thresholds } = this.#options;
    return {
      contract: 2,
      version: VERSION,
      started: this.#started,
      now: now(),
      passthrough,
      thresholds: { checkpoint: thresholds.checkpoint, swap: thresholds.swap },
      setup: sources.setup(),
    };
  }

  #totals(): Totals {
    const { sources } = this.#options;
    const counted = this.statistics.totals();
    const { resumesAt, state } = sources.breaker();
    const now = { running: sources.callsRunning(), held: sources.checkpointsHeld() };
    return {
      ...counted,
      conversations: this.#phases(),
      checkpoints: { ...counted.checkpoints, ...now, ...(state === 'closed' ? {} : { paused: { until: resumesAt } }) },
    };
  }
}
