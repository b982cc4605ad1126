/**
 * The dashboard's open pages, over socket.io.
 *
 *   change ──▶ scheduled round, at most ten per second ──▶ one patch, serialised once, to all pages
 *
 * Without an open page nothing is recorded and no timer runs. A page that reads too slowly receives nothing until it has
 * read everything that was sent; then it receives the full state. So the memory for unread messages is bounded.
 */
import type { Server as HttpServer } from 'node:http';
import type { Server } from 'socket.io';
import type { ConversationId } from '../../../machines/units.ts';
import type { ConversationDetail, Outcome } from '../../../web/contract.ts';
import type { Access } from '../../admin/access/access.ts';
import { allowRequest, guardedSocket } from '../../admin/access/guard.ts';
import { asError } from '../../errors.ts';
import { detailRoom, Page, type PageSocket, type SocketServer } from './page.ts';
import { PageUpdates, TOTALS_MS, type PageUpdatesOptions } from './page-updates.ts';
import { RoundScheduler } from './round-scheduler.ts';

/** Maximum size of a message from a page. */
const MAX_MESSAGE_BYTES = 64 * 1024;
/** Maximum number of actors that a page inspects. */
const MAX_INSPECTED = 100;

/** The constructor of socket.io's server: injected, because socket.io is loaded after the start. */
export type SocketIoServer = typeof Server;

export interface PageServerOptions extends PageUpdatesOptions {
  readonly reset: (conversation: ConversationId) => boolean;
  /** Called when serving the pages threw: the page server must then be closed, and can be attached again. */
  readonly onError: (error: Error) => void;
}

const ok = <T>(value: T): Outcome<T> => ({ ok: true, value });
const NO_CONVERSATION: Outcome<never> = {
  ok: false,
  error: { type: 'not_found', message: 'there is no such conversation (any more)' },
};

export class PageServer {
  readonly #options: PageServerOptions;
  readonly #updates: PageUpdates;
  readonly #scheduler: RoundScheduler;
  readonly #pages = new Set<Page>();
  #server: SocketServer | null = null;
  #detach: (() => void) | null = null;

  constructor(options: PageServerOptions) {
    this.#options = options;
    this.#updates = new PageUpdates(options);
    this.#scheduler = new RoundScheduler(
      options.now,
      this.#contained(() => this.#round()),
    );
  }

  /** Number of open pages. */
  get size(): number {
    return this.#pages.size;
  }

  /** Number of pages with unread messages. */
  get behind(): number {
    return [...this.#pages].filter(({ isBehind }) => isBehind).length;
  }

  get isRoundScheduled(): boolean {
    return this.#scheduler.isScheduled;
  }

  /** Accepts pages on the HTTP server of the proxy's own pages, as far as `access` allows. */
  attach(SocketIo: SocketIoServer, pages: HttpServer, access: Access): void {
    const before = ['request', 'upgrade', 'close'].map((event) => [event, pages.listeners(event)] as const);
    const server: SocketServer = new SocketIo(pages, {
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
    // socket.io leaves its listeners on the HTTP server when it closes; they would answer beside those of the next one.
    this.#detach = () => {
      for (const [event, listeners] of before) {
        pages.removeAllListeners(event);
        for (const listener of listeners) pages.on(event, listener as (...args: unknown[]) => void);
      }
    };
  }

  /** Reports a throw in `work` to `onError` only. */
  #contained<Arguments extends unknown[]>(work: (...given: Arguments) => void): (...given: Arguments) => void {
    return (...given) => {
      try {
        work(...given);
      } catch (error) {
        this.#options.onError(asError(error));
      }
    };
  }

  /** Schedules a round that sends what changed of a conversation. */
  onConversationChange(conversation: ConversationId): void {
    if (this.#pages.size === 0) return;
    this.#updates.markChanged(conversation);
    this.#scheduler.schedule();
  }

  /** Schedules a round for new statistics, log entries or inspection records. */
  onNews(): void {
    if (this.#pages.size > 0) this.#scheduler.schedule();
  }

  close(): void {
    for (const page of this.#pages) this.#leave(page);
    this.#server?.disconnectSockets(true);
    this.#server?.engine.close();
    this.#server = null;
    this.#detach?.();
    this.#detach = null;
    this.#scheduler.cancel();
  }

  #join(socket: PageSocket): void {
    const { inspector, reset, views } = this.#options;
    if (this.#pages.size === 0) this.#updates.start();
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
        const conversation = views.find(id);
        answer(conversation !== null && reset(conversation) ? ok(null) : NO_CONVERSATION);
      }),
    );
    socket.on(
      'inspector.open',
      this.#contained((answer) => {
        if (typeof answer !== 'function') return;
        page.stopInspecting ??= inspector.watch();
        answer(ok(inspector.view()));
      }),
    );
    socket.on(
      'inspector.watch',
      this.#contained((sessions) => {
        const given: unknown = sessions;
        if (Array.isArray(given)) page.inspected = new Set(given.slice(0, MAX_INSPECTED).map(String));
      }),
    );
    socket.on(
      'inspector.close',
      this.#contained(() => page.closeInspector()),
    );
    this.#sendAll(page);
  }

  #leave(page: Page): void {
    this.#pages.delete(page);
    this.#closeDetail(page);
    page.closeInspector();
    if (this.#pages.size > 0) return;
    this.#scheduler.cancel();
    this.#updates.stop();
  }

  #sendAll(page: Page): void {
    page.isBehind = false;
    this.#updates.sendAll(page);
    page.updateRooms();
  }

  #openDetail(page: Page, name: string): Outcome<ConversationDetail> {
    const { views } = this.#options;
    this.#closeDetail(page);
    const id = views.find(name);
    const detail = id === null ? null : views.detail(id);
    if (id === null || detail === null) return NO_CONVERSATION;
    page.detail = id;
    page.stopWatching = views.watch(id);
    this.#updates.addDetail(id, detail);
    page.updateRooms();
    return ok(detail);
  }

  #closeDetail(page: Page): void {
    const id = page.detail;
    if (id === null) return;
    page.stopWatching?.();
    page.stopWatching = null;
    page.detail = null;
    void page.socket.leave(detailRoom(id));
    if (![...this.#pages].some(({ detail }) => detail === id)) this.#updates.removeDetail(id);
  }

  #round(): void {
    const server = this.#server;
    if (server === null || this.#pages.size === 0) return;
    for (const page of this.#pages) {
      if (page.isBehind || page.hasRead) continue;
      page.isBehind = true;
      page.updateRooms();
    }
    const hasMoreTotals = this.#updates.sendPatches(server, this.#pages);
    for (const page of this.#pages) if (page.isBehind && page.hasRead) this.#sendAll(page);
    if (this.behind > 0) this.#scheduler.schedule();
    else if (hasMoreTotals) this.#scheduler.schedule(TOTALS_MS);
  }
}
