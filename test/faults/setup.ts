/** Around the whole fault suite: says the seed at the beginning and the figures at the end. */
import { performance } from 'node:perf_hooks';
import { closeStages } from './stages.ts';
import { report } from './figures.ts';
import { SEED } from './seed.ts';

let began = 0;

export const mochaHooks = {
  beforeAll(): void {
    began = performance.now();
    process.stdout.write(`  seed ${SEED} (DBPROXY_FAULTS_SEED=${SEED} npm run test:faults plays the same again)\n`);
  },
  async afterAll(): Promise<void> {
    await closeStages();
    process.stdout.write(`\n${report(SEED, Math.round((performance.now() - began) / 1_000))}\n`);
  },
};
