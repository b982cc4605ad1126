/**
 * What every checkpoint call passes before it begins: the limit of calls at the same time, and the circuit breaker.
 * A call that is not let through is skipped: that costs no try, and no request of a client is ever held up by it.
 */
import { createActor, type ActorOptions } from 'xstate';
import { breakerMachine, type BreakerActor, type BreakerSnapshot } from '../../machines/breaker.ts';
import type { CallFailureKind } from '../../machines/conversation-events.ts';
import type { Timestamp } from '../../machines/units.ts';
import type { Log } from '../log.ts';

/** Why a call was not let through. */
export type SkipReason =
  /** Many failed just now: the breaker is open, or half open and its one call is under way. */
  | 'breaker'
  /** `DBPROXY_MAX_CHECKPOINTS` are under way. */
  | 'limit';

/** How a call ended. */
export type CallEnd = 'completed' | 'aborted' | CallFailureKind;

/** The permission for one call. */
export interface Permit {
  /** To be called once, when the call has ended. */
  release(end: CallEnd): void;
}

/** The breaker as `/health` shows it. */
export interface BreakerStatus {
  readonly state: 'closed' | 'open' | 'half_open';
  /** When the next call is let through; null unless it is open. */
  readonly resumesAt: Timestamp | null;
}

export interface CheckpointGateOptions {
  /** Calls at the same time, at most. */
  readonly limit: number;
  readonly log: Log;
  readonly now: () => Timestamp;
  /** Of the breaker's cool-down; the real one by default. */
  readonly clock?: NonNullable<ActorOptions<typeof breakerMachine>['clock']>;
}

export class CheckpointGate {
  readonly #options: CheckpointGateOptions;
  readonly #breaker: BreakerActor;
  #inside = 0;

  constructor(options: CheckpointGateOptions) {
    const { clock } = options;
    this.#options = options;
    this.#breaker = createActor(breakerMachine, clock === undefined ? {} : { clock });
    let last = statusOf(this.#breaker.getSnapshot());
    this.#breaker.subscribe((snapshot) => {
      const status = statusOf(snapshot);
      if (status.state !== last.state) this.#tell(status, snapshot);
      last = status;
    });
    this.#breaker.start();
  }

  /** The breaker itself, for the inspector. */
  get actor(): BreakerActor {
    return this.#breaker;
  }

  get breaker(): BreakerStatus {
    return statusOf(this.#breaker.getSnapshot());
  }

  /** Lets a call begin, or says why not. */
  acquire(): Permit | SkipReason {
    const { limit } = this.#options;
    if (this.#inside >= limit) return 'limit';
    const snapshot = this.#breaker.getSnapshot();
    const isProbe = snapshot.matches({ halfOpen: 'waiting' });
    if (!isProbe && !snapshot.matches('closed')) return 'breaker';
    if (isProbe) this.#breaker.send({ type: 'probe.begun' });
    this.#inside += 1;
    let inside = true;
    return {
      release: (end) => {
        if (!inside) return;
        inside = false;
        this.#inside -= 1;
        this.#note(end, isProbe);
      },
    };
  }

  /** Ends the breaker's timer. */
  close(): void {
    this.#breaker.stop();
  }

  #note(end: CallEnd, isProbe: boolean): void {
    const at = this.#options.now();
    switch (end) {
      case 'transient':
        this.#breaker.send({ type: isProbe ? 'probe.failed' : 'call.failed', at });
        return;
      case 'completed':
        this.#breaker.send({ type: isProbe ? 'probe.answered' : 'call.answered' });
        return;
      case 'rejected':
      case 'too_long':
      case 'unusable':
        // Neither a failure of the API nor a sign that it can bear many calls again; but a probe has got its answer.
        if (isProbe) this.#breaker.send({ type: 'probe.answered' });
        return;
      case 'skipped':
      case 'aborted':
        if (isProbe) this.#breaker.send({ type: 'probe.abandoned' });
        return;
    }
  }

  #tell({ state, resumesAt }: BreakerStatus, { context }: BreakerSnapshot): void {
    const { log } = this.#options;
    switch (state) {
      case 'open':
        log.warn('breaker.opened', {
          failures: context.failures.length,
          cool_down_ms: context.coolDown,
          resumes_at: isoOrNull(resumesAt),
        });
        return;
      case 'half_open':
        log.info('breaker.half_open');
        return;
      case 'closed':
        log.info('breaker.closed');
        return;
    }
  }
}

function statusOf(snapshot: BreakerSnapshot): BreakerStatus {
  const { resumesAt } = snapshot.context;
  if (snapshot.matches('open')) return { state: 'open', resumesAt };
  return { state: snapshot.matches('halfOpen') ? 'half_open' : 'closed', resumesAt: null };
}

/** A moment as people and `/health` read it. */
export const isoOrNull = (at: Timestamp | null): string | null => (at === null ? null : new Date(at).toISOString());
