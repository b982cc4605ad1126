/**
 * A time limit that is set and lifted with every request and hardly ever reached. Setting it writes down a number; there
 * is one timer, which looks at the number when it goes off and goes on waiting where the limit has moved.
 */
import { performance } from 'node:perf_hooks';

export class Deadline {
  private readonly reached: () => void;
  private at = Infinity;
  private timer: NodeJS.Timeout | null = null;
  private timerAt = Infinity;

  /** @param reached called when a limit that was set has passed; not called again before the next `set` */
  constructor(reached: () => void) {
    this.reached = reached;
  }

  /** The limit is in `ms` milliseconds, whatever was set before. It does not keep the process alive. */
  set(ms: number): void {
    this.at = performance.now() + ms;
    if (this.timerAt > this.at) this.wait(ms);
  }

  /** There is no limit any more. The timer stays for the next one. */
  lift(): void {
    this.at = Infinity;
  }

  /** Ends the timer too. */
  end(): void {
    this.lift();
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.timerAt = Infinity;
  }

  private wait(ms: number): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timerAt = performance.now() + ms;
    this.timer = setTimeout(() => this.look(), ms);
    this.timer.unref();
  }

  private look(): void {
    this.timer = null;
    this.timerAt = Infinity;
    if (this.at === Infinity) return;
    // Timers may be early by part of a millisecond.
    const left = Math.ceil(this.at - performance.now());
    if (left > 0) this.wait(left);
    else {
      this.lift();
      this.reached();
    }
  }
}
