/**
 * `kill -9` at random moments of a working session, again and again, and a new start on the same ports and data
 * directory. Nobody loses an answer for longer than the start takes, and no checkpoint that was completed is lost.
 */
import { expect } from 'chai';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { startSimulatedApi } from '../../src/simulated-api/index.ts';
import { newDataDir } from '../src/forwarder/quick-rig.ts';
import { PART_HEADER } from './client.ts';
import { figures, note } from './figures.ts';
import { scenario } from './scenario.ts';
import { ServeChild } from './serve-child.ts';
import { openTap } from './tap.ts';
import { Worker } from './working-session.ts';

const KILLS = 12;
const WORKERS = 4;
/** The proxy lives for at most so long between two kills, in milliseconds: enough for a whole round of work. */
const LONGEST_LIFE_MS = 900;

describe('kill -9 in a working session', () => {
  scenario(
    `${KILLS} times at random moments, and started again`,
    async function (chance) {
      const workers = new Map<string, Worker>();
      const api = await startSimulatedApi({
        script: (call) => workers.get(call.request.headers[PART_HEADER]?.toString() ?? '')?.answer(call),
        record: 'heads',
      });
      const tap = await openTap(api.port);
      const dataDir = await newDataDir();
      const child = new ServeChild({ dataDir, upstream: tap.url });
      const interruptions = { kills: 0, givenUp: false };
      try {
        await child.start();
        for (let at = 1; at <= WORKERS; at += 1) {
          const name = `worker-${at}`;
          workers.set(name, new Worker({ name, target: child, tap, chance, interruptions }));
        }
        child.onLine = (line) => {
          for (const worker of workers.values()) worker.take(line);
        };
        const work = { over: false };
        const moments = new Map<string, number>();
        const working = Promise.all([...workers.values()].map((worker) => worker.work(() => work.over)));
        // What fails while this one kills on is told at the end.
        working.catch(() => (work.over = true));
        for (let kill = 1; kill <= KILLS && !work.over; kill += 1) {
          await pause(chance.int(0, LONGEST_LIFE_MS));
          for (const { doing } of workers.values()) moments.set(doing, (moments.get(doing) ?? 0) + 1);
          interruptions.kills += 1;
          await child.kill();
          figures.kills += 1;
          // Now and then it does not even live until it is ready.
          const since = child.lines.length;
          child.spawn();
          if (chance.once(8)) {
            await pause(chance.int(20, 400));
            interruptions.kills += 1;
            await child.kill();
            figures.kills += 1;
            child.spawn();
          }
          await child.ready(since);
          figures.restarts += 1;
          expect((await child.health())['status']).to.equal('ok');
          if (kill % 20 === 0) process.stdout.write(`      ${kill} kills, ${figures.served} compactions served\n`);
        }
        work.over = true;
        await working;
        for (const worker of workers.values()) await worker.finish();
        const defects = child.lines.filter((line) => line['level'] === 'error');
        expect(defects, 'errors in the log').to.deep.equal([]);
        await child.kill('SIGTERM');
        expect(child.exitCode, 'exit code after SIGTERM').to.equal(0);
        expectTidy(dataDir);
        const told = [...moments].map(([doing, count]) => `${doing} ${count}`).join(', ');
        note(`killed while workers were: ${told}`);
      } finally {
        interruptions.givenUp = true;
        figures.checkpoints += child.logged('checkpoint.completed').length;
        figures.forwarded += child.logged('compaction.forwarded').length;
        figures.faults += interruptions.kills;
        await child.close();
        await Promise.all([...workers.values()].map((worker) => worker.client.close()));
        await tap.close();
        await api.close();
        rmSync(dataDir, { recursive: true, force: true });
      }
    },
    600_000,
  );
});

/** No half-written file stays for good. */
function expectTidy(dataDir: string): void {
  const names = readdirSync(dataDir, { recursive: true }).map(String);
  const litter = names.filter((name) => /\.(tmp|new|part)\b|~$/.test(join('/', name)));
  expect(litter, 'files left behind').to.deep.equal([]);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
