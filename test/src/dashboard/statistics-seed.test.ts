import { expect } from 'chai';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStage, type Stage } from '../../e2e/flows.ts';
import { until } from '../redirector/sockets.ts';
import { Page } from './page.ts';

describe('figures over a restart', () => {
  const stages: Stage[] = [];
  const directories: string[] = [];
  const stage = async (...env: Parameters<typeof openStage>): Promise<Stage> => {
    const opened = await openStage(...env);
    stages.push(opened);
    return opened;
  };
  after(async () => {
    for (const opened of stages) await opened.close();
    for (const directory of directories) rmSync(directory, { recursive: true, force: true });
  });

  it('go on where the process before has left them', async () => {
    const first = await stage();
    const client = await first.checkpointed();
    await client.say('And the lexer.');
    await client.compact();
    await client.say('Go on.');
    await first.checkpointed(); // and one that nobody has used yet
    await first.client().compact();
    const page = await Page.open(first);
    await until(() => page.totals?.compactions.confirmed === 1);
    const before = page.totals;
    page.close();
    await first.proxy.stop();

    const kept = mkdtempSync(join(tmpdir(), 'dbproxy-kept-'));
    directories.push(kept);
    cpSync(first.dataDir, kept, { recursive: true });
    const second = await stage({ DBPROXY_DATA_DIR: kept });
    const later = await Page.open({ ca: second.ca, proxy: second.proxy });
    const after = later.totals;
    expect(after?.since).to.be.below(later.hello?.started ?? 0);
    expect(after?.savedMs).to.be.closeTo(before?.savedMs ?? NaN, 2);
    expect(after?.tokens).to.deep.equal(before?.tokens);
    expect(after?.compactions).to.deep.equal(before?.compactions);
    const { made, used, wasted } = before?.checkpoints ?? {};
    expect(after?.checkpoints).to.include({ made, used, wasted, failed: 0 });
    expect([...later.buckets.values()].reduce((sum, bucket) => sum + bucket.made, 0)).to.equal(made);
    expect(after?.requests).to.equal(0);
    later.close();
  });
});
