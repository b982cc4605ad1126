/**
 * A queue of work that follows an exchange: parsing and bookkeeping after its bytes have been sent.
 *
 * Work starts after a pause of 2 ms and is then spread over rounds of the event loop, so that bytes are forwarded in
 * between. The pause leaves the processor to the client, which has just been woken by those bytes (measured: without it
 * the last bytes of an answer arrived 1.5 ms later).
 */
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';

/** Time before the work starts, in milliseconds. */
const PAUSE_MS = 2;
/** One round does this fraction of the queues: an eighth. */
const ROUNDS = 8;

export class DeferredWork {
  private readonly log: Log;
  /** Work by session, in order; null: work of no session. */
  private readonly queues = new Map<string | null, (() => void)[]>();
  /** Created once: refreshing a timer costs less than creating one, and this is on the path of the bytes. */
  private timer: NodeJS.Timeout | null = null;
  private isScheduled = false;

  constructor(log: Log) {
    this.log = log;
  }

  /** @param session the session that the work is about; null for none */
  add(session: string | null, work: () => void): void {
    const queue = this.queues.get(session);
    if (queue === undefined) this.queues.set(session, [work]);
    else queue.push(work);
    if (this.isScheduled) return;
    this.isScheduled = true;
    if (this.timer === null) this.timer = setTimeout(() => this.runBatch(), PAUSE_MS);
    else this.timer.refresh();
  }

  /** Runs a session's work now, because the session's next request depends on it. */
  runFor(session: string | null): void {
    const queue = this.queues.get(session);
    if (queue === undefined) return;
    this.queues.delete(session);
    for (const work of queue) this.run(work);
  }

  /** Runs all work now. */
  runAll(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.isScheduled = false;
    for (const session of [...this.queues.keys()]) this.runFor(session);
  }

  private run(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.log.error('observer.failed', { message: messageOf(error) });
    }
  }

  /** Runs a share of the queues in each round, so that the backlog cannot grow with the number of sessions. */
  private runBatch(): void {
    if (this.queues.size === 0) {
      this.isScheduled = false;
      return;
    }
    setImmediate(() => this.runBatch());
    const share = Math.ceil(this.queues.size / ROUNDS);
    for (const session of [...this.queues.keys()].slice(0, share)) this.runFor(session);
  }
}
