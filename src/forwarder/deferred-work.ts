/**
 * Work that is due once bytes have left, and that nobody waits for: reading what an exchange meant.
 *
 * Whoever is waiting for those bytes is awake now and may have to share a processor with us. Going on at once would keep
 * it from them (measured: the last bytes of an answer were seen 1.5 ms later). So there is a pause first, in which we
 * sleep, unless there is work under way anyway; then some of it in each round of the event loop, so that everybody's bytes
 * pass in between.
 */
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';

/** In milliseconds. */
const PAUSE_MS = 2;
/** In each round an eighth of what waits is done. */
const ROUNDS = 8;

export class DeferredWork {
  private readonly log: Log;
  /** Whose work waits: all of a session's is done together and in its order, and what is about none. */
  private readonly waiting = new Map<string | null, (() => void)[]>();
  /** Made once: to wind it up again costs less than another one, and that is on the way of the bytes. */
  private timer: NodeJS.Timeout | null = null;
  private waits = false;

  constructor(log: Log) {
    this.log = log;
  }

  /** @param owner the session that the work is about; null for none */
  add(owner: string | null, work: () => void): void {
    const before = this.waiting.get(owner);
    if (before === undefined) this.waiting.set(owner, [work]);
    else before.push(work);
    if (this.waits) return;
    this.waits = true;
    if (this.timer === null) this.timer = setTimeout(() => this.runBatch(), PAUSE_MS);
    else this.timer.refresh();
  }

  /** Does a session's work now: what comes next builds on it. */
  finish(owner: string | null): void {
    const works = this.waiting.get(owner);
    if (works === undefined) return;
    this.waiting.delete(owner);
    for (const work of works) this.do(work);
  }

  /** Does all of it now. */
  finishAll(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.waits = false;
    for (const owner of [...this.waiting.keys()]) this.finish(owner);
  }

  private do(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.log.error('observer.failed', { message: messageOf(error) });
    }
  }

  /** A round of it: the more sessions wait the more of them, so that they do not become more and more in a crowd. */
  private runBatch(): void {
    if (this.waiting.size === 0) {
      this.waits = false;
      return;
    }
    setImmediate(() => this.runBatch());
    const share = Math.ceil(this.waiting.size / ROUNDS);
    for (const owner of [...this.waiting.keys()].slice(0, share)) this.finish(owner);
  }
}
