/** A turn that jumps past both thresholds: the compaction finds the checkpoint call still running. */
import { expect } from 'chai';
import { describeWithClaude, traits } from './claude.ts';
import { labs, type Lab } from './lab.ts';
import type { ClaudeClient } from './client.ts';
import { kindOf } from './requests.ts';
import { PAST_SWAP, says } from './script.ts';
import { SUMMARY_MS, expectGoesOnFrom, expectGoesOnFromApi } from './stories.ts';

describeWithClaude('a compaction while its checkpoint is being computed', () => {
  const start = labs();

  /** One turn past both thresholds; its result is there although the checkpoint call has only begun. */
  async function jump(lab: Lab, client: ClaudeClient): Promise<void> {
    lab.script.checkpoint = { firstByteMs: SUMMARY_MS };
    await lab.turn(client, 'PROMPT-ONE', says('ANSWER-ONE'));
    await lab.turn(client, 'PROMPT-TWO', says('ANSWER-TWO', PAST_SWAP));
    const call = await lab.api.waitFor((request) => kindOf(request) === 'checkpoint');
    expect(call.outcome).to.equal('open');
  }

  it('waits for it and is answered from it', async () => {
    const lab = await start();
    const client = lab.client();
    await jump(lab, client);
    const turn = await lab.turn(client, 'PROMPT-THREE', says('ANSWER-THREE'));
    expect(turn.compactions).to.have.length(1);
    expect(lab.of('compaction')).to.have.length(0);
    if (traits.tellsDuration) expect(turn.compactions[0]?.duration_ms).to.be.within(SUMMARY_MS / 4, SUMMARY_MS + 2_000);
    const words = { kept: ['ANSWER-TWO', 'PROMPT-THREE'], gone: ['PROMPT-ONE'] };
    expectGoesOnFrom(await lab.checkpointed(), lab.newest('main'), words);
    await client.end();
  });

  it('goes to the API when the wait is over, and the call that nobody needs any more is ended', async () => {
    const lab = await start({ env: { DBPROXY_COMPACTION_WAIT: '500ms' } });
    const client = lab.client();
    await jump(lab, client);
    const turn = await lab.turn(client, 'PROMPT-THREE', says('ANSWER-THREE'));
    expect(turn.compactions).to.have.length(1);
    expect(lab.of('compaction')).to.have.length(1);
    expectGoesOnFromApi(lab, { kept: [], gone: ['PROMPT-ONE'], pending: 'PROMPT-THREE' });
    await lab.api.waitFor((request) => kindOf(request) === 'checkpoint' && request.outcome === 'aborted');
    expect(lab.of('checkpoint')).to.have.length(1);
    await client.end();
  });
});
