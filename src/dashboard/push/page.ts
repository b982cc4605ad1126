/** One open page of the dashboard: its socket and its subscriptions. */
import type { Server, Socket } from 'socket.io';
import type { ConversationId } from '../../../machines/units.ts';
import type { ClientToServerEvents, ServerToClientEvents } from '../../../web/contract.ts';

export type SocketServer = Server<ClientToServerEvents, ServerToClientEvents>;
export type PageSocket = Socket<ClientToServerEvents, ServerToClientEvents>;

/** The socket.io room of all pages that are up to date. */
export const ALL_PAGES = 'all';
/** The socket.io room of the pages that show the detail of a conversation. */
export const detailRoom = (id: ConversationId): string => `detail:${id}`;

export class Page {
  readonly socket: PageSocket;
  /** True while the page has unread messages; it then receives no updates, and the full state afterwards. */
  isBehind = false;
  detail: ConversationId | null = null;
  stopWatching: (() => void) | null = null;
  stopInspecting: (() => void) | null = null;
  /** Sessions of the actors whose events the page receives completely. */
  inspected: ReadonlySet<string> = new Set();

  constructor(socket: PageSocket) {
    this.socket = socket;
  }

  /** True when all messages to the page have left this process. */
  get hasRead(): boolean {
    const { conn } = this.socket;
    return conn.transport.writable && (conn as unknown as { writeBuffer: unknown[] }).writeBuffer.length === 0;
  }

  /** Joins the rooms of the page's subscriptions; leaves them while the page is behind. */
  updateRooms(): void {
    const rooms = this.detail === null ? [ALL_PAGES] : [ALL_PAGES, detailRoom(this.detail)];
    for (const room of rooms) void (this.isBehind ? this.socket.leave(room) : this.socket.join(room));
  }

  closeInspector(): void {
    this.stopInspecting?.();
    this.stopInspecting = null;
    this.inspected = new Set();
  }
}
