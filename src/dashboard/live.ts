/**
 * The pages that are open, over socket.io: what each is told, and when.
 *
 *   something changed ──▶ noted ──▶ at most ten times a second: one patch, serialised once, to all pages
 *
 * While no page is open nothing is noted and no timer runs. A page that reads too slowly is told nothing until it has
 * read what it was sent; then it gets everything anew. So nothing ever piles up for it.
 */
import type { Server as HttpServer } from 'node:http';
import type { Server, Socket } from 'socket.io';
import type { ConversationId } from '../../machines/units.ts';
import type {
  ClientToServerEvents,
  ConversationChange,
  ConversationDetail,
  ConversationView,
  Hello,
  HistoryPatch,
  Outcome,
  ServerToClientEvents,
  Totals,
} from '../../web/contract.ts';
import type { Access } from '../admin/access/access.ts';
import { allowRequest, guardedSocket } from '../admin/access/guard.ts';
import { asError } from '../errors.ts';
import type { ConversationViews } from './conversation-views.ts';
import { changesOf, detailChanges } from './changes.ts';
import type { EventLog } from './event-log.ts';
import type { Inspector } from './inspector/inspector.ts';
import { BUCKET_MS, type Statistics } from './statistics.ts';

/** A page is told something new at most this often … */
const ROUND_MS = 100;
/** … and new figures this often: they change with everything. */
const FIGURES_MS = 500;
/** Larger messages from a page are none of ours. */
const MAX_MESSAGE_BYTES = 64 * 1024;
/** Actors that a page may watch. */
const MAX_WATCHED = 100;

const EVERYBODY = 'everybody';
const watchersOf = (id: ConversationId): string => `detail:${id}`;

/** socket.io's server: given, because it is loaded later than this. */
export type SocketIoServer = typeof Server;
type PageServer = Server<ClientToServerEvents, ServerToClientEvents>;
type PageSocket = Socket<ClientToServerEvents, ServerToClientEvents>;

export interface LiveOptions {
  readonly views: ConversationViews;
  readonly statistics: Statistics;
  readonly events: EventLog;
  readonly inspector: Inspector;
  readonly hello: () => Hello;
  readonly totals: () => Totals;
  readonly reset: (conversation: ConversationId) => boolean;
  readonly now: () => number;
  /** Something of this broke while it served the pages: it is to be closed, and can be attached again. */
  readonly onError: (error: Error) => void;
}

/** A page that is open. */
class Page {
  readonly socket: PageSocket;
  /** True while it has not read what it was sent: it then misses what happens, and gets everything anew. */
  behind = false;
  detail: ConversationId | null = null;
  stopWatching: (() => void) | null = null;
  inspecting: (() => void) | null = null;
  /** The actors whose events it wants all of. */
  watched: ReadonlySet<string> = new Set();

  constructor(socket: PageSocket) {
    this.socket = socket;
  }

  /** True when everything it was sent has left this process. */
  get hasRead(): boolean {
    const { conn } = this.socket;
    return conn.transport.writable && (conn as unknown as { writeBuffer: unknown[] }).writeBuffer.length === 0;
  }
}

const ok = <T>(value: T): Outcome<T> => ({ ok: true, value });
const fault = (type: 'not_found' | 'invalid_request', message: string): Outcome<never> => ({
  ok: false,
  error: { type, message },
});
const NO_CONVERSATION = fault('not_found', 'there is no such conversation (any more)');

export class LivePages {
  readonly #options: LiveOptions;
  readonly #pages = new Set<Page>();
  #server: PageServer | null = null;
  #detach: (() => void) | null = null;
  #timer: NodeJS.Timeout | null = null;
  #due = 0;
  #lastRound = 0;
  readonly #changed = new Set<ConversationId>();
  /** What the pages know. */
  readonly #told = new Map<ConversationId, ConversationView>();
  readonly #details = new Map<ConversationId, ConversationDetail>();
  #figures = { version: 0, at: 0, conversations: '' };
  #lastEntry = 0;
  #lastRecord = 0;

  constructor(options: LiveOptions) {
    this.#options = options;
  }

  /** Pages that are open. */
  get size(): number {
    return this.#pages.size;
  }

