/** How actors and states are called in the inspector. */
import type { ActorView } from '../contract.ts';
import { nameOf } from '../state/store.ts';

const CONVERSATION = 'conversation:';

/** An actor as people know it: a conversation by its name, others by what they are. */
export function actorName(actor: Pick<ActorView, 'id'>): string {
  return actor.id.startsWith(CONVERSATION) ? nameOf(actor.id.slice(CONVERSATION.length)) : actor.id;
}

/** The innermost of the active states, each without what all share: `buffer.empty`. Pure. */
export function leaves(states: readonly string[]): string[] {
  return states
    .filter((state) => !states.some((other) => other.startsWith(`${state}.`)))
    .map((state) => state.split('.').slice(1).slice(-2).join('.') || state);
}

/** What changed from one set of active states to another, innermost states only. Pure. */
export function difference(before: readonly string[], after: readonly string[]): { left: string[]; entered: string[] } {
  const [from, to] = [leaves(before), leaves(after)];
  return { left: from.filter((state) => !to.includes(state)), entered: to.filter((state) => !from.includes(state)) };
}
