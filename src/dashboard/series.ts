/** Sequences that grow for as long as a conversation lives, and take up no more than their share of memory. */
import type { TokenSample } from '../../web/contract.ts';

/** The newest `capacity` values. */
export class RingBuffer<T> {
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

/** An effective window, and the first row that it holds for. */
interface WindowChange {
  readonly row: number;
  readonly effectiveWindow: number;
}

/**
 * All samples of a conversation, from its first: each while there is room, then every second, every fourth … Every turn
 * adds one, so they are kept as bare numbers, 8 bytes each; as objects they would be the most of what a long
 * conversation takes up.
 */
export class DownsampledSeries {
  readonly #capacity: number;
  #began = 0;
  /** When each was taken, since the first: to the millisecond for four hours, then to a sixteen-millionth of the time. */
  #times = new Float32Array(0);
  /** Tokens that were used then. */
  #used = new Uint32Array(0);
  /** Of how many: it hardly ever changes. In order of rows, one a row at the most. */
  #windows: WindowChange[] = [];
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
    if (this.#length === 0) this.#began = at;
    if (this.#length === this.#times.length) this.#makeRoom(this.#length + BLOCK);
    this.#times[this.#length] = at - this.#began;
    this.#used[this.#length] = used;
    if (this.#windows.at(-1)?.effectiveWindow !== effectiveWindow) this.#changeWindow(this.#length, effectiveWindow);
    this.#length += 1;
  }

  #changeWindow(row: number, effectiveWindow: number): void {
    if (this.#windows.at(-1)?.row === row) this.#windows.pop();
    this.#windows.push({ row, effectiveWindow });
  }

  #makeRoom(rows: number): void {
    const times = new Float32Array(rows);
    times.set(this.#times.subarray(0, this.#length));
    this.#times = times;
    const used = new Uint32Array(rows);
    used.set(this.#used.subarray(0, this.#length));
    this.#used = used;
  }

  /** Lets go of every second one. */
  #thin(): void {
    const kept = Math.ceil(this.#length / 2);
    for (let row = 0; row < kept; row += 1) {
      this.#times.copyWithin(row, 2 * row, 2 * row + 1);
      this.#used.copyWithin(row, 2 * row, 2 * row + 1);
    }
    const changes = this.#windows;
    this.#windows = [];
    for (const { effectiveWindow, row } of changes) this.#changeWindow(Math.ceil(row / 2), effectiveWindow);
    this.#length = kept;
    this.#stride *= 2;
  }

  #read(): readonly TokenSample[] {
    const values: TokenSample[] = [];
    let change = -1;
    for (let row = 0; row < this.#length; row += 1) {
      if (this.#windows[change + 1]?.row === row) change += 1;
      const { effectiveWindow = 0 } = this.#windows[change] ?? {};
      values.push({ at: this.#began + (this.#times[row] ?? 0), used: this.#used[row] ?? 0, effectiveWindow });
    }
    const newestIsKept = (this.#length - 1) * this.#stride === this.#pushed - 1;
    return this.#newest === null || newestIsKept ? values : [...values, this.#newest];
  }
}
