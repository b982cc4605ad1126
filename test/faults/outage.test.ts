/** The API is gone for minutes: every request has a clear error at once, checkpoints are served, and all goes on after. */
import { expect } from 'chai';
import { setTimeout as pause } from 'node:timers/promises';
import { figures, note } from './figures.ts';
import { eventually } from './handles.ts';
import { judge } from './judge.ts';
import { scenario } from './scenario.ts';
import { onServeStage } from './serve-stage.ts';

/** Real time; the breaker and the retries make minutes of it. */
const GONE_MS = 8_000;
const WORKERS = 6;

describe('an API that is gone', () => {
  scenario(
    'for a while: clear errors at once, compactions served from checkpoints, then everything goes on',
    (chance) =>
      onServeStage(chance, { probe: true }, async (stage) => {
        const ready = Array.from({ length: WORKERS }, (_, at) => stage.worker(`ready-${at}`));
        const early = Array.from({ length: WORKERS }, (_, at) => stage.worker(`early-${at}`));
        for (const worker of [...ready, ...early]) await worker.talk();
        for (const worker of ready) {
          await worker.checkpoint();
          await worker.fill();
        }
        const rest = await stage.rest();
        await stage.tap.down();
        figures.faults += 1;
        const began = Date.now();
        let errors = 0;
        let slowest = 0;
        // What has a checkpoint compacts as if nothing were wrong.
        await Promise.all(ready.map((worker) => worker.compact()));
        while (Date.now() - began < GONE_MS) {
          for (const worker of early) {
            const reply = await worker.client.say();
            expect(judge(reply, stage.tap, worker.name)).to.equal('our error');
            errors += 1;
            slowest = Math.max(slowest, reply.ms);
          }
          expect((await stage.child.health())['status']).to.equal('ok');
          await pause(100);
        }
        expect(slowest, 'milliseconds until the slowest error').to.be.below(2_000);
        note(`API gone for ${GONE_MS / 1_000} s: ${errors} clear errors, the slowest after ${Math.round(slowest)} ms`);
        await stage.tap.up();
        for (const worker of ready) await worker.talk();
        for (const worker of [...ready, ...early]) {
          await worker.checkpoint();
          await worker.fill();
          await worker.compact();
        }
        await stage.expectBack(rest, 0);
      }),
    120_000,
  );

  scenario(
    'for checkpoints only: the breaker opens, /health says so, requests pass as ever',
    (chance) =>
      onServeStage(chance, {}, async (stage) => {
        const workers = Array.from({ length: 8 }, (_, at) => stage.worker(`worker-${at}`));
        stage.api.fault({ kind: 'status', status: 529 }, { times: 1_000, when: { summary: true } });
        for (const worker of workers) {
          await worker.talk();
          await worker.cross();
        }
        let health: Readonly<Record<string, unknown>> = {};
        const look = setInterval(() => void stage.child.health().then((now) => (health = now)), 50);
        try {
          await eventually(
            () => health['checkpointBreaker'] === 'open',
            () => `the breaker is ${String(health['checkpointBreaker'])}`,
            20_000,
          );
        } finally {
          clearInterval(look);
        }
        expect(health['checkpointsResumeAt']).to.be.a('string');
        const failed = stage.child.logged('checkpoint.failed').length;
        for (const worker of workers) await worker.cross();
        expect(stage.child.logged('checkpoint.failed').length, 'calls while the breaker is open').to.equal(failed);
        stage.api.clearFaults();
        for (const worker of workers) {
          await worker.compact(); // by the API
          await worker.talk();
        }
        figures.faults += failed;
      }),
    90_000,
  );
});
