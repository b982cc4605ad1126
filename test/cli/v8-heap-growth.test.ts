import { spawnSync } from 'node:child_process';
import { expect } from 'chai';
import { heapOption } from '../../cli/v8-heap-growth.ts';

const HEAP = new URL('../../cli/v8-heap-growth.ts', import.meta.url).href;

// What it brings is measured by the bench (event-loop delay, first byte at 4 MB): no small program collects as the proxy does.
describe("room for the proxy's garbage", () => {
  it('is asked for in a way that this Node understands', () => {
    const program = `import { raiseHeapGrowth } from ${JSON.stringify(HEAP)}; raiseHeapGrowth(); console.log(6 * 7);`;
    const args = ['--import', 'tsx', '--input-type=module', '--eval', program];
    const { stderr, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect([stdout.trim(), stderr]).to.deep.equal(['42', '']);
  });

  it('is not asked for where the option may be unknown', () => {
    expect(heapOption('20.19.0')).to.be.a('string').and.equal(heapOption('26.10.0'));
    expect(heapOption('27.0.0')).to.equal(null);
  });
});
