/** The phases of a conversation that users see, derived from its statechart in this one place. */
import type { ConversationSnapshot } from './conversation.ts';

/**
 * The phases, in the order of a conversation's life.
 *
 * - `IDLE`: tracked, without a servable checkpoint or a running call (also during the pause before a retry)
 * - `CHECKPOINTING`: the checkpoint call is running, and no checkpoint is servable
 * - `WAL_ACTIVE`: a checkpoint is servable; new messages are recorded after it
 * - `SWAP_READY`: the same, past the swap threshold; also after a summary was served, until the client confirms it
 */
export const PHASES = ['IDLE', 'CHECKPOINTING', 'WAL_ACTIVE', 'SWAP_READY'] as const;
export type Phase = (typeof PHASES)[number];

/** The phase of a conversation. A servable checkpoint takes precedence over a running call. */
export function phaseOf(snapshot: Pick<ConversationSnapshot, 'matches'>): Phase {
  if (snapshot.matches({ alive: { buffer: { ready: 'swapReady' } } })) return 'SWAP_READY';
  if (snapshot.matches({ alive: { buffer: 'served' } })) return 'SWAP_READY';
  if (snapshot.matches({ alive: { buffer: 'ready' } })) return 'WAL_ACTIVE';
  if (snapshot.matches({ alive: { call: 'running' } })) return 'CHECKPOINTING';
  return 'IDLE';
}
