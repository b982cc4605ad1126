/**
 * `npm run bench [-- PART …]`: figures of the real proxy over real sockets, printed and written to `bench-results.json`.
 * Nothing here fails a build by being slow: it measures and says so.
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { benchDashboard } from './dashboard.ts';
import { benchDataPath } from './data-path.ts';
import { printComparisons, printTable, type Comparison, type Figure } from './figures.ts';
import { benchLaunch } from './launch.ts';
import { benchMemory } from './memory.ts';
import { benchServing } from './serving.ts';
import { benchStart } from './start.ts';

const PARTS: Readonly<Record<string, () => Promise<readonly Figure[]>>> = {
  serving: benchServing,
  memory: benchMemory,
  dashboard: benchDashboard,
  start: benchStart,
  launch: benchLaunch,
};
const DATA_PATH = 'data-path';

const wanted = process.argv.slice(2);
const unknown = wanted.filter((part) => part !== DATA_PATH && !(part in PARTS));
if (unknown.length > 0) {
  console.error(`no such part: ${unknown.join(', ')}; there are ${[DATA_PATH, ...Object.keys(PARTS)].join(', ')}`);
  process.exit(2);
}
const isWanted = (part: string): boolean => wanted.length === 0 || wanted.includes(part);

let comparisons: readonly Comparison[] = [];
let nginx: string | null = null;
const figures: Figure[] = [];
if (isWanted(DATA_PATH)) {
  const measured = await benchDataPath();
  ({ comparisons, nginx } = measured);
  figures.push(...measured.figures);
  printComparisons(comparisons);
  if (nginx === null) console.log('nginx is not installed: nothing to compare with (apt-get install nginx-light)');
}
for (const [part, measure] of Object.entries(PARTS)) if (isWanted(part)) figures.push(...(await measure()));
printTable(figures);

const machine = { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, nginx };
const results = { at: new Date().toISOString(), machine, comparisons, figures };
writeFileSync('bench-results.json', `${JSON.stringify(results, null, 2)}\n`);
