/** Sequences that grow for as long as a conversation lives, and take up no more than their share of memory. */

/** The newest `capacity` values. */
export class Recent<T> {
  readonly #capacity: number;
  #values: T[] = [];
  #view: readonly T[] | null = null;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  push(value: T): void {
    this.#values.push(value);
    // Cut now and then, not each time.
    if (this.#values.length >= 2 * this.#capacity) this.#values = this.#values.slice(-this.#capacity);
    this.#view = null;
  }

  /** Oldest first; the same array until something is added. */
  get values(): readonly T[] {
    return (this.#view ??= this.#values.slice(-this.#capacity));
  }
}

/** All of a sequence, from its beginning: each value while there is room, then every second, every fourth … */
export class Thinned<T> {
  readonly #capacity: number;
  #values: T[] = [];
  #stride = 1;
  #pushed = 0;
  #last: T | null = null;
  #view: readonly T[] | null = null;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  push(value: T): void {
    if (this.#pushed % this.#stride === 0) this.#values.push(value);
    this.#pushed += 1;
    this.#last = value;
    this.#view = null;
    if (this.#values.length < this.#capacity) return;
    this.#values = this.#values.filter((_, at) => at % 2 === 0);
    this.#stride *= 2;
  }

  /** Oldest first, the newest always among them; the same array until something is added. */
  get values(): readonly T[] {
    const last = this.#last;
    const missing = last === null || this.#values.at(-1) === last ? [] : [last];
    return (this.#view ??= [...this.#values, ...missing]);
  }
}
