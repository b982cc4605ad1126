import { expect } from 'chai';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileError } from '../../src/errors.ts';
import { createFile, readIfExists, replaceFile, replaceFileSync } from '../../src/files.ts';

describe('files', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'dbproxy-files-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('lets exactly one of several writers create a file', async () => {
    const path = join(directory, 'one');
    const created = await Promise.all(['a', 'b', 'c'].map((text) => createFile(path, text, 0o600)));
    expect(created.filter(Boolean)).to.have.length(1);
    expect(await readIfExists(path)).to.equal('abc'[created.indexOf(true)]);
    expect(readdirSync(directory)).to.deep.equal(['one']);
  });

  it('replaces a file, creating its directory with rights for its owner only', () => {
    const path = join(directory, 'below', 'file');
    for (const text of ['first', 'second']) {
      replaceFileSync(path, text);
      expect(readFileSync(path, 'utf8')).to.equal(text);
    }
    expect(readdirSync(join(directory, 'below'))).to.deep.equal(['file']);
    if (process.platform === 'win32') return;
    expect(statSync(path).mode & 0o777).to.equal(0o600);
    expect(statSync(join(directory, 'below')).mode & 0o777).to.equal(0o700);
  });

  it('says which file cannot be written, why, and what to do', async () => {
    const file = join(directory, 'file');
    writeFileSync(file, '');
    const path = join(file, 'below');
    const failures = [
      await createFile(path, '', 0o600).catch((error: unknown) => error),
      await replaceFile(path, '', 0o600).catch((error: unknown) => error),
      await Promise.resolve()
        .then(() => replaceFileSync(path, ''))
        .catch((error: unknown) => error),
    ];
    for (const failure of failures) {
      expect(failure).to.be.instanceOf(FileError).that.includes({ code: 'DBPROXY_ERR_FILE', path });
      expect(failure)
        .to.have.property('message')
        .that.matches(/^cannot write .*below \(E[A-Z]+\); check /);
    }
  });
});
