import { expect } from 'chai';
import { mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { timestamp } from '../../../machines/units.ts';
import { StoreError } from '../../../src/errors.ts';
import type { Database } from '../../../src/store/database.ts';
import { MIGRATIONS } from '../../../src/store/schema.ts';
import { checkpoint, conversation, START, StoreRig } from './rig.ts';

describe('the state file', () => {
  let rig: StoreRig;

  beforeEach(() => {
    rig = new StoreRig();
  });

  afterEach(() => rig.close());

  const files = () => readdirSync(dirname(rig.file)).sort();
  const asides = () => files().filter((name) => name.includes('.unusable-'));
  const filled = () => {
    const store = rig.open();
    for (let at = 0; at < 200; at += 1) store.saveCheckpoint(checkpoint(`cp-${at}`, { summary: 'x'.repeat(2_000) }));
    store.close();
  };

  it('is readable for its owner only, as are its companions', () => {
    const store = rig.open();
    store.saveCheckpoint(checkpoint('cp-1'));
    for (const name of files()) expect(statSync(join(dirname(rig.file), name)).mode & 0o077, name).to.equal(0);
    expect(statSync(dirname(rig.file)).mode & 0o077).to.equal(0);
    expect(files()).to.include('dbproxy.sqlite');
  });

  it('loses permissions of group and others', () => {
    mkdirSync(dirname(rig.file), { recursive: true });
    writeFileSync(rig.file, '', { mode: 0o644 });
    rig.open();
    expect(statSync(rig.file).mode & 0o777).to.equal(0o600);
  });

  it('reports whether the file is new', () => {
    const store = rig.store();
    expect(store.open()).to.deep.equal({ fresh: true });
    store.close();
    expect(store.open()).to.deep.equal({ fresh: false });
  });

  const damages: readonly (readonly [string, () => void])[] = [
    ['random bytes', () => writeFileSync(rig.file, Buffer.alloc(40_000, 'scribbled over'))],
    ['a file that was cut off', () => truncateSync(rig.file, 9_000)],
    [
      'a page that was scribbled over',
      () => {
        const bytes = readFileSync(rig.file);
        bytes.fill(0xa5, 4_096, 12_288);
        writeFileSync(rig.file, bytes);
      },
    ],
  ];
  for (const [what, damage] of damages) {
    it(`sets ${what} aside, begins anew, and says so`, () => {
      filled();
      damage();
      const damaged = readFileSync(rig.file);
      const store = rig.store();
      expect(store.open()).to.deep.equal({ fresh: true });
      expect(store.checkpoints()).to.deep.equal([]);
      store.saveCheckpoint(checkpoint('cp-new'));
      expect(store.checkpoints()).to.have.length(1);
      const [aside, ...others] = asides();
      expect(others).to.deep.equal([]);
      expect(readFileSync(join(dirname(rig.file), aside ?? '')).equals(damaged), 'kept as it was').to.equal(true);
      const [line] = rig.events('store.set_aside');
      expect(line?.level).to.equal('error');
      expect(line?.fields).to.include({ file: rig.file, aside: join(dirname(rig.file), aside ?? '') });
    });
  }

  it('sets a second unusable file aside beside the first', () => {
    for (let times = 0; times < 3; times += 1) {
      mkdirSync(dirname(rig.file), { recursive: true });
      writeFileSync(rig.file, `garbage ${times}`.repeat(1_000));
      rig.open().close();
    }
    expect(asides()).to.have.length(3);
  });

  it('sets a directory of its name aside', () => {
    mkdirSync(rig.file, { recursive: true });
    rig.open();
    expect(asides()).to.have.length(1);
    expect(statSync(rig.file).isFile()).to.equal(true);
  });

  describe('of a later version', () => {
    const later = (...changes: readonly string[]) => {
      const store = rig.open();
      store.saveCheckpoint(checkpoint('cp-1'));
      for (const change of ['PRAGMA user_version = 99', ...changes]) store.query(change);
      store.close();
      return rig.open();
    };
    const reasons = () => rig.events('store.set_aside').map(({ fields }) => fields['reason']);

    it('is used when its steps only add to the schema, so that a downgrade keeps every checkpoint', () => {
      const store = later(
        'ALTER TABLE checkpoints ADD COLUMN mood TEXT',
        "ALTER TABLE conversations ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'",
        'CREATE TABLE more (id TEXT)',
      );
      store.saveCheckpoint(checkpoint('cp-2'));
      store.saveConversation(conversation('s').id, () => conversation('s'));
      store.flush();
      expect(store.checkpoints().map((kept) => kept.checkpoint)).to.deep.equal([
        checkpoint('cp-1'),
        checkpoint('cp-2'),
      ]);
      expect(store.conversationsOf({ session: 's', agent: null })).to.deep.equal([conversation('s')]);
      expect(store.query('PRAGMA user_version')[0]?.['user_version'], 'still that version').to.equal(99);
      expect(reasons()).to.deep.equal([]);
    });

    it('is set aside when it requires a later version', () => {
      expect(later('UPDATE schema SET needs = 99').checkpoints()).to.deep.equal([]);
      expect(reasons()).to.deep.equal(['a later version wrote it']);
    });

    for (const [what, change] of [
      ['does not say', 'DROP TABLE schema'],
      ['says nothing', 'DELETE FROM schema'],
    ] as const) {
      it(`is set aside where it ${what}`, () => {
        later(change);
        expect(reasons()).to.deep.equal(['a later version wrote it']);
      });
    }
  });

  it('brings a file of every earlier version up to date', () => {
    const sqlite = createRequire(import.meta.url)('libsql') as new (file: string) => Database;
    for (let version = 0; version <= MIGRATIONS.length; version += 1) {
      const file = join(rig.directory, `v${version}.sqlite`);
      const old = new sqlite(file);
      for (const step of MIGRATIONS.slice(0, version)) old.exec(step);
      old.exec(`PRAGMA user_version = ${version}`);
      old.close();
      const store = rig.store(file);
      expect(store.open(), 'the file is kept').to.deep.equal({ fresh: false });
      expect(store.query('PRAGMA user_version')[0]?.['user_version']).to.equal(MIGRATIONS.length);
      store.saveCheckpoint(checkpoint('cp-1'));
      expect(store.checkpoints()).to.have.length(1);
    }
  });

  it('cannot be opened by a second process, whose error says what to do', () => {
    rig.open().saveCheckpoint(checkpoint('cp-1'));
    expect(() => rig.open())
      .to.throw(StoreError)
      .with.property('message')
      .that.matches(/dbproxy\.sqlite cannot be used .*is a second proxy running on this data directory\?/);
    expect(asides(), 'and it is nobody’s fault').to.deep.equal([]);
  });

  it('cannot be opened when its directory cannot be created, and says so', () => {
    writeFileSync(join(rig.directory, 'a file'), '');
    const store = rig.store(join(rig.directory, 'a file', 'state', 'dbproxy.sqlite'));
    expect(() => store.open())
      .to.throw(StoreError)
      .with.property('code', 'DBPROXY_ERR_STORE');
    expect(() => store.saveCheckpoint(checkpoint('cp-1', { createdAt: timestamp(START) }))).not.to.throw();
  });
});
