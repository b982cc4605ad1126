/** A compaction in the middle of a tool loop: the loop goes on, and nothing that a tool said is lost. */
import { expect } from 'chai';
import { blocksOf } from '../../../src/simulated-api/wire-types.ts';
import { describeWithClaude, traits } from './claude.ts';
import { labs } from './lab.ts';
import { said } from './requests.ts';
import { PAST_CHECKPOINT, PAST_SWAP, calls, runs, says } from './script.ts';
import { expectGoesOnFrom, expectServed, upToCheckpoint } from './stories.ts';

describeWithClaude('a compaction in the middle of a tool loop', () => {
  const start = labs();

  it('is answered from the checkpoint, and the newest tool result is in the next request', async () => {
    const lab = await start();
    const client = lab.client();
    const checkpoint = await upToCheckpoint(lab, client);
    const turn = await lab.turn(
      client,
      'PROMPT-THREE: run both.',
      runs('echo FIRST-RESULT-$((40 + 1))', PAST_CHECKPOINT),
      runs('echo SECOND-RESULT-$((40 + 2))', PAST_SWAP),
      calls('Read', { file_path: `${lab.project}/notes.txt` }),
      says('ANSWER-THREE'),
    );
    expectServed(lab, turn, 'auto');
    expect(turn.text).to.equal('ANSWER-THREE');
    const next = lab.of('main').at(-2);
    if (next === undefined) throw new Error('no request followed the compaction');
    const kept = ['ANSWER-TWO', 'PROMPT-THREE', 'FIRST-RESULT-41', 'SECOND-RESULT-42'];
    expectGoesOnFrom(checkpoint, next, { kept, gone: ['PROMPT-ONE'] });
    const results = next.message?.messages.flatMap((message) => blocksOf(message.content)) ?? [];
    expect(results.filter((block) => block.type === 'tool_result')).to.have.length(traits.keepsNewestRound ? 1 : 0);
    expect(said(lab.newest('main'))).to.include('NOTES-LINE');
    await client.end();
  });

  it('is answered from a checkpoint that was made in that very loop', async () => {
    const lab = await start();
    const client = lab.client();
    await lab.turn(client, 'PROMPT-ONE', says('ANSWER-ONE'));
    const turn = await lab.turn(
      client,
      'PROMPT-TWO: run them all.',
      runs('echo FIRST-RESULT-$((40 + 1))', PAST_CHECKPOINT),
      // Until the checkpoint is there.
      runs('sleep 1; echo SECOND-RESULT-$((40 + 2))', PAST_CHECKPOINT),
      runs('echo THIRD-RESULT-$((40 + 3))', PAST_SWAP),
      says('ANSWER-TWO'),
    );
    expectServed(lab, turn, 'auto');
    const checkpoint = await lab.checkpointed();
    expect(said(checkpoint)).to.include('PROMPT-TWO').and.not.to.include('FIRST-RESULT-41');
    const kept = ['FIRST-RESULT-41', 'SECOND-RESULT-42', 'THIRD-RESULT-43'];
    expectGoesOnFrom(checkpoint, lab.newest('main'), { kept, gone: ['PROMPT-ONE'] });
    await client.end();
  });
});
