/** One history under several names: continued, resumed, forked, with another model, rewound. */
import { expect } from 'chai';
import type { ClaudeClient } from './client.ts';
import { describeWithClaude } from './claude.ts';
import { labs, type Lab } from './lab.ts';
import type { RecordedRequest } from '../../../src/simulated-api/index.ts';
import { SMALL, says } from './script.ts';
import { expectGoesOnFrom, expectGoesOnFromApi, expectServed, upToCheckpoint } from './stories.ts';

describeWithClaude('a session that is taken up again after its checkpoint', () => {
  const start = labs();

  /** A first process that ends when its checkpoint is there. */
  async function earlier(lab: Lab): Promise<{ readonly session: string; readonly checkpoint: RecordedRequest }> {
    const client = lab.client();
    const checkpoint = await upToCheckpoint(lab, client);
    await client.end();
    return { session: client.session, checkpoint };
  }

  async function compactAndGoOn(lab: Lab, client: ClaudeClient, checkpoint: RecordedRequest): Promise<void> {
    expectServed(lab, await lab.turn(client, '/compact'), 'manual');
    await lab.turn(client, 'PROMPT-NEXT', says('ANSWER-NEXT'));
    expectGoesOnFrom(checkpoint, lab.newest('main'), { kept: ['ANSWER-TWO', 'PROMPT-NEXT'], gone: ['PROMPT-ONE'] });
    await client.end();
  }

  it('with --continue has its /compact answered', async () => {
    const lab = await start();
    const { session, checkpoint } = await earlier(lab);
    const client = lab.client({ args: ['--continue'] });
    await compactAndGoOn(lab, client, checkpoint);
    expect(client.session).to.equal(session);
  });

  it('with --resume and a turn in between has its /compact answered', async () => {
    const lab = await start();
    const { session, checkpoint } = await earlier(lab);
    const client = lab.client({ args: ['--resume', session] });
    await lab.turn(client, 'PROMPT-THREE', says('ANSWER-THREE', SMALL));
    expectServed(lab, await lab.turn(client, '/compact'), 'manual');
    await lab.turn(client, 'PROMPT-NEXT', says('ANSWER-NEXT'));
    const kept = ['ANSWER-TWO', 'PROMPT-THREE', 'ANSWER-THREE', 'PROMPT-NEXT'];
    expectGoesOnFrom(checkpoint, lab.newest('main'), { kept, gone: ['PROMPT-ONE'] });
    await client.end();
  });

  it('as a fork has its /compact answered under the new session id, and the original has so too', async () => {
    const lab = await start();
    const { session, checkpoint } = await earlier(lab);
    const fork = lab.client({ args: ['--resume', session, '--fork-session'] });
    await lab.turn(fork, 'PROMPT-FORKED', says('ANSWER-FORKED'));
    expectServed(lab, await lab.turn(fork, '/compact'), 'manual');
    await lab.turn(fork, 'PROMPT-NEXT', says('ANSWER-NEXT'));
    const kept = ['ANSWER-TWO', 'PROMPT-FORKED', 'PROMPT-NEXT'];
    expectGoesOnFrom(checkpoint, lab.newest('main'), { kept, gone: ['PROMPT-ONE'] });
    expect(fork.session).not.to.equal(session);
    await fork.end();

    await compactAndGoOn(lab, lab.client({ args: ['--resume', session] }), checkpoint);
    expect(lab.of('checkpoint')).to.have.length(1);
  });

  it('with another model keeps the checkpoint', async () => {
    const lab = await start();
    const { session, checkpoint } = await earlier(lab);
    const client = lab.client({ args: ['--resume', session], model: 'claude-opus-4-6' });
    await lab.turn(client, 'PROMPT-THREE', says('ANSWER-THREE'));
    expect(lab.newest('main').message?.model).to.equal('claude-opus-4-6');
    expect(checkpoint.message?.model).to.equal('claude-sonnet-4-6');
    expectServed(lab, await lab.turn(client, '/compact'), 'manual');
    await lab.turn(client, 'PROMPT-NEXT', says('ANSWER-NEXT'));
    const kept = ['ANSWER-TWO', 'PROMPT-THREE', 'PROMPT-NEXT'];
    expectGoesOnFrom(checkpoint, lab.newest('main'), { kept, gone: ['PROMPT-ONE'] });
    await client.end();
  });

  it('from before the checkpoint is not given a summary of what it has left', async () => {
    const lab = await start();
    const first = lab.client();
    await lab.turn(first, 'PROMPT-ZERO', says('ANSWER-ZERO'));
    const kept = first.lines.findLast((line) => line.type === 'assistant')?.['uuid'];
    await upToCheckpoint(lab, first);
    await first.end();
    const client = lab.client({ args: ['--resume', first.session, '--resume-session-at', String(kept)] });
    await lab.turn(client, 'PROMPT-OTHER', says('ANSWER-OTHER'));
    await lab.turn(client, '/compact');
    expect(lab.of('compaction')).to.have.length(1);
    await lab.turn(client, 'PROMPT-NEXT', says('ANSWER-NEXT'));
    const words = { kept: ['PROMPT-NEXT'], gone: ['PROMPT-ONE', 'PROMPT-TWO', 'ANSWER-ONE'] };
    expectGoesOnFromApi(lab, words);
    await client.end();
  });
});
