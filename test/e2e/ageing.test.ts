import { expect } from 'chai';
import type { Reply, ScriptedClient } from '../../src/demo/scripted-client.ts';
import type { Answer } from '../../src/simulated-api/index.ts';
import { until } from '../src/redirector/sockets.ts';
import { FULL, LARGE, openStage, SMALL, type Stage } from './flows.ts';

/** More than a tenth of the window after a checkpoint made at LARGE. */
const AGED = FULL;

const served = (answer: Reply): boolean => answer.headers['x-double-buffer-served'] === 'checkpoint';

describe('a checkpoint that has aged', () => {
  let stage: Stage;
  before(async () => {
    stage = await openStage();
  });
  after(() => stage.close());

  /** Which summary an answer is made of: the number of the call that brought it. */
  const summaryIn = (answer: Reply): number => Number(/SIMULATED-SUMMARY-(\d+)/.exec(answer.text)?.[1]);
  const callNumbers = (client: ScriptedClient): number[] => stage.checkpointCalls(client).map(({ number }) => number);

  /** A client whose second checkpoint call has been under way since it said 'Much more work.', until `finish`. */
  async function refreshing(): Promise<{ client: ScriptedClient; finish: (answer?: Answer) => void }> {
    const client = await stage.checkpointed();
    let finish: (answer?: Answer) => void = () => undefined;
    const finished = new Promise<Answer | undefined>((resolve) => {
      finish = resolve;
    });
    stage.summarise(client, () => finished);
    stage.size(client, AGED);
    await client.say('Much more work.');
    await until(() => stage.checkpointCalls(client).length === 2);
    return { client, finish };
  }

  it('serves at once while the newer one is computed, and the newer is given up once that is taken', async () => {
    const { client, finish } = await refreshing();
    expect((await client.say('Are you ready?')).headers['x-double-buffer-phase']).to.equal('SWAP_READY');
    const answer = await client.compact();
    expect(served(answer)).to.equal(true);
    expect(summaryIn(answer)).to.equal(callNumbers(client)[0]);
    expect(answer.text).to.include('Much more work.').and.to.include('Are you ready?');
    expect((await stage.told(client, 'compaction.served'))['waited_ms']).to.be.below(1_000);
    stage.size(client, SMALL);
    await client.say('On with it.');
    await stage.told(client, 'checkpoint.aborted');
    finish();
  });

  it('is replaced by the newer one: less is sent verbatim', async () => {
    const { client, finish } = await refreshing();
    await client.say('Said meanwhile.');
    finish();
    await stage.told(client, 'checkpoint.completed', 2);
    await client.say('Said afterwards.');
    const answer = await client.compact();
    expect(served(answer)).to.equal(true);
    expect(summaryIn(answer)).to.equal(callNumbers(client)[1]);
    expect(answer.text).to.include('Said meanwhile.').and.to.include('Said afterwards.');
    expect(answer.text).not.to.include('Much more work.');
    expect(callNumbers(client)).to.have.length(2);
  });

  it('still serves whoever rewinds to before the newer one', async () => {
    const { client, finish } = await refreshing();
    finish();
    await stage.told(client, 'checkpoint.completed', 2);
    client.messages = client.messages.slice(0, -2);
    stage.size(client, LARGE);
    await client.say('Rather something else.');
    const answer = await client.compact();
    expect(served(answer)).to.equal(true);
    expect(summaryIn(answer)).to.equal(callNumbers(client)[0]);
  });

  for (const [what, fault] of [
    ['is overloaded', { kind: 'status', status: 529 }],
    ['refuses', { kind: 'status', status: 400 }],
    ['finds it too long', { kind: 'prompt_too_long' }],
    ['breaks off', { kind: 'disconnect', at: 'mid_stream' }],
  ] as const) {
    it(`still serves when the API ${what} for the newer one`, async () => {
      const { client, finish } = await refreshing();
      finish({ fault });
      await stage.told(client, 'checkpoint.failed');
      await client.say('Never mind.');
      const answer = await client.compact();
      expect(served(answer)).to.equal(true);
      expect(summaryIn(answer)).to.equal(callNumbers(client)[0]);
    });
  }

  it('of somebody else is known to be old by a fork that adopts it', async () => {
    const client = await stage.checkpointed();
    await client.say('More.');
    const fork = stage.client();
    fork.messages = [...client.messages];
    stage.size(fork, LARGE);
    await fork.say('In the fork.');
    expect(stage.checkpointCalls(fork), 'young enough').to.deep.equal([]);
    stage.size(fork, AGED);
    await fork.say('Much in the fork.');
    await stage.told(fork, 'checkpoint.completed');
    const answer = await fork.compact();
    expect(summaryIn(answer)).to.equal(callNumbers(fork)[0]);
    expect(summaryIn(await client.compact())).to.equal(callNumbers(client)[0]);
  });
});
