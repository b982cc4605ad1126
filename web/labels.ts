/** The words that the pages use for what the contract names. */
import type { Phase, SeriesMark } from './contract.ts';

export const PHASE_NAME: Readonly<Record<Phase, string>> = {
  IDLE: 'Idle',
  CHECKPOINTING: 'Checkpointing',
  WAL_ACTIVE: 'WAL active',
  SWAP_READY: 'Swap ready',
};

export const PHASES = Object.keys(PHASE_NAME) as readonly Phase[];

/** What goes on in a phase, in one sentence. */
export const PHASE_MEANING: Readonly<Record<Phase, string>> = {
  IDLE: 'The conversation grows; nothing has to be done yet.',
  CHECKPOINTING: 'The summary is being computed in the background while the work goes on.',
  WAL_ACTIVE: 'The summary is ready; what is said now is kept behind it, as in a write-ahead log.',
  SWAP_READY: 'The client may compact at any moment and will be answered at once.',
};

/** What leads into the phase after this one. */
export const PHASE_EXIT: Readonly<Record<Phase, string>> = {
  IDLE: 'checkpoint threshold',
  CHECKPOINTING: 'ready',
  WAL_ACTIVE: 'swap threshold',
  SWAP_READY: 'swapped',
};

export const MARK_NAME: Readonly<Record<SeriesMark['kind'], string>> = {
  checkpoint: 'checkpoint ready',
  failed: 'checkpoint failed',
  swap: 'compaction served here',
  compaction: 'compaction by the API',
  replaced: 'went on from the summary',
  reset: 'reset by hand',
};

/** Marks that share a look: what is good, what went wrong, and what only happened. */
export const MARK_TONE: Readonly<Record<SeriesMark['kind'], 'wal' | 'bad' | 'swap' | 'warn' | 'muted'>> = {
  checkpoint: 'wal',
  failed: 'bad',
  swap: 'swap',
  compaction: 'warn',
  replaced: 'muted',
  reset: 'muted',
};

/** A status of the API as people know it. */
export function statusText(status: number): string {
  const known: Readonly<Record<number, string>> = {
    0: 'not reached, or broken off',
    400: 'invalid request',
    401: 'not authenticated',
    402: 'billing',
    403: 'not permitted',
    404: 'not found',
    413: 'request too large',
    429: 'rate limit',
    500: 'API error',
    504: 'timeout',
    529: 'overloaded',
  };
  return known[status] ?? (status >= 500 ? 'server error' : 'refused');
}
