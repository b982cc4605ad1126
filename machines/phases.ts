/** The public phases of a conversation, as users know them, derived in this one place from the statechart. */
import type { ConversationSnapshot } from './conversation.ts';

/**
 * The phases, in the order in which a conversation goes through them.
 *
 * - `IDLE`: tracked, nothing to do (also while a failed checkpoint waits to be tried again)
 * - `CHECKPOINTING`: the background call is running, nothing is servable yet
 * - `WAL_ACTIVE`: a checkpoint is servable, new messages are recorded after it
 * - `SWAP_READY`: the same, past the swap threshold; also after a summary was served, until the client confirms it
 */
export const PHASES = ['IDLE', 'CHECKPOINTING', 'WAL_ACTIVE', 'SWAP_READY'] as const;
export type Phase = (typeof PHASES)[number];

/** The phase of a conversation. A servable checkpoint shows before a running call: the user has what counts. */
export function phaseOf(snapshot: Pick<ConversationSnapshot, 'matches'>): Phase {
  if (snapshot.matches({ alive: { buffer: { ready: 'swapReady' } } })) return 'SWAP_READY';
  if (snapshot.matches({ alive: { buffer: 'served' } })) return 'SWAP_READY';
  if (snapshot.matches({ alive: { buffer: 'ready' } })) return 'WAL_ACTIVE';
  if (snapshot.matches({ alive: { call: 'running' } })) return 'CHECKPOINTING';
  return 'IDLE';
}
