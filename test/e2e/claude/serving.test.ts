/** The heart of the matter: what Claude Code gets, and what the API sees, when it compacts. */
import { expect } from 'chai';
import { promptTokensOf } from '../../../src/simulated-api/index.ts';
import { describeWithClaude, itWhere, traits } from './claude.ts';
import { labs } from './lab.ts';
import { instructionIn } from './requests.ts';
import { PAST_CHECKPOINT, PAST_SWAP, runs, says } from './script.ts';
import {
  SUMMARY_MS,
  expectGoesOnFrom,
  expectGoesOnFromApi,
  expectServed,
  upToCheckpoint,
  upToSwap,
} from './stories.ts';

/** Long enough to count: about 13,000 tokens. */
const LONG_PROMPT = `PROMPT-TWO: ${'the quick brown fox jumps over the lazy dog, and then once more. '.repeat(800)}`;

describeWithClaude('a compaction of the real client', () => {
  const start = labs();

  it('is answered from the checkpoint at once when it is automatic, and the API sees none', async () => {
    const lab = await start({ ownProcess: true });
    lab.script.checkpoint = { firstByteMs: SUMMARY_MS };
    lab.script.compaction = { firstByteMs: SUMMARY_MS };
    const client = lab.client();
    await lab.turn(client, 'PROMPT-ONE', says('ANSWER-ONE'));
    await lab.turn(client, LONG_PROMPT, says('ANSWER-TWO', PAST_CHECKPOINT));
    const asked = lab.newest('main');
    const checkpoint = await lab.checkpointed();
    await lab.turn(client, 'PROMPT-THREE', says('ANSWER-THREE', PAST_SWAP));
    const turn = await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR'));

    expectServed(lab, turn, 'auto');
    expect(turn.text).to.equal('ANSWER-FOUR');
    expect(lab.of('checkpoint')).to.have.length(1);
    const kept = ['ANSWER-TWO', 'PROMPT-THREE', 'ANSWER-THREE', 'PROMPT-FOUR'];
    expectGoesOnFrom(checkpoint, lab.newest('main'), { kept, gone: ['PROMPT-ONE', 'PROMPT-TWO'] });
    if (traits.sendsClassHeaders) {
      expect(lab.newest('main').headers['x-claude-code-context-compacted']).to.equal('auto');
    }

    // The call repeats the client's request, which the API therefore reads from its cache.
    const { messages: before, ...settings } = present(asked.message);
    const { messages: after, ...sameSettings } = present(checkpoint.message);
    expect(after.slice(0, -1)).to.deep.equal(before);
    expect(sameSettings).to.deep.equal(settings);
    const usage = present(checkpoint.usage);
    expect(promptTokensOf(usage)).to.be.at.least(25_000);
    expect(usage.cache_read_input_tokens / promptTokensOf(usage)).to.be.at.least(0.95);
    await client.end();
  });

  it('is answered from the checkpoint when the user asks for it, before the swap threshold', async () => {
    const lab = await start();
    const client = lab.client();
    const checkpoint = await upToCheckpoint(lab, client);
    expectServed(lab, await lab.turn(client, '/compact'), 'manual');
    await lab.turn(client, 'PROMPT-THREE', says('ANSWER-THREE'));
    const words = { kept: ['ANSWER-TWO', 'PROMPT-THREE'], gone: ['PROMPT-ONE'] };
    expectGoesOnFrom(checkpoint, lab.newest('main'), words);
    await client.end();
  });

  itWhere('compactsOnRefusal', 'is answered when the API has refused a prompt as too long', async () => {
    const lab = await start();
    const client = lab.client();
    const checkpoint = await upToCheckpoint(lab, client);
    await lab.turn(client, 'PROMPT-THREE', runs('echo RESULT-$((40 + 2))', PAST_CHECKPOINT), says('ANSWER-THREE'));
    const refused = { fault: { kind: 'prompt_too_long' } } as const;
    const turn = await lab.turn(client, 'PROMPT-FOUR', refused, says('ANSWER-FOUR'));
    expectServed(lab, turn, 'auto');
    const kept = ['ANSWER-TWO', 'PROMPT-THREE', 'RESULT-42', 'ANSWER-THREE', 'PROMPT-FOUR'];
    expectGoesOnFrom(checkpoint, lab.newest('main'), { kept, gone: ['PROMPT-ONE'] });
    await client.end();
  });

  it('goes to the API when the user says what to keep', async () => {
    const lab = await start();
    const client = lab.client();
    await upToCheckpoint(lab, client);
    const turn = await lab.turn(client, '/compact keep the TODO list');
    expect(turn.compactions.map((compaction) => compaction.trigger)).to.deep.equal(['manual']);
    expect(lab.of('compaction')).to.have.length(1);
    const compaction = lab.newest('compaction');
    expect(instructionIn(compaction)).to.match(/\n\nAdditional Instructions:\nkeep the TODO list/);
    if (traits.sendsClassHeaders) expect(compaction.headers['x-claude-code-compaction']).to.equal('manual');
    await lab.turn(client, 'PROMPT-THREE', says('ANSWER-THREE'));
    expectGoesOnFromApi(lab, { kept: ['PROMPT-THREE'], gone: ['PROMPT-ONE'] });
    await client.end();
  });

  it('is answered again in the next cycle of the same session, from a checkpoint of the new history', async () => {
    const lab = await start();
    const client = lab.client();
    const first = await upToSwap(lab, client);
    expectServed(lab, await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR')), 'auto');
    expectGoesOnFrom(first, lab.newest('main'), { kept: ['PROMPT-THREE', 'PROMPT-FOUR'], gone: ['PROMPT-ONE'] });

    // Full again within two turns would be a compaction loop.
    await lab.turn(client, 'PROMPT-BETWEEN', says('ANSWER-BETWEEN'));
    await lab.turn(client, 'PROMPT-FIVE', says('ANSWER-FIVE', PAST_CHECKPOINT));
    const second = await lab.checkpointed(2);
    expect(second.number).to.be.above(first.number);
    await lab.turn(client, 'PROMPT-SIX', says('ANSWER-SIX', PAST_SWAP));
    expectServed(lab, await lab.turn(client, 'PROMPT-SEVEN', says('ANSWER-SEVEN')), 'auto');
    const words = { kept: ['ANSWER-FIVE', 'PROMPT-SIX', 'ANSWER-SIX', 'PROMPT-SEVEN'], gone: ['PROMPT-FOUR'] };
    expectGoesOnFrom(second, lab.newest('main'), words);
    expect(lab.of('checkpoint')).to.have.length(2);
    await client.end();
  });

  it('is answered when the API compresses, chops and pads what it says', async () => {
    const lab = await start();
    for (const fault of [{ kind: 'compression' }, { kind: 'noise' }, { kind: 'chunking', bytes: 11 }] as const) {
      lab.api.fault(fault, { times: Infinity });
    }
    const client = lab.client();
    const checkpoint = await upToSwap(lab, client);
    expectServed(lab, await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR')), 'auto');
    const words = { kept: ['ANSWER-TWO', 'PROMPT-THREE', 'PROMPT-FOUR'], gone: ['PROMPT-ONE'] };
    expectGoesOnFrom(checkpoint, lab.newest('main'), words);
    expect(lab.newest('main').faults).to.deep.equal(['compression', 'noise', 'chunking']);
    await client.end();
  });

  it('is answered in base-URL mode as well, where no header says what a request is', async () => {
    const lab = await start();
    const client = lab.client({ road: lab.baseUrlRoad });
    const checkpoint = await upToSwap(lab, client);
    expect(lab.newest('main').headers).not.to.have.property('x-claude-code-request-class');
    expectServed(lab, await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR')), 'auto');
    const words = { kept: ['ANSWER-THREE', 'PROMPT-FOUR'], gone: ['PROMPT-ONE'] };
    expectGoesOnFrom(checkpoint, lab.newest('main'), words);
    await client.end();
  });
});

/** What was recorded; fails where it was not. */
function present<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('the request was not recorded as one for a message that was answered');
  return value;
}
