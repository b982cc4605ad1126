/**
 * `npm run bench`: figures of the real proxy over real sockets, printed and written to `bench-results.json`.
 * Nothing here fails a build by being slow: it measures and says so.
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { benchServing } from './serving.ts';
import { printTable, type Figure } from './figures.ts';

const figures: Figure[] = [...(await benchServing())];
printTable(figures);
const machine = { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length };
writeFileSync('bench-results.json', `${JSON.stringify({ at: new Date().toISOString(), machine, figures }, null, 2)}\n`);
