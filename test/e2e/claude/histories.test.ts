/** What histories hold besides words: files, images, results that the client clears, tags, words of a hook. */
import { expect } from 'chai';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { claude, describeWithClaude } from './claude.ts';
import { labs } from './lab.ts';
import { instructionIn, said } from './requests.ts';
import { PAST_CHECKPOINT, PAST_SWAP, calls, runs, says } from './script.ts';
import { expectGoesOnFrom, expectGoesOnFromApi, expectServed, upToCheckpoint, upToSwap } from './stories.ts';

/** One pixel. */
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

describeWithClaude('a history with', () => {
  const start = labs();

  it('a file that was mentioned, before and after the checkpoint, has its compaction answered', async () => {
    const lab = await start();
    const client = lab.client();
    await lab.turn(client, 'PROMPT-ZERO: see @notes.txt', says('ANSWER-ZERO'));
    expect(said(lab.newest('main'))).to.include('NOTES-LINE');
    const checkpoint = await upToCheckpoint(lab, client);
    await lab.turn(client, 'PROMPT-THREE: see @notes.txt again', says('ANSWER-THREE', PAST_SWAP));
    expectServed(lab, await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR')), 'auto');
    const words = { kept: ['PROMPT-THREE', 'PROMPT-FOUR'], gone: ['PROMPT-ZERO'] };
    expectGoesOnFrom(checkpoint, lab.newest('main'), words);
    await client.end();
  });

  it('an image that a tool read has its compaction answered', async () => {
    const lab = await start();
    const client = lab.client();
    const image = join(lab.project, 'dot.png');
    writeFileSync(image, Buffer.from(PNG, 'base64'));
    await lab.turn(client, 'PROMPT-ZERO', calls('Read', { file_path: image }), says('ANSWER-ZERO'));
    expect(said(lab.newest('main'))).to.include('"type":"image"');
    const checkpoint = await upToSwap(lab, client);
    expectServed(lab, await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR')), 'auto');
    const words = { kept: ['PROMPT-THREE', 'PROMPT-FOUR'], gone: ['PROMPT-ZERO'] };
    expectGoesOnFrom(checkpoint, lab.newest('main'), words);
    await client.end();
  });

  it('results that the client has cleared since the checkpoint has its compaction answered', async () => {
    const lab = await start();
    const client = lab.client();
    const talkative = (name: string): string => `for i in $(seq 1 900); do echo "${name} $i ${'-'.repeat(20)}"; done`;
    for (const name of ['ZERO-A', 'ZERO-B', 'ZERO-C', 'ZERO-D']) {
      await lab.turn(client, name, runs(talkative(name)), says(`ANSWER-${name}`));
    }
    const checkpoint = await upToCheckpoint(lab, client);
    for (const name of ['LATER-A', 'LATER-B', 'LATER-C', 'LATER-D']) {
      await lab.turn(client, name, runs(talkative(name), PAST_CHECKPOINT), says(`ANSWER-${name}`, PAST_CHECKPOINT));
    }
    // Other versions clear only after a long rest, or leave it to the API.
    if (claude?.version === '2.1.63') expect(said(lab.newest('main'))).to.include('<persisted-output>');
    expectServed(lab, await lab.turn(client, '/compact'), 'manual');
    await lab.turn(client, 'PROMPT-NEXT', says('ANSWER-NEXT'));
    const words = { kept: ['LATER-A', 'ANSWER-LATER-D', 'PROMPT-NEXT'], gone: ['ANSWER-ZERO-A'] };
    expectGoesOnFrom(checkpoint, lab.newest('main'), words);
    await client.end();
  });

  it('tags that a summary is known by is carried whole', async () => {
    const lab = await start();
    const client = lab.client();
    const checkpoint = await upToCheckpoint(lab, client);
    const tagged = 'PROMPT-THREE: <summary> or </summary>, <analysis>WORDS-INSIDE</analysis>, WORDS-BEHIND';
    await lab.turn(client, tagged, says('ANSWER-THREE </summary> AND-MORE', PAST_SWAP));
    expectServed(lab, await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR')), 'auto');
    const kept = ['PROMPT-THREE', 'WORDS-INSIDE', 'WORDS-BEHIND', 'AND-MORE', 'PROMPT-FOUR'];
    expectGoesOnFrom(checkpoint, lab.newest('main'), { kept, gone: ['PROMPT-ONE'] });
    await client.end();
  });

  it('a hook that tells how to compact goes to the API', async () => {
    const lab = await start();
    const hook = { type: 'command', command: 'echo HOOK-WORDS' };
    mkdirSync(join(lab.home, '.claude'));
    const settings = { hooks: { PreCompact: [{ hooks: [hook] }] } };
    writeFileSync(join(lab.home, '.claude', 'settings.json'), JSON.stringify(settings));
    const client = lab.client();
    await upToSwap(lab, client);
    await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR'));
    expect(lab.of('compaction')).to.have.length(1);
    expect(instructionIn(lab.newest('compaction'))).to.include('HOOK-WORDS');
    expectGoesOnFromApi(lab, { kept: [], gone: ['PROMPT-ONE'], pending: 'PROMPT-FOUR' });
    await client.end();
  });
});
