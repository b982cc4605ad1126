/**
 * The state file is damaged, between two runs and under a running proxy: it starts, it serves, never a summary that is not
 * whole and of this very history, and what is checkpointed afterwards is durable again.
 */
import { expect } from 'chai';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type Libsql from 'libsql';
import { figures } from './figures.ts';
import { eventually } from './handles.ts';
import { scenario } from './scenario.ts';
import type { Chance } from './seed.ts';
import { onServeStage, type ServeStage } from './serve-stage.ts';

const WORKERS = 3;

const databaseOf = (dataDir: string): string => join(dataDir, 'state/dbproxy.sqlite');

/** Overwrites some bytes somewhere. */
function scribble(file: string, chance: Chance, bytes: number): void {
  const size = statSync(file).size;
  const junk = Buffer.from(Array.from({ length: bytes }, () => chance.int(0, 255)));
  const descriptor = openSync(file, 'r+');
  writeSync(descriptor, junk, 0, junk.length, chance.int(0, Math.max(0, size - bytes)));
  closeSync(descriptor);
}

/** The file that holds the newest pages: the database itself, or what SQLite keeps beside it. */
function newestOf(file: string): string {
  return existsSync(`${file}-wal`) && statSync(`${file}-wal`).size > 0 ? `${file}-wal` : file;
}

type Damage = (file: string, chance: Chance) => void;

const BETWEEN_RUNS: Readonly<Record<string, Damage>> = {
  'a few bytes are others': (file, chance) => scribble(file, chance, chance.int(1, 64)),
  'a few bytes of the newest pages are others': (file, chance) => scribble(newestOf(file), chance, chance.int(1, 64)),
  'many bytes are others': (file, chance) => {
    for (let at = 0; at < 20; at += 1) scribble(file, chance, chance.int(64, 2_048));
  },
  'the newest pages are junk': (file, chance) => {
    for (let at = 0; at < 20; at += 1) scribble(newestOf(file), chance, 1_024);
  },
  'a letter of each summary is another': (file) => {
    const bytes = readFileSync(file);
    const changed = Buffer.from(bytes.toString('latin1').replaceAll('Looked after', 'Looked bfter'), 'latin1');
    expect(changed.equals(bytes), 'there is no summary in the file').to.equal(false);
    writeFileSync(file, changed);
  },
  'it is cut off': (file, chance) => truncateSync(file, chance.int(1, statSync(file).size)),
  'the newest pages are cut off': (file, chance) =>
    truncateSync(newestOf(file), chance.int(0, statSync(newestOf(file)).size)),
  'it is empty': (file) => truncateSync(file, 0),
  'it is text': (file) => writeFileSync(file, 'this is no database\n'.repeat(1_000)),
  'it is a directory': (file) => {
    rmSync(file);
    mkdirSync(file);
  },
  'it is gone': (file) => rmSync(file),
  'the newest pages are gone': (file) => rmSync(newestOf(file)),
  'a later version has written it': (file) => {
    const database = new (createRequire(import.meta.url)('libsql') as typeof Libsql)(file);
    database.exec('PRAGMA user_version = 4242; UPDATE schema SET needs = 4242');
    database.close();
  },
};

const WHILE_RUNNING: Readonly<Record<string, Damage>> = {
  'bytes are others': (file, chance) => {
    for (let at = 0; at < 20; at += 1) scribble(file, chance, 1_024);
  },
  'the newest pages are junk': (file, chance) => {
    for (let at = 0; at < 20; at += 1) scribble(newestOf(file), chance, 1_024);
  },
  'it is cut off': (file) => truncateSync(file, 4_096),
  'it is gone': (file) => rmSync(file),
  'all of it is gone': (file) => rmSync(join(file, '..'), { recursive: true }),
  'another is in its place': (file) => {
    renameSync(file, `${file}.elsewhere`);
    writeFileSync(file, '');
  },
};

/** People work until each has a checkpoint. */
async function checkpointed(stage: ServeStage): Promise<void> {
  for (let at = 1; at <= WORKERS; at += 1) stage.worker(`worker-${at}`);
  await Promise.all(
    stage.workers.map(async (worker) => {
      await worker.talk();
      await worker.checkpoint();
    }),
  );
}

/** All go on: from their checkpoints where `kept`, else from them or from the API. */
async function goOn(stage: ServeStage, kept: boolean): Promise<void> {
  await Promise.all(
    stage.workers.map(async (worker) => {
      if (!kept) worker.forgives();
      await worker.fill();
      await worker.compact();
      await worker.talk();
      await worker.checkpoint();
    }),
  );
}

describe('the state file', () => {
  describe('damaged between two runs', () => {
    for (const [what, damage] of Object.entries(BETWEEN_RUNS)) {
      scenario(
        `before a start: ${what}`,
        (chance) =>
          onServeStage(chance, {}, async (stage) => {
            stage.means('store.set_aside');
            await checkpointed(stage);
            // In order, or not: in order everything is in the one file.
            await (what.includes('summary') ? stage.child.kill('SIGTERM') : stage.kill());
            damage(databaseOf(stage.dataDir), chance);
            figures.faults += 1;
            await stage.restart();
            await goOn(stage, false);
            await stage.kill();
            await stage.restart();
            await goOn(stage, true);
            expect(readdirSync(join(stage.dataDir, 'state')).length, 'files of the state').to.be.below(10);
          }),
        90_000,
      );
    }
  });

  describe('damaged under a running proxy', () => {
    for (const [what, damage] of Object.entries(WHILE_RUNNING)) {
      scenario(
        `while it runs: ${what}`,
        (chance) =>
          // It looks once a minute whether the file is still there; here that is soon.
          onServeStage(chance, { probe: true, env: { FAULTS_FAST_TIMERS: '200' } }, async (stage) => {
            stage.means('store.failed');
            stage.means('store.set_aside');
            await checkpointed(stage);
            damage(databaseOf(stage.dataDir), chance);
            figures.faults += 1;
            await goOn(stage, true);
            const looks = stage.child.logged('store.opened').length;
            // It may not have noticed: SQLite had no reason to look at those pages. Then they do no harm.
            await eventually(
              () => stage.child.logged('store.opened').length > looks,
              () => '',
              2_000,
            ).catch(() => undefined);
            await goOn(stage, true);
            await stage.kill();
            await stage.restart();
            await goOn(stage, false);
            await stage.kill();
            await stage.restart();
            await goOn(stage, true);
          }),
        120_000,
      );
    }
  });
});
