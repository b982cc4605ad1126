/**
 * A time limit that is set and cleared with every request and rarely reached. Setting it only stores a number: the one
 * timer compares it when it fires, and is rescheduled when the limit has moved.
 */
import { performance } from 'node:perf_hooks';

export class Deadline {
  private readonly onReached: () => void;
  private at = Infinity;
  private timer: NodeJS.Timeout | null = null;
  private timerAt = Infinity;

  /** @param onReached called once when the limit has passed, and again only after another `set` */
  constructor(onReached: () => void) {
    this.onReached = onReached;
  }

  /** Sets the limit to `ms` milliseconds from now. It does not keep the process alive. */
  set(ms: number): void {
    this.at = performance.now() + ms;
    if (this.timerAt > this.at) this.schedule(ms);
  }

  /** Removes the limit; the timer remains for the next one. */
  clear(): void {
    this.at = Infinity;
  }

  /** Removes the limit and the timer. */
  end(): void {
    this.clear();
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.timerAt = Infinity;
  }

  private schedule(ms: number): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timerAt = performance.now() + ms;
    this.timer = setTimeout(() => this.onTimer(), ms);
    this.timer.unref();
  }

  private onTimer(): void {
    this.timer = null;
    this.timerAt = Infinity;
    if (this.at === Infinity) return;
    // Timers may be early by part of a millisecond.
    const left = Math.ceil(this.at - performance.now());
    if (left > 0) this.schedule(left);
    else {
      this.clear();
      this.onReached();
    }
  }
}
