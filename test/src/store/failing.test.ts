import { expect } from 'chai';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { StoreError } from '../../../src/errors.ts';
import type { StateStore } from '../../../src/store/state-store.ts';
import { conversationId } from '../../../machines/units.ts';
import { checkpoint, conversation, StoreRig } from './rig.ts';

describe('a state store whose file fails', () => {
  let rig: StoreRig;
  let store: StateStore;
  let failures: string[];

  beforeEach(() => {
    rig = new StoreRig();
    store = rig.open();
    failures = [];
    store.onFailure((error) => failures.push(error.message));
    store.saveCheckpoint(checkpoint('cp-1'));
  });

  afterEach(() => rig.close());

  const kept = () => store.checkpoints().map(({ checkpoint: { id } }) => id);

  /** No more pages than there are: what SQLite says is what it says of a full disk. */
  const fillDisk = () => store.query('PRAGMA max_page_count = 1');
  const freeDisk = () => store.query('PRAGMA max_page_count = 100000');

  it('reports a full disk, goes on without it, and writes what it missed once there is space', () => {
    fillDisk();
    for (let at = 2; at < 40; at += 1) store.saveCheckpoint(checkpoint(`cp-${at}`, { summary: 'x'.repeat(5_000) }));
    expect(failures).to.have.length(1);
    expect(failures[0]).to.match(/full.*\(SQLITE_FULL\)/);
    expect([store.isOpen, kept()]).to.deep.equal([false, []]);
    // Still full: it fails again with the first write, and whoever opens it learns that.
    expect(() => store.open()).to.throw(StoreError, /full.*has space/);
    expect(store.isOpen).to.equal(false);
    // The limit of the test belongs to the connection: another one has none.
    store.close();
    store.open();
    freeDisk();
    expect(kept()).to.have.length(39);
  });

  it('notices that its file is damaged, sets it aside when it is opened again, and writes to a new one', () => {
    store.close();
    const bytes = readFileSync(rig.file);
    store.open();
    // Behind SQLite's back: the pages that it reads next are not what it wrote.
    store.query('PRAGMA cache_size = 0');
    writeFileSync(rig.file, bytes.fill(0x5a, 100), { flag: 'r+' });
    rmSync(`${rig.file}-wal`, { force: true });
    for (let at = 0; at < 5 && store.isOpen; at += 1) {
      store.query('PRAGMA shrink_memory');
      store.checkpoints();
      store.saveConversation(conversationId('s'), () => conversation('s'));
      store.flush();
    }
    expect(failures.join()).to.match(/SQLITE_(CORRUPT|NOTADB|IOERR)/);
    store.open();
    expect(rig.events('store.set_aside')).to.have.length(1);
    store.saveCheckpoint(checkpoint('cp-new'));
    expect(kept()).to.include('cp-new');
  });

  it('notices that its file was removed, and creates a new one', () => {
    store.checkFile();
    expect(failures).to.deep.equal([]);
    rmSync(dirname(rig.file), { recursive: true });
    store.checkFile();
    expect(failures.join()).to.include('is no longer the file that was opened');
    expect(store.open()).to.deep.equal({ fresh: true });
    store.saveCheckpoint(checkpoint('cp-2'));
    expect(kept()).to.deep.equal(['cp-2']);
  });

  it('notices that its file was replaced, and opens the new one', () => {
    const other = rig.store(`${rig.file}.other`);
    other.open();
    other.saveCheckpoint(checkpoint('cp-other'));
    other.close();
    renameSync(`${rig.file}.other`, rig.file);
    store.checkFile();
    expect(store.open()).to.deep.equal({ fresh: false });
    expect(kept()).to.deep.equal(['cp-other']);
  });

  it('reports a failure once, and not to those who have unsubscribed', () => {
    const heard: string[] = [];
    store.onFailure((error) => heard.push(error.message))();
    fillDisk();
    for (let at = 2; at < 40; at += 1) store.saveCheckpoint(checkpoint(`cp-${at}`, { summary: 'x'.repeat(5_000) }));
    expect([failures.length, heard.length]).to.deep.equal([1, 0]);
  });
});
