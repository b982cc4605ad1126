/** Display names of actors and states. */
import type { ActorView } from '../contract.ts';
import { nameOf } from '../state/store.ts';

const CONVERSATION = 'conversation:';

/** A conversation's actor is shown by the conversation's name, any other by its id. */
export function actorName(actor: Pick<ActorView, 'id'>): string {
  return actor.id.startsWith(CONVERSATION) ? nameOf(actor.id.slice(CONVERSATION.length)) : actor.id;
}

/** The innermost of the active states, each by the last two parts of its path: `buffer.empty`. Pure. */
export function innermostStates(states: readonly string[]): string[] {
  return states
    .filter((state) => !states.some((other) => other.startsWith(`${state}.`)))
    .map((state) => state.split('.').slice(1).slice(-2).join('.') || state);
}

/** The innermost states that were left and entered. Pure. */
export function difference(before: readonly string[], after: readonly string[]): { left: string[]; entered: string[] } {
  const [from, to] = [innermostStates(before), innermostStates(after)];
  return { left: from.filter((state) => !to.includes(state)), entered: to.filter((state) => !from.includes(state)) };
}
