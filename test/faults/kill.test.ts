/**
 * `kill -9` at random moments of a working session, again and again, and a new start on the same ports and data
 * directory. Nobody loses an answer for longer than the start takes, and no checkpoint that was completed is lost.
 */
import { expect } from 'chai';
import { setTimeout as pause } from 'node:timers/promises';
import { figures, note } from './figures.ts';
import { scenario } from './scenario.ts';
import { onServeStage } from './serve-stage.ts';

const KILLS = 100;
const WORKERS = 4;
/** The proxy lives for at most so long between two kills, in milliseconds: enough for a whole round of work. */
const LONGEST_LIFE_MS = 900;

describe('kill -9 in a working session', () => {
  scenario(
    `${KILLS} times at random moments, and started again`,
    (chance) =>
      onServeStage(chance, {}, async (stage) => {
        const workers = Array.from({ length: WORKERS }, (_, at) => stage.worker(`worker-${at + 1}`));
        const work = { over: false };
        const working = Promise.all(workers.map((worker) => worker.work(() => work.over)));
        // What fails while this one kills on is told at the end.
        working.catch(() => (work.over = true));
        const moments = new Map<string, number>();
        let kills = 0;
        while (kills < KILLS && !work.over) {
          await pause(chance.int(0, LONGEST_LIFE_MS));
          for (const { doing } of workers) moments.set(doing, (moments.get(doing) ?? 0) + 1);
          await stage.kill();
          kills += 1;
          if (chance.once(8)) {
            // It does not even live until it is ready.
            stage.child.spawn();
            await pause(chance.int(20, 600));
            await stage.kill();
            kills += 1;
          }
          await stage.restart();
          expect((await stage.child.health())['status']).to.equal('ok');
          if (kills % 20 === 0) process.stdout.write(`      ${kills} kills, ${figures.served} compactions served\n`);
        }
        work.over = true;
        await working;
        for (const worker of workers) await worker.finish();
        const told = [...moments].map(([doing, count]) => `${doing} ${count}`).join(', ');
        note(`killed while workers were: ${told}`);
      }),
    600_000,
  );
});
