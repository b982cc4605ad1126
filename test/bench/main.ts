/**
 * `npm run bench`: figures of the real proxy over real sockets, printed and written to `bench-results.json`.
 * Nothing here fails a build by being slow: it measures and says so.
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { benchDashboard } from './dashboard.ts';
import { benchDataPath } from './data-path.ts';
import { printComparisons, printTable } from './figures.ts';
import { benchLaunch } from './launch.ts';
import { benchMemory } from './memory.ts';
import { benchServing } from './serving.ts';
import { benchStart } from './start.ts';

const { comparisons, figures: lag, nginx } = await benchDataPath();
printComparisons(comparisons);
if (nginx === null) console.log('nginx is not installed: nothing to compare with (apt-get install nginx-light)');
const figures = [
  ...lag,
  ...(await benchServing()),
  ...(await benchMemory()),
  ...(await benchDashboard()),
  ...(await benchStart()),
  ...(await benchLaunch()),
];
printTable(figures);

const machine = { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, nginx };
const results = { at: new Date().toISOString(), machine, comparisons, figures };
writeFileSync('bench-results.json', `${JSON.stringify(results, null, 2)}\n`);
