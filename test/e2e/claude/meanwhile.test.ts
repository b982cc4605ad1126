/** What happens between a checkpoint and its compaction when people do not wait their turn. */
import { expect } from 'chai';
import { describeWithClaude, itWhere } from './claude.ts';
import { labs, type Lab } from './lab.ts';
import { kindOf, said } from './requests.ts';
import { PAST_CHECKPOINT, PAST_SWAP, runs, says } from './script.ts';
import { expectGoesOnFrom, expectGoesOnFromApi, expectServed, upToCheckpoint } from './stories.ts';

/** Runs until it is interrupted; the client refuses a long `sleep`. */
const ENDLESS = `node -e 'setInterval(() => {}, 1000)'`;

describeWithClaude('between checkpoint and compaction', () => {
  const start = labs();

  /** Resolves when a main request that says these words has been answered. */
  async function answered(lab: Lab, words: string): Promise<void> {
    await lab.api.waitFor(
      (request) => kindOf(request) === 'main' && said(request).includes(words) && request.outcome === 'answered',
      20_000,
    );
  }

  /** A prompt as long as a page, with something to look for at each end and in the middle. */
  const page = 'and mind the spelling in all of it, please; '.repeat(70);
  const TYPED = `TYPED-BEGINNING ${page} TYPED-MIDDLE ${page} TYPED-END`;

  /** The client tells the 5.5 models in a `role: "system"` message what it puts into the tool's result for others. */
  for (const [model, trait] of [
    ['claude-sonnet-4-6', 'hearsMeanwhile'],
    ['claude-opus-5-5', 'knowsModels55'],
  ] as const) {
    itWhere(
      trait,
      `a prompt that was typed while a tool ran is in the served summary, in full (${model})`,
      async () => {
        const lab = await start({ env: { DBPROXY_MODEL_WINDOWS: '{"claude-opus-5-5": 200000}' } });
        const client = lab.client({ model, env: { CLAUDE_CODE_AUTO_COMPACT_WINDOW: '200000' } });
        const checkpoint = await upToCheckpoint(lab, client);
        const replies = [
          runs('sleep 2; echo SLOW-RESULT-$((40 + 1))', PAST_CHECKPOINT),
          says('ANSWER-THREE', PAST_SWAP),
        ];
        const turn = lab.turn(client, 'PROMPT-THREE: take your time.', ...replies);
        await answered(lab, 'PROMPT-THREE');
        client.type(TYPED);
        await turn;
        expect(said(lab.newest('main'))).to.include(TYPED);
        expectServed(lab, await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR')), 'auto');
        const kept = ['PROMPT-THREE', 'SLOW-RESULT-41', TYPED, 'ANSWER-THREE', 'PROMPT-FOUR'];
        expectGoesOnFrom(checkpoint, lab.newest('main'), { kept, gone: ['PROMPT-ONE'] });
        await client.end();
      },
    );
  }

  it('an interrupted tool does not part the checkpoint from its history', async () => {
    const lab = await start();
    const client = lab.client();
    const checkpoint = await upToCheckpoint(lab, client);
    lab.script.main.push(runs(ENDLESS, PAST_CHECKPOINT));
    const turn = client.say('PROMPT-THREE: take your time.');
    await answered(lab, 'PROMPT-THREE');
    await new Promise((resolve) => setTimeout(resolve, 500));
    await client.control({ subtype: 'interrupt' });
    await turn;
    await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR', PAST_SWAP));
    expectServed(lab, await lab.turn(client, 'PROMPT-FIVE', says('ANSWER-FIVE')), 'auto');
    const kept = ['PROMPT-THREE', 'setInterval', 'PROMPT-FOUR', 'ANSWER-FOUR', 'PROMPT-FIVE'];
    expectGoesOnFrom(checkpoint, lab.newest('main'), { kept, gone: ['PROMPT-ONE'] });
    await client.end();
  });

  // To Anthropic itself the client goes on sending the former model's thinking; elsewhere it leaves it out (2.1.330).
  for (const [where, road] of [
    ['', (lab: Lab) => lab.road],
    [' in base-URL mode', (lab: Lab) => lab.baseUrlRoad],
  ] as const) {
    it(`another model keeps the checkpoint${where}`, async () => {
      const lab = await start();
      const client = lab.client({ road: road(lab) });
      const checkpoint = await upToCheckpoint(lab, client);
      await client.control({ subtype: 'set_model', model: 'claude-opus-4-6' });
      await lab.turn(client, 'PROMPT-THREE', says('ANSWER-THREE', PAST_SWAP));
      expect(lab.newest('main').message?.model).to.equal('claude-opus-4-6');
      expectServed(lab, await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR')), 'auto');
      const kept = ['ANSWER-TWO', 'PROMPT-THREE', 'ANSWER-THREE', 'PROMPT-FOUR'];
      expectGoesOnFrom(checkpoint, lab.newest('main'), { kept, gone: ['PROMPT-ONE'] });
      await client.end();
    });
  }

  itWhere('knowsModels55', 'a model with a larger window keeps the checkpoint, and has time with it', async () => {
    const lab = await start();
    const client = lab.client();
    const checkpoint = await upToCheckpoint(lab, client);
    await client.control({ subtype: 'set_model', model: 'claude-opus-5-5' });
    await lab.turn(client, 'PROMPT-THREE', says('ANSWER-THREE', PAST_SWAP));
    const turn = await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR', PAST_SWAP));
    expect(turn.compactions).to.have.length(0);
    expectServed(lab, await lab.turn(client, '/compact'), 'manual');
    await lab.turn(client, 'PROMPT-NEXT', says('ANSWER-NEXT'));
    const kept = ['ANSWER-TWO', 'PROMPT-THREE', 'PROMPT-FOUR', 'PROMPT-NEXT'];
    expectGoesOnFrom(checkpoint, lab.newest('main'), { kept, gone: ['PROMPT-ONE'] });
    expect(lab.of('checkpoint')).to.have.length(1);
    await client.end();
  });

  itWhere('asksAside', 'a side question counts for nothing and disturbs nothing', async () => {
    const lab = await start();
    const client = lab.client();
    const aside = { subtype: 'side_question', question: 'ASIDE: what is this about?' };
    await lab.turn(client, 'PROMPT-ZERO', says('ANSWER-ZERO'));
    lab.script.auxiliary = says('ASIDE-ANSWER', PAST_SWAP);
    await client.control(aside);
    expect(said(lab.newest('auxiliary')))
      .to.include('PROMPT-ZERO')
      .and.to.include('ASIDE');
    const checkpoint = await upToCheckpoint(lab, client);
    await client.control(aside);
    await lab.turn(client, 'PROMPT-THREE', says('ANSWER-THREE', PAST_SWAP));
    expectServed(lab, await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR')), 'auto');
    const kept = ['ANSWER-TWO', 'PROMPT-THREE', 'ANSWER-THREE', 'PROMPT-FOUR'];
    expectGoesOnFrom(checkpoint, lab.newest('main'), { kept, gone: ['PROMPT-ONE', 'ASIDE'] });
    expect(lab.of('checkpoint')).to.have.length(1);
    await client.end();
  });

  itWhere('clears', '/clear leaves the checkpoint behind', async () => {
    const lab = await start();
    const client = lab.client();
    await upToCheckpoint(lab, client);
    const { session } = client;
    await lab.turn(client, '/clear');
    await lab.turn(client, 'PROMPT-FRESH', says('ANSWER-FRESH'));
    expect(client.session).not.to.equal(session);
    expect(said(lab.newest('main'))).not.to.include('PROMPT-ONE');
    await lab.turn(client, 'PROMPT-FRESH-TWO', says('ANSWER-FRESH-TWO'));
    await lab.turn(client, '/compact');
    expect(lab.of('compaction')).to.have.length(1);
    await lab.turn(client, 'PROMPT-NEXT', says('ANSWER-NEXT'));
    expectGoesOnFromApi(lab, { kept: ['PROMPT-NEXT'], gone: ['PROMPT-ONE', 'PROMPT-FRESH'] });
    await client.end();
  });

  it('more words than the budget holds send the compaction to the API', async () => {
    const lab = await start();
    const client = lab.client();
    await upToCheckpoint(lab, client);
    // Twice, because the client asks on by itself after an answer that is longer than an answer can be.
    for (const prompt of ['PROMPT-THREE', 'PROMPT-AGAIN']) {
      await lab.turn(client, prompt, says('a long story, told in full. '.repeat(3_000)));
    }
    await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR', PAST_CHECKPOINT));
    await lab.turn(client, '/compact');
    expect(lab.of('compaction')).to.have.length(1);
    await lab.turn(client, 'PROMPT-NEXT', says('ANSWER-NEXT'));
    expectGoesOnFromApi(lab, { kept: ['PROMPT-NEXT'], gone: ['PROMPT-ONE', 'a long story'] });
    await client.end();
  });
});