  /** Pages that have not read yet what they were sent. */
  get behind(): number {
    return [...this.#pages].filter(({ behind }) => behind).length;
  }

  /** True while there is something that the pages will be told. */
  get isPlanned(): boolean {
    return this.#timer !== null;
  }

  /** Takes up pages on the server of our own pages; who may come in, `access` decides. */
  attach(SocketIo: SocketIoServer, pages: HttpServer, access: Access): void {
    const before = ['request', 'upgrade', 'close'].map((event) => [event, pages.listeners(event)] as const);
    const server: PageServer = new SocketIo(pages, {
      transports: ['websocket'],
      serveClient: false,
      allowRequest: allowRequest(access),
      perMessageDeflate: false,
      maxHttpBufferSize: MAX_MESSAGE_BYTES,
    });
    server.engine.use(guardedSocket(access));
    server.on(
      'connection',
      this.#contained((socket: PageSocket) => this.#join(socket)),
    );
    this.#server = server;
    // socket.io never takes back what it has put onto the server: a second one would be asked beside the first.
    this.#detach = () => {
      for (const [event, listeners] of before) {
        pages.removeAllListeners(event);
        for (const listener of listeners) pages.on(event, listener as (...args: unknown[]) => void);
      }
    };
  }

  /** A throw in `work` reaches whoever restarts this, and nobody else. */
  #contained<Arguments extends unknown[]>(work: (...given: Arguments) => void): (...given: Arguments) => void {
    return (...given) => {
      try {
        work(...given);
      } catch (error) {
        this.#options.onError(asError(error));
      }
    };
  }

  /** There is something else to see of a conversation. */
  noteChange(conversation: ConversationId): void {
    if (this.#pages.size === 0) return;
    this.#changed.add(conversation);
    this.#plan();
  }

  /** There are new figures, log entries or records. */
  noteNews(): void {
    if (this.#pages.size > 0) this.#plan();
  }

  close(): void {
    for (const page of this.#pages) this.#leave(page);
    this.#server?.disconnectSockets(true);
    this.#server?.engine.close();
    this.#server = null;
    this.#detach?.();
    this.#detach = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #join(socket: PageSocket): void {
    if (this.#pages.size === 0) this.#beginAnew();
    const page = new Page(socket);
    this.#pages.add(page);
    socket.on(
      'disconnect',
      this.#contained(() => this.#leave(page)),
    );
    socket.on(
      'detail.open',
      this.#contained((id, answer) => {
        if (typeof id === 'string' && typeof answer === 'function') answer(this.#openDetail(page, id));
      }),
    );
    socket.on(
      'detail.close',
      this.#contained(() => this.#closeDetail(page)),
    );
    socket.on(
      'conversation.reset',
      this.#contained((id, answer) => {
        if (typeof id !== 'string' || typeof answer !== 'function') return;
        const conversation = this.#options.views.find(id);
        answer(conversation !== null && this.#options.reset(conversation) ? ok(null) : NO_CONVERSATION);
      }),
    );
    socket.on(
      'inspector.open',
      this.#contained((answer) => {
        if (typeof answer !== 'function') return;
        page.inspecting ??= this.#options.inspector.watch();
        answer(ok(this.#options.inspector.view()));
      }),
    );
    socket.on(
      'inspector.watch',
      this.#contained((sessions) => {
        const named: unknown = sessions;
        if (Array.isArray(named)) page.watched = new Set(named.slice(0, MAX_WATCHED).map(String));
      }),
    );
    socket.on(
      'inspector.close',
      this.#contained(() => this.#closeInspector(page)),
    );
    this.#tellAll(page);
  }

  #leave(page: Page): void {
    this.#pages.delete(page);
    this.#closeDetail(page);
    this.#closeInspector(page);
    if (this.#pages.size > 0) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#changed.clear();
    this.#told.clear();
    this.#details.clear();
  }

  /** The first page is there: what it is told now is where patches begin. */
  #beginAnew(): void {
    const { views, events, inspector } = this.#options;
    for (const view of views.all()) this.#told.set(view.id as ConversationId, view);
    this.#lastEntry = events.newest;
    this.#lastRecord = inspector.newest;
  }

  /** Everything, to one page. */
  #tellAll(page: Page): void {
    const { views, events, hello, totals } = this.#options;
    const { socket } = page;
    page.behind = false;
    socket.emit('hello', hello());
    socket.emit('conversations', { full: true, conversations: views.all() });
    socket.emit('totals', totals());
    socket.emit('history', this.#history(0));
    socket.emit('log', { full: true, entries: events.after() });
    const detail = page.detail === null ? null : views.detail(page.detail);
    if (detail !== null) socket.emit('detail', detail);
    this.#place(page);
  }

  /** Puts a page into the rooms that it is told by. One that is behind is in none. */
  #place({ behind, detail, socket }: Page): void {
    const put = (room: string, belongs: boolean): void => {
      void (belongs ? socket.join(room) : socket.leave(room));
    };
    put(EVERYBODY, !behind);
    if (detail !== null) put(watchersOf(detail), !behind);
  }

  #openDetail(page: Page, name: string): Outcome<ConversationDetail> {
    const { views } = this.#options;
    this.#closeDetail(page);
    const id = views.find(name);
    const detail = id === null ? null : views.detail(id);
    if (id === null || detail === null) return NO_CONVERSATION;
    page.detail = id;
    page.stopWatching = views.watch(id);
    if (!this.#details.has(id)) this.#details.set(id, detail);
    this.#place(page);
    return ok(detail);
  }

  #closeDetail(page: Page): void {
    const id = page.detail;
    if (id === null) return;
    page.stopWatching?.();
    page.stopWatching = null;
    page.detail = null;
    void page.socket.leave(watchersOf(id));
    if (![...this.#pages].some(({ detail }) => detail === id)) this.#details.delete(id);
  }

  #closeInspector(page: Page): void {
    page.inspecting?.();
    page.inspecting = null;
    page.watched = new Set();
  }

  /** Plans the next round, `delay` after the last one at the earliest; one that is planned sooner stays. */
  #plan(delay = ROUND_MS): void {
    const now = this.#options.now();
    const due = Math.min(now + delay, Math.max(now, this.#lastRound + delay));
    if (this.#timer !== null) {
      if (due >= this.#due) return;
      clearTimeout(this.#timer);
    }
    this.#due = due;
    const round = this.#contained(() => this.#round());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      round();
    }, due - now);
  }

  #round(): void {
    const server = this.#server;
    if (server === null || this.#pages.size === 0) return;
    this.#lastRound = this.#options.now();
    for (const page of this.#pages) {
      if (page.behind || page.hasRead) continue;
      page.behind = true;
      this.#place(page);
    }
    this.#tellConversations(server);
    this.#tellDetails(server);
    const moreFigures = this.#tellFigures(server);
    this.#tellLog(server);
    this.#tellRecords();
    this.#changed.clear();
    let behind = false;
    for (const page of this.#pages) {
      if (page.behind && page.hasRead) this.#tellAll(page);
      behind ||= page.behind;
    }
    if (behind) this.#plan();
    else if (moreFigures) this.#plan(FIGURES_MS);
  }

  #tellConversations(server: PageServer): void {
    const changed: ConversationChange[] = [];
    const removed: ConversationId[] = [];
    for (const id of this.#changed) {
      const view = this.#options.views.view(id);
      if (view === null) {
        if (this.#told.delete(id)) removed.push(id);
        continue;
      }
      const change = changesOf(view, this.#told.get(id));
      if (change === null) continue;
      this.#told.set(id, view);
      changed.push(change);
    }
    if (changed.length + removed.length === 0) return;
    server.to(EVERYBODY).emit('conversations', { full: false, changed, removed });
  }

  #tellDetails(server: PageServer): void {
    for (const [id, before] of this.#details) {
      const detail = this.#changed.has(id) ? this.#options.views.detail(id) : null;
      if (detail === null) continue;
      const patch = detailChanges(detail, before);
      if (patch === null) continue;
      this.#details.set(id, detail);
      server.to(watchersOf(id)).emit('detail', patch);
    }
  }

  /** Returns true when there are new figures that are not due yet. */
  #tellFigures(server: PageServer): boolean {
    const { now, statistics, totals } = this.#options;
    const { at, conversations, version } = this.#figures;
    if (now() - at < FIGURES_MS) return this.#changed.size > 0 || statistics.version !== version;
    const figures = totals();
    const counts = JSON.stringify([figures.conversations, figures.checkpoints]);
    if (statistics.version === version && counts === conversations) return false;
    server.to(EVERYBODY).emit('totals', figures);
    // Stretches are told whole: the one that goes on, and any that began since.
    if (statistics.version !== version) server.to(EVERYBODY).emit('history', this.#history(at - BUCKET_MS));
    this.#figures = { version: statistics.version, at: now(), conversations: counts };
    return false;
  }

  #history(since: number): HistoryPatch {
    const { buckets, from } = this.#options.statistics.history(since);
    return { full: since <= 0, bucketMs: BUCKET_MS, from, buckets };
  }

  #tellLog(server: PageServer): void {
    const entries = this.#options.events.after(this.#lastEntry);
    if (entries.length === 0) return;
    this.#lastEntry = this.#options.events.newest;
    server.to(EVERYBODY).emit('log', { full: false, entries });
  }

  #tellRecords(): void {
    const { inspector } = this.#options;
    const since = this.#lastRecord;
    this.#lastRecord = inspector.newest;
    for (const { behind, inspecting, socket, watched } of this.#pages) {
      const records = behind || inspecting === null ? [] : inspector.after(since, watched);
      if (records.length > 0) socket.emit('inspector', { records });
    }
  }
}
