/** `kill -9` of the proxy in the middle of a conversation: the client notices nothing, and the checkpoint is still there. */
import { describeWithClaude } from './claude.ts';
import { labs } from './lab.ts';
import { PAST_SWAP, says } from './script.ts';
import { SUMMARY_MS, expectGoesOnFrom, expectServed, upToCheckpoint, upToSwap } from './stories.ts';

describeWithClaude('a proxy that is killed', () => {
  const start = labs();

  it('between the checkpoint and the compaction serves it all the same, at once, after a new start', async () => {
    const lab = await start({ ownProcess: true });
    lab.script.compaction = { firstByteMs: SUMMARY_MS };
    const client = lab.client();
    const checkpoint = await upToSwap(lab, client);
    await lab.killProxy();
    expectServed(lab, await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR')), 'auto');
    const kept = ['ANSWER-TWO', 'PROMPT-THREE', 'ANSWER-THREE', 'PROMPT-FOUR'];
    expectGoesOnFrom(checkpoint, lab.newest('main'), { kept, gone: ['PROMPT-ONE'] });
    await client.end();
  });

  it('twice, with turns in between, still has the checkpoint and everything that was said since', async () => {
    const lab = await start({ ownProcess: true });
    lab.script.compaction = { firstByteMs: SUMMARY_MS };
    const client = lab.client();
    const checkpoint = await upToCheckpoint(lab, client);
    await lab.killProxy();
    await lab.turn(client, 'PROMPT-THREE', says('ANSWER-THREE', PAST_SWAP));
    await lab.killProxy();
    expectServed(lab, await lab.turn(client, '/compact'), 'manual');
    await lab.killProxy();
    await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR'));
    const kept = ['ANSWER-TWO', 'PROMPT-THREE', 'ANSWER-THREE', 'PROMPT-FOUR'];
    expectGoesOnFrom(checkpoint, lab.newest('main'), { kept, gone: ['PROMPT-ONE'] });
    await client.end();
  });
});
