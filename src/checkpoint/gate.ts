/**
 * Admits checkpoint calls: within the limit of simultaneous calls, and only while the circuit breaker lets them through.
 * A call that is not admitted is skipped: it does not count as an attempt, and it delays no request of a client.
 */
import { breakerMachine, type BreakerActor, type BreakerSnapshot } from '../../machines/breaker.ts';
import type { CallFailureKind } from '../../machines/conversation-events.ts';
import type { Timestamp } from '../../machines/units.ts';
import type { Log } from '../log.ts';

/** Why a call was not admitted. */
export type SkipReason =
  /** The breaker is open, or half open while its probe is running. */
  | 'breaker'
  /** `DBPROXY_MAX_CHECKPOINTS` calls are running. */
  | 'limit';

/** How a call ended. */
export type CallEnd = 'completed' | 'aborted' | CallFailureKind;

/** The permission for one call. */
export interface Permit {
  /** Must be called when the call has ended; further calls have no effect. */
  release(end: CallEnd): void;
}

/** The breaker as `/health` shows it. */
export interface BreakerStatus {
  readonly state: 'closed' | 'open' | 'half_open';
  /** When the next call is admitted; null unless the breaker is open. */
  readonly resumesAt: Timestamp | null;
}

export interface CheckpointGateOptions {
  /** Simultaneous calls at most. */
  readonly limit: number;
  readonly now: () => Timestamp;
  /** The supervisor's breaker; undefined before the start and after the end of the supervisor. */
  readonly breaker: () => BreakerActor | undefined;
}

export class CheckpointGate {
  readonly #options: CheckpointGateOptions;
  #running = 0;

  constructor(options: CheckpointGateOptions) {
    this.#options = options;
  }

  get breaker(): BreakerStatus {
    const breaker = this.#options.breaker();
    return breaker === undefined ? { state: 'closed', resumesAt: null } : statusOf(breaker.getSnapshot());
  }

  /** Admits a call, or returns why not. */
  acquire(): Permit | SkipReason {
    const { breaker, limit } = this.#options;
    if (this.#running >= limit) return 'limit';
    const snapshot = breaker()?.getSnapshot();
    const isProbe = snapshot?.matches({ halfOpen: 'waiting' }) ?? false;
    if (!isProbe && snapshot?.matches('closed') === false) return 'breaker';
    if (isProbe) breaker()?.send({ type: 'probe.begun' });
    this.#running += 1;
    let isRunning = true;
    return {
      release: (end) => {
        if (!isRunning) return;
        isRunning = false;
        this.#running -= 1;
        this.#report(end, isProbe);
      },
    };
  }

  #report(end: CallEnd, isProbe: boolean): void {
    const breaker = this.#options.breaker();
    const at = this.#options.now();
    switch (end) {
      case 'transient':
        breaker?.send({ type: isProbe ? 'probe.failed' : 'call.failed', at });
        return;
      case 'completed':
        breaker?.send({ type: isProbe ? 'probe.answered' : 'call.answered' });
        return;
      case 'rejected':
      case 'too_long':
      case 'unusable':
        // The API answered, which ends a probe. It is no evidence that the API can take many calls again.
        if (isProbe) breaker?.send({ type: 'probe.answered' });
        return;
      case 'skipped':
      case 'aborted':
        if (isProbe) breaker?.send({ type: 'probe.abandoned' });
        return;
    }
  }
}

/** The breaker's machine with a log line for each change of its state. */
export const loggedBreakerMachine = (log: Log): typeof breakerMachine =>
  breakerMachine.provide({
    actions: {
      onOpened: ({ context: { coolDown, failures, resumesAt } }) =>
        log.warn('breaker.opened', {
          failures: failures.length,
          cool_down_ms: coolDown,
          resumes_at: isoOrNull(resumesAt),
        }),
      onHalfOpened: () => log.info('breaker.half_open'),
      onClosed: () => log.info('breaker.closed'),
    },
  });

function statusOf(snapshot: BreakerSnapshot): BreakerStatus {
  const { resumesAt } = snapshot.context;
  if (snapshot.matches('open')) return { state: 'open', resumesAt };
  return { state: snapshot.matches('halfOpen') ? 'half_open' : 'closed', resumesAt: null };
}

/** A time as `/health` and the log show it. */
export const isoOrNull = (at: Timestamp | null): string | null => (at === null ? null : new Date(at).toISOString());
