/**
 * The connection to the proxy, which reconnects by itself. Until then the pages keep the last known state and say how
 * old it is. Received data goes to `store.ts` and `inspection.ts`.
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

/** The version of the contract that this page was built for. */
const CONTRACT: number = 2 satisfies ContractVersion;
/** How long to wait for the answer to a request over the socket. */
const ACK_TIMEOUT_MS = 8_000;
const RELOADED_KEY = 'dbproxy.reloaded';

export type ConnectionStatus =
  /** Never connected so far. */
  | { readonly state: 'connecting'; readonly since: number; readonly failed: boolean }
  | { readonly state: 'live' }
  /** Lost at `since`, by the browser's clock. */
  | { readonly state: 'gone'; readonly since: number };

export const connection = signal<ConnectionStatus>({ state: 'connecting', since: Date.now(), failed: false });
/** When a restart of the proxy was last noticed. */
export const restartedAt = signal<number | null>(null);

const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io({
  transports: ['websocket'],
  autoConnect: false,
  reconnectionDelay: 500,
  reconnectionDelayMax: 3_000,
  timeout: 5_000,
});

/** Connects, and requests the data of the open page. Called once, by `main.tsx`. */
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

  let openId: string | null = null;
  let previous = '';
  effect(() => {
    const id = route.value.page === 'conversations' ? route.value.id : null;
    const live = connection.value.state === 'live';
    // An unknown conversation is requested again when it appears.
    const known = id !== null && conversation(id) !== undefined;
    const current = `${id ?? ''} ${live} ${known}`;
    if (current === previous) return;
    previous = current;
    untracked(() => {
      if (id !== openId) detail.value = null;
      if (id !== null && live) openDetail(id);
      else if (openId !== null && live) socket.emit('detail.close');
      openId = id;
    });
  });
  let inspecting = false;
  effect(() => {
    const shown = route.value.page === 'inspector';
    const live = connection.value.state === 'live';
    untracked(() => {
      if (shown && live) openInspector();
      else if (inspecting && live) socket.emit('inspector.close');
      inspecting = shown && live;
    });
  });
  // The proxy omits no event of the watched actor.
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
  const previous = hello.peek();
  if (previous !== null && previous.started !== greeting.started) restartedAt.value = Date.now();
  hello.value = greeting;
  connection.value = { state: 'live' };
}

/** Reloads a page that is older or newer than the proxy. Once for each version, to avoid an endless loop. */
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
    const { value: current } = route;
    const stillOpen = current.page === 'conversations' && current.id === id;
    if (stillOpen && outcome.ok) detail.value = outcome.value;
  });
}

function openInspector(): void {
  socket.emit('inspector.open', (outcome) => {
    if (outcome.ok) applyInspectorView(outcome.value, hello.peek()?.version ?? '');
  });
}

/** Resets a conversation. A lost connection is an unsuccessful outcome too. */
export async function resetConversation(id: string): Promise<Outcome> {
  try {
    return (await socket.timeout(ACK_TIMEOUT_MS).emitWithAck('conversation.reset', id)) as Outcome;
  } catch {
    return { ok: false, error: { type: 'invalid_request', message: 'The proxy did not answer.' } };
  }
}
