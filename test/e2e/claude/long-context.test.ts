/** Windows that are not 200,000 tokens: a million, with `role: "system"` messages; a long one on demand; one made small. */
import { expect } from 'chai';
import { describeWithClaude, itWhere } from './claude.ts';
import { labs } from './lab.ts';
import { runs, says } from './script.ts';
import { expectGoesOnFrom, expectServed, upToSwap } from './stories.ts';

/** Of 1,000,000 tokens 980,000 count. The first of these is past all thresholds of a window of 200,000. */
const PAST_SWAP_OF_SMALL = 150_000;
const BELOW_CHECKPOINT = 680_000;
const PAST_CHECKPOINT = 690_000;
const PAST_SWAP = 787_000;

describeWithClaude('a model with another window', () => {
  const start = labs();

  itWhere(
    'knowsModels55',
    'of a million tokens has its checkpoint at 70 % of them, not before, and its compaction answered',
    async () => {
      const lab = await start();
      const client = lab.client({ model: 'claude-opus-5-5' });
      const replies = [runs('echo FIRST-RESULT-$((40 + 1))', PAST_SWAP_OF_SMALL), says('ANSWER-ONE', BELOW_CHECKPOINT)];
      await lab.turn(client, 'PROMPT-ONE', ...replies);
      await lab.turn(client, 'PROMPT-TWO', says('ANSWER-TWO', PAST_CHECKPOINT));
      const crossing = lab.newest('main');
      const checkpoint = await lab.checkpointed();
      expect(checkpoint.number).to.be.above(crossing.number);
      expect(lab.of('checkpoint')).to.have.length(1);
      expect(crossing.message?.messages.map((message) => message.role)).to.include('system');
      await lab.turn(client, 'PROMPT-THREE', says('ANSWER-THREE', PAST_SWAP));
      expectServed(lab, await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR')), 'auto');
      const words = { kept: ['ANSWER-TWO', 'PROMPT-THREE', 'ANSWER-THREE', 'PROMPT-FOUR'], gone: ['PROMPT-ONE'] };
      expectGoesOnFrom(checkpoint, lab.newest('main'), words);
      expect(lab.of('checkpoint')).to.have.length(1);
      await client.end();
    },
  );

  itWhere('knowsModels55', 'of a million tokens has a compaction answered that fires in a tool loop', async () => {
    const lab = await start();
    const client = lab.client({ model: 'claude-opus-5-5' });
    await lab.turn(client, 'PROMPT-ONE', says('ANSWER-ONE'));
    await lab.turn(client, 'PROMPT-TWO', says('ANSWER-TWO', PAST_CHECKPOINT));
    const checkpoint = await lab.checkpointed();
    const [first, second] = ['echo FIRST-RESULT-$((40 + 1))', 'echo SECOND-RESULT-$((40 + 2))'];
    const replies = [runs(first, PAST_CHECKPOINT), runs(second, PAST_SWAP), says('ANSWER-THREE')];
    expectServed(lab, await lab.turn(client, 'PROMPT-THREE', ...replies), 'auto');
    const kept = ['PROMPT-THREE', 'FIRST-RESULT-41', 'SECOND-RESULT-42'];
    expectGoesOnFrom(checkpoint, lab.newest('main'), { kept, gone: ['PROMPT-ONE'] });
    await client.end();
  });

  it('that the user asked for ([1m]) has its checkpoint at 70 % of that one', async () => {
    const lab = await start();
    const client = lab.client({ model: 'claude-sonnet-4-6[1m]' });
    await lab.turn(client, 'PROMPT-ZERO', says('ANSWER-ZERO', PAST_SWAP_OF_SMALL));
    await lab.turn(client, 'PROMPT-ONE', says('ANSWER-ONE', BELOW_CHECKPOINT));
    await lab.turn(client, 'PROMPT-TWO', says('ANSWER-TWO', PAST_CHECKPOINT));
    const crossing = lab.newest('main');
    const checkpoint = await lab.checkpointed();
    expect(checkpoint.number).to.be.above(crossing.number);
    // Here the client leaves it to its user, or to the API's refusal, when to compact (2.1.330, at 985,000 tokens).
    expectServed(lab, await lab.turn(client, '/compact'), 'manual');
    await lab.turn(client, 'PROMPT-THREE', says('ANSWER-THREE'));
    expectGoesOnFrom(checkpoint, lab.newest('main'), { kept: ['ANSWER-TWO', 'PROMPT-THREE'], gone: ['PROMPT-ONE'] });
    await client.end();
  });

  itWhere(
    'knowsModels55',
    'that the user has made small has its checkpoint there, once the proxy is told',
    async () => {
      const lab = await start({ env: { DBPROXY_MODEL_WINDOWS: '{"claude-opus-5-5": 200000}' } });
      const env = { CLAUDE_CODE_AUTO_COMPACT_WINDOW: '200000' };
      const client = lab.client({ model: 'claude-opus-5-5', env });
      const checkpoint = await upToSwap(lab, client);
      expectServed(lab, await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR')), 'auto');
      const words = { kept: ['ANSWER-TWO', 'PROMPT-THREE', 'PROMPT-FOUR'], gone: ['PROMPT-ONE'] };
      expectGoesOnFrom(checkpoint, lab.newest('main'), words);
      await client.end();
    },
  );

  itWhere('knowsModels55', 'has the next compaction answered that ends in a system message', async () => {
    const lab = await start({ env: { DBPROXY_MODEL_WINDOWS: '{"claude-opus-5-5": 200000}' } });
    const env = { CLAUDE_CODE_AUTO_COMPACT_WINDOW: '200000' };
    const client = lab.client({ model: 'claude-opus-5-5', env });
    await upToSwap(lab, client);
    // Right after a compaction the client tells the model again what tools there are, behind everything else.
    // Three requests: over the threshold again by the second one would be a compaction loop, which is the API's.
    const loop = [runs('echo RESULT-$((40 + 2))'), runs('echo RESULT-$((40 + 3))'), says('ANSWER-FOUR', 135_000)];
    expectServed(lab, await lab.turn(client, 'PROMPT-FOUR', ...loop), 'auto');
    const checkpoint = await lab.checkpointed(2);
    expectServed(lab, await lab.turn(client, '/compact'), 'manual');
    await lab.turn(client, 'PROMPT-NEXT', says('ANSWER-NEXT'));
    const words = { kept: ['ANSWER-FOUR', 'PROMPT-NEXT'], gone: ['PROMPT-FOUR', 'RESULT-42'] };
    expectGoesOnFrom(checkpoint, lab.newest('main'), words);
    await client.end();
  });
});
