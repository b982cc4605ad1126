/**
 * The connection to the proxy. It is made again by itself; meanwhile what was known stays, and the pages say since when
 * it is old. Nothing here draws: what comes in goes to `store.ts` and `inspection.ts`.
 */
import { computed, effect, signal, untracked } from '@preact/signals';
import { io, type Socket } from 'socket.io-client';
import type { ClientToServerEvents, ContractVersion, Hello, Outcome, ServerToClientEvents } from '../contract.ts';
import { setClock } from './clock.ts';
import { openedFile, selected, applyInspectorRecords, applyInspectorView } from './inspection.ts';
import { route } from './current-route.ts';
import {
  conversation,
  detail,
  hello,
  applyConversations,
  applyDetail,
  applyHistory,
  applyLog,
  totals,
} from './store.ts';

/** What this page was built for. A proxy of another version may say another. */
const CONTRACT: number = 2 satisfies ContractVersion;
/** How long a request over the socket may take before it is given up. */
const ACK_TIMEOUT_MS = 8_000;
const RELOADED_KEY = 'dbproxy.reloaded';

export type ConnectionStatus =
  /** Never connected so far. */
  | { readonly state: 'connecting'; readonly since: number; readonly failed: boolean }
  | { readonly state: 'live' }
  /** Lost; `since` when, by the browser's clock. */
  | { readonly state: 'gone'; readonly since: number };

export const connection = signal<ConnectionStatus>({ state: 'connecting', since: Date.now(), failed: false });
/** When the proxy was last found to have been restarted; for a note. */
export const restartedAt = signal<number | null>(null);

const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io({
  transports: ['websocket'],
  autoConnect: false,
  reconnectionDelay: 500,
  reconnectionDelayMax: 3_000,
  timeout: 5_000,
});

/** Connects, and follows the route: what is looked at is what is asked for. Called once, by `main.tsx`. */
export function connect(): void {
  socket.on('hello', onHello);
  socket.on('conversations', applyConversations);
  socket.on('totals', (value) => (totals.value = value));
  socket.on('history', applyHistory);
  socket.on('log', applyLog);
  socket.on('detail', applyDetail);
  socket.on('inspector', ({ records }) => applyInspectorRecords(records));
  socket.on('connect_error', () => {
    const now = connection.peek();
    if (now.state === 'connecting') connection.value = { ...now, failed: true };
  });
  socket.on('disconnect', () => (connection.value = { state: 'gone', since: Date.now() }));

  let open: string | null = null;
  let before = '';
  effect(() => {
    const wanted = route.value.page === 'conversations' ? route.value.id : null;
    const live = connection.value.state === 'live';
    // One that is not known yet, or no longer, is asked for when it appears.
    const known = wanted !== null && conversation(wanted) !== undefined;
    const now = `${wanted ?? ''} ${live} ${known}`;
    if (now === before) return;
    before = now;
    untracked(() => {
      if (wanted !== open) detail.value = null;
      if (wanted !== null && live) openDetail(wanted);
      else if (open !== null && live) socket.emit('detail.close');
      open = wanted;
    });
  });
  let inspecting = false;
  effect(() => {
    const wanted = route.value.page === 'inspector';
    const live = connection.value.state === 'live';
    untracked(() => {
      if (wanted && live) openInspector();
      else if (inspecting && live) socket.emit('inspector.close');
      inspecting = wanted && live;
    });
  });
  // However much happens elsewhere: of the actor that is looked at everything is told.
  const watched = computed(() => (openedFile.value === null ? (selected.value?.session ?? null) : null));
  effect(() => {
    if (route.value.page !== 'inspector' || connection.value.state !== 'live') return;
    const { value: session } = watched;
    socket.emit('inspector.watch', session === null ? [] : [session]);
  });
  socket.connect();
}

function onHello(greeting: Hello): void {
  if (greeting.contract !== CONTRACT && reloadOnce(greeting.contract)) return;
  setClock(greeting.now);
  const before = hello.peek();
  if (before !== null && before.started !== greeting.started) restartedAt.value = Date.now();
  hello.value = greeting;
  connection.value = { state: 'live' };
}

/** The proxy is another version than the page: fetch the page that belongs to it. Once, lest it goes on for ever. */
function reloadOnce(contract: number): boolean {
  try {
    if (sessionStorage.getItem(RELOADED_KEY) === String(contract)) return false;
    sessionStorage.setItem(RELOADED_KEY, String(contract));
  } catch {
    return false;
  }
  location.reload();
  return true;
}

function openDetail(id: string): void {
  socket.emit('detail.open', id, (outcome) => {
    const { value: now } = route;
    const stillWanted = now.page === 'conversations' && now.id === id;
    if (stillWanted && outcome.ok) detail.value = outcome.value;
  });
}

function openInspector(): void {
  socket.emit('inspector.open', (outcome) => {
    if (outcome.ok) applyInspectorView(outcome.value, hello.peek()?.version ?? '');
  });
}

/** Drops a conversation's checkpoint. Resolves with what came of it, a lost connection included. */
export async function resetConversation(id: string): Promise<Outcome> {
  try {
    return (await socket.timeout(ACK_TIMEOUT_MS).emitWithAck('conversation.reset', id)) as Outcome;
  } catch {
    return { ok: false, error: { type: 'invalid_request', message: 'The proxy did not answer.' } };
  }
}
