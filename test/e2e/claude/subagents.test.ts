/** Subagents share their parent's session id, and are conversations of their own all the same. */
import { expect } from 'chai';
import { describeWithClaude, traits } from './claude.ts';
import { labs } from './lab.ts';
import { said } from './requests.ts';
import { PAST_CHECKPOINT, PAST_SWAP, SMALL, delegates, runs, says } from './script.ts';
import { expectGoesOnFrom, expectGoesOnFromApi, expectServed, upToCheckpoint } from './stories.ts';

const TASK = 'SUBAGENT-TASK: count the tests.';

describeWithClaude('a subagent of the real client', () => {
  const start = labs();

  it('changes nothing for the conversation that started it', async () => {
    const lab = await start();
    const client = lab.client();
    const checkpoint = await upToCheckpoint(lab, client);
    lab.script.subagent.push(runs('echo INNER-RESULT-$((40 + 2))'), says('SUBAGENT-ANSWER'));
    const delegated = delegates(TASK, PAST_CHECKPOINT);
    await lab.turn(client, 'PROMPT-THREE: delegate it.', delegated, says('ANSWER-THREE', PAST_SWAP));
    expect(lab.of('subagent')).to.have.length(2);
    if (traits.sendsClassHeaders) {
      const [agent, main] = [lab.newest('subagent').headers, lab.newest('main').headers];
      expect(agent['x-claude-code-agent-id']).to.be.a('string');
      expect(agent['x-claude-code-session-id']).to.equal(main['x-claude-code-session-id']);
    }
    expectServed(lab, await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR')), 'auto');
    const kept = ['ANSWER-TWO', 'PROMPT-THREE', 'SUBAGENT-ANSWER', 'ANSWER-THREE', 'PROMPT-FOUR'];
    expectGoesOnFrom(checkpoint, lab.newest('main'), { kept, gone: ['PROMPT-ONE', 'INNER-RESULT-42'] });
    expect(lab.of('checkpoint')).to.have.length(1);
    await client.end();
  });

  it('gets a checkpoint of its own, from which its own compaction is answered, and never its parent’s', async () => {
    const lab = await start();
    const client = lab.client();
    await lab.turn(client, 'PROMPT-ONE', says('ANSWER-ONE'));
    lab.script.subagent.push(
      runs('echo INNER-RESULT-$((40 + 1))', PAST_CHECKPOINT),
      runs('sleep 1; echo INNER-RESULT-$((40 + 2))', PAST_CHECKPOINT),
      runs('echo INNER-RESULT-$((40 + 3))', PAST_SWAP),
      says('SUBAGENT-ANSWER'),
    );
    await lab.turn(client, 'PROMPT-TWO: delegate it.', delegates(TASK), says('ANSWER-TWO', SMALL));
    expect(lab.of('compaction'), 'the subagent’s compaction reached the API').to.have.length(0);
    const checkpoint = await lab.checkpointed();
    expect(said(checkpoint)).to.include(TASK).and.not.to.include('PROMPT-ONE');
    const kept = ['INNER-RESULT-41', 'INNER-RESULT-42', 'INNER-RESULT-43'];
    expectGoesOnFrom(checkpoint, lab.newest('subagent'), { kept, gone: ['PROMPT-ONE'] });

    const turn = await lab.turn(client, '/compact');
    expect(turn.compactions).to.have.length(1);
    expect(lab.of('compaction'), 'the parent has no checkpoint').to.have.length(1);
    await lab.turn(client, 'PROMPT-THREE', says('ANSWER-THREE'));
    expectGoesOnFromApi(lab, { kept: ['PROMPT-THREE'], gone: ['PROMPT-ONE'] });
    await client.end();
  });
});
