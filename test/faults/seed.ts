/**
 * Where the suite's chance comes from: one seed, printed with every failure, from which each scenario draws its own
 * numbers by its name. So a scenario plays the same whether it runs alone or among all others.
 */
import { createHash, randomInt } from 'node:crypto';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

function seedFrom(given: string | undefined): number {
  if (given === undefined || given.trim() === '') return randomInt(2 ** 31);
  if (!/^\d{1,10}$/.test(given)) throw new Error(`DBPROXY_FAULTS_SEED=${given} cannot be used: a whole number`);
  return Number(given);
}

/** The seed of this run: `DBPROXY_FAULTS_SEED`, or a new one. */
export const SEED = seedFrom(process.env['DBPROXY_FAULTS_SEED']);

/** The dice of one scenario. */
export class Chance {
  readonly #generator;

  /** @param name the scenario's; the same name and seed roll the same */
  constructor(name: string, seed: number = SEED) {
    this.#generator = xoroshiro128plus(createHash('sha256').update(`${seed} ${name}`).digest().readInt32LE(0));
  }

  /** A whole number from `least` to `most`, both included. */
  int(least: number, most: number): number {
    return uniformInt(this.#generator, least, most);
  }

  /** True once in `of` times. */
  once(of: number): boolean {
    return this.int(1, of) === 1;
  }

  pick<T>(values: readonly T[]): T {
    const value = values[this.int(0, values.length - 1)];
    if (value === undefined) throw new Error('there is nothing to pick from');
    return value;
  }

  shuffled<T>(values: readonly T[]): T[] {
    const result: T[] = [];
    for (const value of values) result.splice(this.int(0, result.length), 0, value);
    return result;
  }
}
