/**
 * A fake proxy with simulated conversations. It implements the contract and serves the built pages under the real content
 * security policy, for developing, testing and measuring the pages.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { conversationMachine } from '../../../machines/conversation.ts';
import { supervisorMachine } from '../../../machines/supervisor.ts';
import { SECURITY_HEADERS } from '../../../src/admin/access/guard.ts';
import { conversationChange, detailPatch } from '../../../src/dashboard/push/patches.ts';
import { readGraph } from '../../../src/dashboard/inspector/graph.ts';
import { shown, recordsFor, type BufferedRecord } from '../../../src/dashboard/inspector/records.ts';
import type {
  ActorView,
  ClientToServerEvents,
  ConversationDetail,
  ConversationView,
  HistoryBucket,
  LogEntry,
  ServerToClientEvents,
  Totals,
} from '../../../web/contract.ts';
import { FakeConversation } from './fake-conversation.ts';
import { serveBuiltFile } from './static-server.ts';

/** The interval of patches in the contract. */
const PATCH_MS = 100;
const BUCKET_MS = 60_000;

export interface FakeOptions {
  readonly conversations: number;
  /** Changes of each conversation per second. */
  readonly rate: number;
  readonly port?: number;
  readonly checkpointMs?: number;
  /** Whether the checkpoints of a conversation fail, by its number. */
  readonly failing?: (number: number) => boolean;
  readonly passthrough?: boolean;
  /** The circuit breaker is open until so many milliseconds after the start. */
  readonly pausedFor?: number;
  /** Stops all conversations once it holds for one of them. */
  readonly until?: (conversation: ConversationView) => boolean;
  /** Minutes of invented history. */
  readonly past?: number;
}

export interface FakeProxy {
  readonly url: string;
  readonly port: number;
  /** Sends patches while true. */
  running: boolean;
  close(): Promise<void>;
}

