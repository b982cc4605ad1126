/** Runs update rounds at a limited rate, and only when one is scheduled. */

/** Minimum time between two rounds, in milliseconds. */
const ROUND_MS = 100;

export class RoundScheduler {
  readonly #now: () => number;
  readonly #run: () => void;
  #timer: NodeJS.Timeout | null = null;
  #due = 0;
  #lastRound = 0;

  constructor(now: () => number, run: () => void) {
    this.#now = now;
    this.#run = run;
  }

  get isScheduled(): boolean {
    return this.#timer !== null;
  }

  /** Schedules a round at least `delay` milliseconds after the last one; an earlier scheduled round stays. */
  schedule(delay = ROUND_MS): void {
    const now = this.#now();
    const due = Math.min(now + delay, Math.max(now, this.#lastRound + delay));
    if (this.#timer !== null) {
      if (due >= this.#due) return;
      clearTimeout(this.#timer);
    }
    this.#due = due;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#lastRound = this.#now();
      this.#run();
    }, due - now);
  }

  cancel(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
