/** Sequences that grow for as long as a conversation lives, and take up no more than their share of memory. */
import type { TokenSample } from '../../web/contract.ts';

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
    if (this.#values.length >= 1.25 * this.#capacity) this.#values = this.#values.slice(-this.#capacity);
    this.#view = null;
  }

  /** Oldest first; the same array until something is added. */
  get values(): readonly T[] {
    return (this.#view ??= this.#values.slice(-this.#capacity));
  }
}

/** Rows are made room for in blocks of so many. */
const BLOCK = 32;

/**
 * All samples of a conversation, from its first: each while there is room, then every second, every fourth … Every turn
 * adds one, so they are kept as bare numbers, 16 bytes each; as objects they would be the most of what a long
 * conversation takes up.
 */
export class Samples {
  readonly #capacity: number;
  /** When each was taken … */
  #times = new Float64Array(0);
  /** … and what of how much was used then: two numbers a sample. */
  #tokens = new Uint32Array(0);
  #length = 0;
  #stride = 1;
  #pushed = 0;
  #newest: TokenSample | null = null;
  #view: readonly TokenSample[] | null = null;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  push(sample: TokenSample): void {
    if (this.#pushed % this.#stride === 0) this.#keep(sample);
    this.#pushed += 1;
    this.#newest = sample;
    this.#view = null;
    if (this.#length >= this.#capacity) this.#thin();
  }

  /** Oldest first, the newest always among them; the same array until something is added. */
  get values(): readonly TokenSample[] {
    return (this.#view ??= this.#read());
  }

  #keep({ at, effectiveWindow, used }: TokenSample): void {
    if (this.#length === this.#times.length) this.#makeRoom(this.#length + BLOCK);
    this.#times[this.#length] = at;
    this.#tokens.set([used, effectiveWindow], 2 * this.#length);
    this.#length += 1;
  }

  #makeRoom(rows: number): void {
    const times = new Float64Array(rows);
    times.set(this.#times.subarray(0, this.#length));
    this.#times = times;
    const figures = new Uint32Array(2 * rows);
    figures.set(this.#tokens.subarray(0, 2 * this.#length));
    this.#tokens = figures;
  }

  /** Lets go of every second one. */
  #thin(): void {
    const kept = Math.ceil(this.#length / 2);
    for (let row = 0; row < kept; row += 1) {
      this.#times.copyWithin(row, 2 * row, 2 * row + 1);
      this.#tokens.copyWithin(2 * row, 4 * row, 4 * row + 2);
    }
    this.#length = kept;
    this.#stride *= 2;
  }

  #read(): readonly TokenSample[] {
    const values = Array.from({ length: this.#length }, (_, row): TokenSample => ({
      at: this.#times[row] ?? 0,
      used: this.#tokens[2 * row] ?? 0,
      effectiveWindow: this.#tokens[2 * row + 1] ?? 0,
    }));
    const newestIsKept = (this.#length - 1) * this.#stride === this.#pushed - 1;
    return this.#newest === null || newestIsKept ? values : [...values, this.#newest];
  }
}
