/**
 * `DBPROXY_INSPECT=ws://…`: sends what the actors do in the standard protocol of `@statelyai/inspect`, for people who use
 * that viewer. Its own web socket adapter never reconnects once a connection was made; this one does, with a bounded
 * memory. What is sent is made of stand-ins that hold the allowed fields only (redact.ts).
 */
import { createInspector, type StatelyInspectionEvent } from '@statelyai/inspect';
import { WebSocket } from 'ws';
import { isMachineSnapshot, type AnyActorRef, type InspectionEvent } from 'xstate';
import { messageOf } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { statusOf, type Inspected } from './actors.ts';
import { contextOf, payloadOf } from './redact.ts';

const RECONNECT_MS = 5_000;
/** Bytes that may wait for a viewer that reads too slowly; what comes then is dropped. */
const MAX_WAITING = 1024 * 1024;

/** A connection to the viewer that comes back by itself. */
class Viewer {
  readonly #url: string;
  readonly #log: Log;
  readonly #onOpen: () => void;
  #socket: WebSocket | null = null;
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;
  #reported = false;

  constructor(url: string, log: Log, onOpen: () => void) {
    this.#url = url;
    this.#log = log;
    this.#onOpen = onOpen;
  }

  start(): void {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.on('open', () => {
      this.#reported = false;
      this.#log.info('inspect.connected', { url: this.#url });
      this.#onOpen();
    });
    socket.on('error', (error) => {
      if (!this.#reported) this.#log.warn('inspect.unreachable', { url: this.#url, message: error.message });
      this.#reported = true;
    });
    socket.on('close', () => {
      this.#socket = null;
      if (this.#stopped) return;
      this.#timer = setTimeout(() => this.start(), RECONNECT_MS);
      this.#timer.unref();
    });
  }

  send(event: StatelyInspectionEvent): void {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN || socket.bufferedAmount > MAX_WAITING) return;
    socket.send(JSON.stringify(event));
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#socket?.terminate();
  }
}

/** A snapshot with what may be seen of it. */
function allowedSnapshot(snapshot: unknown): { status: string; value?: unknown; context: unknown } {
  const value: unknown = isMachineSnapshot(snapshot) ? snapshot.value : undefined;
  return { status: statusOf(snapshot), ...(value === undefined ? {} : { value }), context: contextOf(snapshot) };
}

const allowedEvent = (event: { readonly type: string }): { type: string } => ({
  ...payloadOf(event),
  type: event.type,
});

/** An actor of which only name, place and statechart can be seen. */
function allowedActor(actor: Inspected): object {
  return {
    sessionId: actor.sessionId,
    id: actor.id,
    logic: actor.logic,
    _parent: actor._parent === undefined ? undefined : { sessionId: actor._parent.sessionId },
    getSnapshot: () => allowedSnapshot(actor.getSnapshot()),
  };
}

function allowed(told: InspectionEvent): object | null {
  const { rootId, type } = told;
  const actorRef = allowedActor(told.actorRef);
  switch (told.type) {
    case '@xstate.actor':
      return { type, rootId, actorRef };
    case '@xstate.event': {
      const source = told.sourceRef;
      const sourceRef = source === undefined ? undefined : { sessionId: source.sessionId };
      return { type, rootId, actorRef, sourceRef, event: allowedEvent(told.event) };
    }
    case '@xstate.snapshot':
      return {
        type,
        rootId,
        actorRef,
        event: allowedEvent(told.event),
        snapshot: allowedSnapshot(told.snapshot),
      };
    default:
      return null;
  }
}

/**
 * Forwards inspection of everything below `roots` to `url`, until the returned function is called. A viewer that is not
 * there is looked for every few seconds; nothing is kept for it meanwhile but the actors that there are.
 */
export function forwardInspection(options: {
  readonly url: string;
  readonly root: AnyActorRef;
  readonly log: Log;
}): () => void {
  const { log, root, url } = options;
  const rootId = root.sessionId;
  const introduce = (actor: AnyActorRef): void => {
    tell({ type: '@xstate.actor', rootId, actorRef: actor });
    const snapshot: unknown = actor.getSnapshot();
    tell({ type: '@xstate.snapshot', rootId, actorRef: actor, event: { type: '' }, snapshot } as never);
    if (typeof snapshot !== 'object' || snapshot === null || !('children' in snapshot)) return;
    for (const child of Object.values(snapshot.children as Readonly<Record<string, AnyActorRef | undefined>>)) {
      if (child !== undefined) introduce(child);
    }
  };
  const viewer = new Viewer(url, log, () => introduce(root));
  const inspector = createInspector(viewer);
  const tell = (told: InspectionEvent): void => {
    try {
      const event = allowed(told);
      if (event !== null) inspector.inspect.next?.(event as InspectionEvent);
    } catch (error) {
      log.warn('inspect.failed', { message: messageOf(error) });
    }
  };
  const subscription = root.system.inspect(tell);
  viewer.start();
  return () => {
    subscription.unsubscribe();
    viewer.stop();
  };
}
