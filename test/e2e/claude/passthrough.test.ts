/** `DBPROXY_PASSTHROUGH`: the client has its API and nothing else. */
import { expect } from 'chai';
import { describeWithClaude } from './claude.ts';
import { labs } from './lab.ts';
import { PAST_CHECKPOINT, PAST_SWAP, says } from './script.ts';
import { expectGoesOnFromApi } from './stories.ts';

describeWithClaude('passthrough with the real client', () => {
  const start = labs();

  it('computes nothing beforehand, and every compaction is the API’s', async () => {
    const lab = await start({ ownProcess: true, env: { DBPROXY_PASSTHROUGH: 'true' } });
    const client = lab.client();
    await lab.turn(client, 'PROMPT-ONE', says('ANSWER-ONE'));
    await lab.turn(client, 'PROMPT-TWO', says('ANSWER-TWO', PAST_CHECKPOINT));
    await lab.turn(client, 'PROMPT-THREE', says('ANSWER-THREE', PAST_SWAP));
    const turn = await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR', PAST_CHECKPOINT));
    expect(turn.compactions.map((compaction) => compaction.trigger)).to.deep.equal(['auto']);
    expect(lab.of('compaction')).to.have.length(1);
    expectGoesOnFromApi(lab, { kept: [], gone: ['PROMPT-ONE'], pending: 'PROMPT-FOUR' });
    await lab.turn(client, '/compact');
    expect(lab.of('compaction')).to.have.length(2);
    await lab.turn(client, 'PROMPT-FIVE', says('ANSWER-FIVE'));
    expectGoesOnFromApi(lab, { kept: ['PROMPT-FIVE'], gone: ['PROMPT-THREE'] });
    expect(lab.of('checkpoint')).to.have.length(0);
    await client.end();
  });
});
