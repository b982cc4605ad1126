/** Display texts for the values of the contract. */
import type { Phase, SeriesMark } from './contract.ts';

export const PHASE_NAME: Readonly<Record<Phase, string>> = {
  IDLE: 'Idle',
  CHECKPOINTING: 'Checkpointing',
  WAL_ACTIVE: 'WAL active',
  SWAP_READY: 'Swap ready',
};

export const PHASES = Object.keys(PHASE_NAME) as readonly Phase[];

/** What a phase means, in one sentence. */
export const PHASE_MEANING: Readonly<Record<Phase, string>> = {
  IDLE: 'No checkpoint is needed yet.',
  CHECKPOINTING: 'A summary is being computed in the background.',
  WAL_ACTIVE: 'The summary is ready; newer messages are appended to it, as in a write-ahead log.',
  SWAP_READY: 'The next compaction is served instantly from the checkpoint.',
};

/** What ends a phase. */
export const PHASE_EXIT: Readonly<Record<Phase, string>> = {
  IDLE: 'checkpoint threshold',
  CHECKPOINTING: 'ready',
  WAL_ACTIVE: 'swap threshold',
  SWAP_READY: 'swapped',
};

export const MARK_NAME: Readonly<Record<SeriesMark['kind'], string>> = {
  checkpoint: 'checkpoint ready',
  failed: 'checkpoint failed',
  swap: 'compaction served by proxy',
  compaction: 'compaction served by API',
  replaced: 'continued from summary',
  reset: 'reset manually',
};

/** The colour of a mark: success, failure or neutral. */
export const MARK_TONE: Readonly<Record<SeriesMark['kind'], 'wal' | 'bad' | 'swap' | 'warn' | 'idle'>> = {
  checkpoint: 'wal',
  failed: 'bad',
  swap: 'swap',
  compaction: 'warn',
  replaced: 'idle',
  reset: 'idle',
};

/** What an HTTP status of the API means. */
export function statusText(status: number): string {
  const known: Readonly<Record<number, string>> = {
    0: 'unreachable or connection lost',
    400: 'invalid request',
    401: 'authentication failed',
    402: 'billing error',
    403: 'permission denied',
    404: 'not found',
    413: 'request too large',
    429: 'rate limit',
    500: 'API error',
    504: 'timeout',
    529: 'overloaded',
  };
  return known[status] ?? (status >= 500 ? 'server error' : 'client error');
}
