import { expect } from 'chai';
import { mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { timestamp } from '../../../machines/units.ts';
import { StoreError } from '../../../src/errors.ts';
import type { Database } from '../../../src/store/database.ts';
import { MIGRATIONS } from '../../../src/store/schema.ts';
import { checkpoint, START, StoreRig } from './rig.ts';

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
    for (let at = 0; at < 200; at += 1) store.checkpointMade(checkpoint(`cp-${at}`, { summary: 'x'.repeat(2_000) }));
    store.close();
  };

  it('is nobody else’s to read, nor is anything beside it', () => {
    const store = rig.open();
    store.checkpointMade(checkpoint('cp-1'));
    for (const name of files()) expect(statSync(join(dirname(rig.file), name)).mode & 0o077, name).to.equal(0);
    expect(statSync(dirname(rig.file)).mode & 0o077).to.equal(0);
    expect(files()).to.include('dbproxy.sqlite');
  });

  it('loses the rights of others that it had', () => {
    mkdirSync(dirname(rig.file), { recursive: true });
    writeFileSync(rig.file, '', { mode: 0o644 });
    rig.open();
    expect(statSync(rig.file).mode & 0o777).to.equal(0o600);
  });

  it('says of a new file that it is fresh, and of an old one that it is not', () => {
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
      store.checkpointMade(checkpoint('cp-new'));
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

  it('sets a file of a later version aside: it must not be written by an older one', () => {
    const store = rig.open();
    store.query('PRAGMA user_version = 99');
    store.close();
    rig.open();
    expect(rig.events('store.set_aside').map(({ fields }) => fields['reason'])).to.deep.equal([
      'a later version wrote it',
    ]);
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
      store.checkpointMade(checkpoint('cp-1'));
      expect(store.checkpoints()).to.have.length(1);
    }
  });

  it('lets two processes not write one file: the second is told what to look for', () => {
    rig.open().checkpointMade(checkpoint('cp-1'));
    expect(() => rig.open())
      .to.throw(StoreError)
      .with.property('message')
      .that.matches(/dbproxy\.sqlite cannot be used .*is a second proxy running on this data directory\?/);
    expect(asides(), 'and it is nobody’s fault').to.deep.equal([]);
  });

  it('cannot be where no directory can be, and says so', () => {
    writeFileSync(join(rig.directory, 'a file'), '');
    const store = rig.store(join(rig.directory, 'a file', 'state', 'dbproxy.sqlite'));
    expect(() => store.open())
      .to.throw(StoreError)
      .with.property('code', 'DBPROXY_ERR_STORE');
    expect(() => store.checkpointMade(checkpoint('cp-1', { createdAt: timestamp(START) }))).not.to.throw();
  });
});