export async function startFakeProxy(options: FakeOptions): Promise<FakeProxy> {
  const { conversations, rate, port = 0, checkpointMs = 4_000, failing = () => false, passthrough = false } = options;
  const now = (): number => Date.now();
  const started = now();
  const records: BufferedRecord[] = [];
  const entries: LogEntry[] = [];
  let seq = 0;
  let logSeq = 0;

  const http = createServer((request, response) => {
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(name, value);
    serveBuiltFile(request, response);
  });
  const io = new Server<ClientToServerEvents, ServerToClientEvents>(http, { transports: ['websocket'] });

  const all = Array.from({ length: conversations }, (_, number) => {
    const conversation: FakeConversation = new FakeConversation({
      number,
      now,
      checkpointMs,
      failing: failing(number),
      passthrough,
      record: (record) => {
        seq += 1;
        records.push({ ...record, seq });
        if (records.length > 4_000) records.splice(0, 2_000);
      },
      log: (event, level, fields) => {
        logSeq += 1;
        entries.push({ seq: logSeq, at: now(), level, event, conversation: conversation.id, fields });
      },
    });
    return conversation;
  });
  const byId = new Map(all.map((conversation) => [conversation.id, conversation]));
  const supervisor: ActorView = {
    session: 'root',
    id: 'supervisor',
    parent: null,
    machine: 'supervisor',
    kind: 'machine',
    status: 'active',
    states: ['supervisor', 'supervisor.running'],
  };

  const history: HistoryBucket[] = Array.from({ length: options.past ?? 0 }, (_, index) =>
    fakeBucket(index, started, options),
  );
  const sumOf = (of: (bucket: HistoryBucket) => number): number => history.reduce((sum, bucket) => sum + of(bucket), 0);
  const totals = (): Totals => ({
    since: started - (options.past ?? 0) * BUCKET_MS,
    conversations: { IDLE: 0, CHECKPOINTING: 0, WAL_ACTIVE: 0, SWAP_READY: 0 },
    requests: sumOf((it) => it.requests),
    savedMs: sumOf((it) => it.savedMs),
    checkpoints: {
      made: sumOf((it) => it.made),
      used: sumOf((it) => it.used),
      wasted: sumOf((it) => it.wasted),
      failed: sumOf((it) => it.failed),
      running: all.filter((conversation) => conversation.view().call.state === 'running').length,
      held: all.filter((conversation) => conversation.view().covered !== null).length,
      ...(options.pausedFor === undefined ? {} : { paused: { until: started + options.pausedFor } }),
    },
    compactions: {
      served: sumOf((it) => it.served),
      confirmed: sumOf((it) => it.served),
      forwarded: history.length > 0 ? { instructions: 3, stale: 1 } : {},
    },
    tokens: {
      input: sumOf((it) => it.tokens.input),
      cacheCreation: sumOf((it) => it.tokens.cacheCreation),
      cacheRead: sumOf((it) => it.tokens.cacheRead),
      output: sumOf((it) => it.tokens.output),
    },
    apiErrors:
      history.length > 0
        ? [
            { status: 529, count: 7, last: started - 240_000 },
            { status: 429, count: 2, last: started - 3_400_000 },
          ]
        : [],
  });

  io.on('connection', (socket) => {
    let open: ConversationDetail | null = null;
    const sentViews = new Map<string, ConversationView>(all.map((it) => [it.id, it.view()]));
    let inspecting = false;
    let watched: ReadonlySet<string> = new Set();
    let sent = 0;
    socket.emit('hello', {
      contract: 2,
      version: '0.1.0',
      started,
      now: now(),
      passthrough,
      thresholds: { checkpoint: 0.7, swap: 0.8 },
      setup: { proxyUrl: 'http://127.0.0.1:8080', caPath: '/home/ada/.local/share/claude-db-proxy/certs/ca.pem' },
    });
    socket.emit('conversations', { full: true, conversations: all.map((conversation) => conversation.view()) });
    socket.emit('totals', totals());
    socket.emit('history', { full: true, bucketMs: BUCKET_MS, from: 0, buckets: history });
    socket.emit('log', { full: true, entries: entries.slice(-1_000) });
    let logged = logSeq;
    socket.on('detail.open', (id, answer) => {
      const conversation = byId.get(id);
      open = conversation?.detail() ?? null;
      answer(
        open === null
          ? { ok: false, error: { type: 'not_found', message: 'there is no such conversation' } }
          : { ok: true, value: open },
      );
    });
    socket.on('detail.close', () => (open = null));
    socket.on('conversation.reset', (id, answer) => {
      byId.get(id)?.reset();
      answer({ ok: true, value: null });
    });
    socket.on('inspector.open', (answer) => {
      inspecting = true;
      sent = seq;
      answer({
        ok: true,
        value: {
          machines: {
            conversation: readGraph(conversationMachine).graph,
            supervisor: readGraph(supervisorMachine).graph,
          },
          actors: [supervisor, ...all.map((conversation) => conversation.actorView())],
          records: records.slice(-2_000).map(shown),
        },
      });
    });
    socket.on('inspector.watch', (sessions) => (watched = new Set(sessions)));
    socket.on('inspector.close', () => (inspecting = false));
    const patches = setInterval(() => {
      if (!fake.running) return;
      const changed = [...changedConversations].flatMap((conversation) => {
        const view = conversation.view();
        const change = conversationChange(view, sentViews.get(conversation.id));
        sentViews.set(conversation.id, view);
        return change ?? [];
      });
      if (changed.length > 0) socket.emit('conversations', { full: false, changed, removed: [] });
      const newEntries = entries.filter((entry) => entry.seq > logged);
      logged = logSeq;
      if (newEntries.length > 0) socket.emit('log', { full: false, entries: newEntries });
      const detail = open === null ? undefined : byId.get(open.id)?.detail();
      const patch = detail === undefined || open === null ? null : detailPatch(detail, open);
      open = detail ?? null;
      if (patch !== null) socket.emit('detail', patch);
      if (inspecting) {
        const newRecords = recordsFor(
          records.filter((record) => record.seq > sent),
          watched,
        );
        sent = seq;
        if (newRecords.length > 0) socket.emit('inspector', { records: newRecords });
      }
      queueMicrotask(() => changedConversations.clear());
    }, PATCH_MS);
    const totalsTimer = setInterval(() => socket.emit('totals', totals()), 1_000);
    socket.on('disconnect', () => {
      clearInterval(patches);
      clearInterval(totalsTimer);
    });
  });

  const changedConversations = new Set<FakeConversation>();
  let pendingChanges = 0;
  let next = 0;
  const { until = () => false } = options;
  const advancing = setInterval(() => {
    if (!fake.running || all.some((conversation) => until(conversation.view()))) return;
    pendingChanges += (conversations * rate * PATCH_MS) / 1_000;
    for (; pendingChanges >= 1; pendingChanges -= 1) {
      const conversation = all[next % all.length];
      next += 1;
      if (conversation === undefined) break;
      conversation.advance();
      changedConversations.add(conversation);
    }
  }, PATCH_MS);

  await new Promise<void>((resolve) => http.listen(port, '127.0.0.1', resolve));
  const { port: at } = http.address() as AddressInfo;
  const fake: FakeProxy = {
    url: `http://127.0.0.1:${at}/`,
    port: at,
    running: true,
    async close() {
      clearInterval(advancing);
      for (const conversation of all) conversation.stop();
      await io.close();
    },
  };
  return fake;
}

/** One minute of invented history. */
function fakeBucket(index: number, started: number, { past = 0 }: FakeOptions): HistoryBucket {
  const wave = Math.max(0, Math.round(4 * Math.sin(index / 9) + 3 * Math.sin(index / 3.1)));
  const used = Math.floor(wave / 2);
  return {
    at: Math.floor(started / BUCKET_MS) * BUCKET_MS - (past - index) * BUCKET_MS,
    requests: 12 + wave * 9,
    savedMs: used * 31_400,
    made: wave,
    used,
    wasted: wave > 5 ? 1 : 0,
    failed: index % 23 === 0 ? 1 : 0,
    served: used,
    forwarded: index % 31 === 0 ? 1 : 0,
    tokens: { input: wave * 1_400, cacheCreation: wave * 2_100, cacheRead: wave * 118_000, output: wave * 4_600 },
    apiErrors: index % 23 === 0 ? { '529': 1 } : {},
  };
}
