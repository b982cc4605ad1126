import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { heapOptions } from '../../../cli/runtime/heap.ts';

describe("room for the proxy's garbage", () => {
  it('is asked for in a way that this Node understands', () => {
    const said = execFileSync(process.execPath, [...heapOptions(), '-p', '6 * 7']).toString();
    expect(said.trim()).to.equal('42');
  });

  it('is not asked for where the option may be unknown', () => {
    expect(heapOptions('20.19.0')).to.deep.equal(heapOptions('26.10.0'));
    expect(heapOptions('27.0.0')).to.deep.equal([]);
  });

  it('is the same in the image', () => {
    const dockerfile = readFileSync(new URL('../../../Dockerfile', import.meta.url), 'utf8');
    const entry = /^ENTRYPOINT (.*)$/m.exec(dockerfile)?.[1] ?? '[]';
    expect(JSON.parse(entry)).to.deep.equal(['node', ...heapOptions(), '/app/dist/cli/main.js']);
  });
});
