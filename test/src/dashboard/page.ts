/** A page as a browser has it: connected over socket.io, keeping what it is told as the contract says it is to be kept. */
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import type {
  ClientToServerEvents,
  ConversationDetail,
  ConversationView,
  Hello,
  HistoryBucket,
  InspectionRecord,
  InspectorView,
  LogEntry,
  Outcome,
  ServerToClientEvents,
  Totals,
} from '../../../web/contract.ts';
import { until } from '../redirector/sockets.ts';

interface Target {
  readonly ca: string;
  readonly proxy: {
    readonly ports: { readonly dashboard: number };
    readonly access: { readonly token: string };
  };
}

/** `socket.io-client` passes these on to the web socket of Node. */
type Options = Partial<ManagerOptions & SocketOptions> & { readonly ca?: string };

export class Page {
  readonly socket: Socket<ServerToClientEvents, ClientToServerEvents>;
  readonly conversations = new Map<string, ConversationView>();
  readonly buckets = new Map<number, HistoryBucket>();
  readonly log: LogEntry[] = [];
  readonly records: InspectionRecord[] = [];
  hello: Hello | null = null;
  totals: Totals | null = null;
  detail: ConversationDetail | null = null;
  /** Every event that came, by name. */
  readonly told: string[] = [];

  constructor(target: Target, options: Options = {}) {
    this.socket = io(`https://localhost:${target.proxy.ports.dashboard}`, {
      transports: ['websocket'],
      ca: target.ca,
      extraHeaders: { authorization: `Bearer ${target.proxy.access.token}` },
      reconnection: false,
      forceNew: true,
      ...options,
    } as Options);
    this.socket.onAny((name: string) => void this.told.push(name));
    this.socket.on('hello', (hello) => void (this.hello = hello));
    this.socket.on('conversations', (patch) => {
      if (patch.full) {
        this.conversations.clear();
        for (const view of patch.conversations) this.conversations.set(view.id, view);
        return;
      }
      for (const id of patch.removed) this.conversations.delete(id);
      for (const change of patch.changed) {
        this.conversations.set(change.id, { ...this.conversations.get(change.id), ...change } as ConversationView);
      }
    });
    this.socket.on('totals', (totals) => void (this.totals = totals));
    this.socket.on('history', (patch) => {
      if (patch.full) this.buckets.clear();
      for (const bucket of patch.buckets) this.buckets.set(bucket.at, bucket);
    });
    this.socket.on('log', (patch) => {
      if (patch.full) this.log.length = 0;
      this.log.push(...patch.entries);
    });
    this.socket.on('detail', (patch) => {
      if (this.detail?.id === patch.id) this.detail = { ...this.detail, ...patch };
    });
    this.socket.on('inspector', ({ records }) => void this.records.push(...records));
  }

  /** A page that has been told everything once. */
  static async open(target: Target, options: Options = {}): Promise<Page> {
    const page = new Page(target, options);
    await until(() => page.told.includes('log'));
    return page;
  }

  conversation(id: string): ConversationView {
    const view = this.conversations.get(id);
    if (view === undefined) throw new Error(`the page knows no conversation ${id}`);
    return view;
  }

  async openDetail(id: string): Promise<Outcome<ConversationDetail>> {
    const outcome = await new Promise<Outcome<ConversationDetail>>((resolve) => {
      this.socket.emit('detail.open', id, resolve);
    });
    if (outcome.ok) this.detail = outcome.value;
    return outcome;
  }

  reset(id: string): Promise<Outcome> {
    return new Promise((resolve) => this.socket.emit('conversation.reset', id, resolve));
  }

  inspect(): Promise<Outcome<InspectorView>> {
    return new Promise((resolve) => this.socket.emit('inspector.open', resolve));
  }

  close(): void {
    this.socket.disconnect();
  }
}
