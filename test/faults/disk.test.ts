/** The data directory lets the proxy down: it is full, read-only, or not what it should be. People go on working. */
import { expect } from 'chai';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newDataDir } from '../src/forwarder/quick-rig.ts';
import { Disk } from './disk.ts';
import { figures } from './figures.ts';
import { eventually } from './handles.ts';
import { scenario } from './scenario.ts';
import type { Chance } from './seed.ts';
import { ServeStage } from './serve-stage.ts';
import type { Worker } from './working-session.ts';

/** Room for certificates, a database, some log lines. */
const DISK_KB = 2_048;

/** A worker with a checkpoint compacts from it and goes on. */
async function swap(worker: Worker): Promise<void> {
  await worker.fill();
  await worker.compact();
  await worker.talk();
}

/** The state is kept again: what is checkpointed now survives a kill. */
async function expectDurable(stage: ServeStage, name: string): Promise<void> {
  await eventually(
    () => stage.child.lines.findLast(({ event }) => event.startsWith('store.'))?.event === 'store.opened',
    () => 'the store was not opened again',
    40_000,
  );
  const worker = stage.worker(name);
  await worker.talk();
  await worker.checkpoint();
  await stage.kill();
  await stage.restart();
  await swap(worker);
}

/** It does not start, and says why in one line. */
async function expectRefused(stage: ServeStage, why: RegExp): Promise<void> {
  const error: unknown = await stage.child.start().catch((thrown: unknown) => thrown);
  expect(error).to.be.instanceOf(Error);
  expect(stage.child.exitCode).to.equal(2);
  expect(stage.child.stderr.trimEnd()).to.match(why);
}

describe('a data directory', () => {
  /** Plays with the data directory on a disk of its own. */
  function onDisk(name: string, play: (stage: ServeStage, disk: Disk, chance: Chance) => Promise<void>): void {
    scenario(
      name,
      async (chance) => {
        const disk = await Disk.open(DISK_KB);
        try {
          const stage = await ServeStage.prepare(chance, { dataDir: disk.directory, within: disk.within });
          try {
            stage.means('store.failed');
            await play(stage, disk, chance);
            await stage.finish();
          } finally {
            await stage.close();
          }
        } finally {
          await disk.close();
        }
      },
      120_000,
    );
  }

  onDisk('that fills up while people work, stays full over a kill, and has room again', async (stage, disk) => {
    await stage.child.start();
    const [before, during] = [stage.worker('before'), stage.worker('during')];
    await before.talk();
    await before.checkpoint();
    disk.fill();
    figures.faults += 1;
    await during.talk();
    await during.checkpoint();
    await Promise.all([swap(before), swap(during)]);
    // What is only in memory now is lost with the process, which nobody can help; what was on the disk is not.
    await before.checkpoint();
    before.forgives();
    during.forgives();
    await stage.kill();
    await stage.restart();
    await Promise.all([before.talk(), during.talk()]);
    await Promise.all([before.checkpoint(), during.checkpoint()]);
    await Promise.all([swap(before), swap(during)]);
    disk.free();
    await expectDurable(stage, 'after');
  });

  onDisk('that becomes read-only changes nothing for people; a start says so; then it goes on', async (stage, disk) => {
    await stage.child.start();
    const [before, during] = [stage.worker('before'), stage.worker('during')];
    await before.talk();
    await before.checkpoint();
    disk.readOnly();
    figures.faults += 1;
    await during.talk();
    await during.checkpoint();
    await stage.kill();
    await expectRefused(stage, /^claude-db-proxy: DBPROXY_DATA_DIR=[^\n]*EROFS[^\n]*$/);
    disk.writable();
    await stage.restart();
    await Promise.all([swap(before), swap(during)]);
    await expectDurable(stage, 'after');
  });

  const spoilt: Readonly<Record<string, (dataDir: string) => void>> = {
    'a file where the state should be': (dataDir) => writeFileSync(join(dataDir, 'state'), 'no directory'),
    'a directory in place of the database': (dataDir) =>
      mkdirSync(join(dataDir, 'state/dbproxy.sqlite/inside'), { recursive: true }),
    'a state directory without rights': (dataDir) => {
      mkdirSync(join(dataDir, 'state'));
      chmodSync(join(dataDir, 'state'), 0);
    },
  };
  for (const [what, spoil] of Object.entries(spoilt)) {
    scenario(
      `with ${what} keeps nobody from working`,
      async (chance) => {
        const dataDir = await newDataDir();
        spoil(dataDir);
        figures.faults += 1;
        const stage = await ServeStage.prepare(chance, { dataDir });
        try {
          stage.means('store.failed');
          stage.means('store.set_aside');
          await stage.child.start();
          const worker = stage.worker('worker');
          await worker.talk();
          await worker.checkpoint();
          await swap(worker);
          await stage.finish();
        } finally {
          rmSync(join(dataDir, 'state'), { recursive: true, force: true });
          await stage.close();
        }
      },
      60_000,
    );
  }

  scenario('with a file where the logs should be is refused with one clear line', async (chance) => {
    const stage = await ServeStage.prepare(chance);
    try {
      const logs = join(stage.dataDir, 'logs');
      writeFileSync(logs, 'no directory');
      figures.faults += 1;
      await expectRefused(stage, /^claude-db-proxy: [^\n]*\/logs'?$/);
      rmSync(logs);
      await stage.child.start();
      await stage.finish();
    } finally {
      await stage.close();
    }
  });
});
