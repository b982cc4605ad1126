/** Actors of the running system as they are shown: what kind each is, what it is called, where it stands. */
import { isMachineSnapshot, type AnyActorRef, type AnyStateMachine } from 'xstate';
import type { ActorView } from '../../../web/contract.ts';
import { readGraph, type ReadGraph } from './graph.ts';

/** What `ActorRefLike` of an inspection event really is. */
export type Inspected = Pick<AnyActorRef, 'sessionId' | 'getSnapshot'> &
  Partial<Pick<AnyActorRef, 'id' | '_parent' | 'src'>> & { readonly logic?: unknown };

/** How the invoked actors of our machines are made; XState does not tell. */
const KINDS: Readonly<Record<string, ActorView['kind']>> = {
  computeCheckpoint: 'promise',
  start: 'promise',
  close: 'promise',
  watch: 'callback',
};

const graphs = new WeakMap<object, ReadGraph>();

const isMachine = (logic: unknown): logic is AnyStateMachine =>
  typeof logic === 'object' && logic !== null && 'getStateNodeById' in logic;

/** The statechart of an actor; null for one that has none. Read once per machine. */
export function graphOf({ logic }: Inspected): ReadGraph | null {
  if (!isMachine(logic)) return null;
  const known = graphs.get(logic) ?? readGraph(logic);
  graphs.set(logic, known);
  return known;
}

const NONE: readonly string[] = [];
/** By the list of nodes that a snapshot holds: one that moved nothing has the list of the one before it. */
const states = new WeakMap<object, readonly string[]>();

/** Ids of the active state nodes, outermost first; [] for an actor without a statechart. */
export function statesOf(snapshot: unknown): readonly string[] {
  if (!isMachineSnapshot(snapshot)) return NONE;
  const nodes = snapshot._nodes as readonly { readonly id: string; readonly path: readonly string[] }[];
  const known = states.get(nodes);
  if (known !== undefined) return known;
  const ids = [...nodes].sort((a, b) => a.path.length - b.path.length).map(({ id }) => id);
  states.set(nodes, ids);
  return ids;
}

export function statusOf(snapshot: unknown): ActorView['status'] {
  const status = typeof snapshot === 'object' && snapshot !== null && 'status' in snapshot ? snapshot.status : null;
  return status === 'done' || status === 'error' || status === 'stopped' ? status : 'active';
}

/** Children that are invoked are named by their place; what they do says more. */
function nameOf({ id, sessionId, src }: Inspected): string {
  if (typeof src === 'string' && (id === undefined || /^\d+\./.test(id))) return src;
  return id ?? sessionId;
}

export function actorView(actor: Inspected): ActorView {
  const snapshot: unknown = actor.getSnapshot();
  const graph = graphOf(actor);
  const parent = actor._parent?.sessionId ?? null;
  return {
    session: actor.sessionId,
    id: parent === null && graph !== null ? graph.graph.id : nameOf(actor),
    parent,
    machine: graph?.graph.id ?? null,
    kind: graph !== null ? 'machine' : (KINDS[typeof actor.src === 'string' ? actor.src : ''] ?? 'other'),
    status: statusOf(snapshot),
    states: statesOf(snapshot),
  };
}
