import { expect } from 'chai';
import type { ScriptedClient } from '../../src/demo/scripted-client.ts';
import type { Answer } from '../../src/simulated-api/index.ts';
import { ask } from '../src/forwarder/raw-client.ts';
import { until } from '../src/redirector/sockets.ts';
import { LARGE, openStage, type Stage } from './flows.ts';

const OVERLOADED: Answer = { fault: { kind: 'status', status: 529 } };

describe('checkpoints that the API cannot bear', () => {
  let stage: Stage;
  beforeEach(async () => {
    stage = await openStage({ DBPROXY_MAX_CHECKPOINTS: '2', DBPROXY_CHECKPOINT_TRIES: '1' });
  });
  afterEach(() => stage.close());

  const health = async (): Promise<Record<string, unknown>> =>
    JSON.parse((await ask(stage, { path: '/health', host: 'localhost' })).text) as Record<string, unknown>;

  /** A client that has crossed the threshold; its checkpoint call is answered with `answer`. */
  async function crossing(answer?: () => Promise<Answer | undefined> | Answer): Promise<ScriptedClient> {
    const client = stage.client();
    if (answer !== undefined) stage.summarise(client, answer);
    stage.size(client, LARGE);
    expect((await client.say(`Large work of ${client.session}.`)).status).to.equal(200);
    return client;
  }

  it('are not computed for a while, of no conversation, and requests pass as ever', async () => {
    expect(await health()).to.include({ checkpointBreaker: 'closed', checkpointsResumeAt: null });
    for (let count = 0; count < 5; count += 1) {
      const client = await crossing(() => OVERLOADED);
      await stage.told(client, 'checkpoint.failed');
    }
    const { checkpointBreaker: state, checkpointsResumeAt: until } = await health();
    expect(state).to.equal('open');
    expect(Date.parse(String(until)) - Date.now()).to.be.within(60_000, 120_000);
    expect(stage.log.filter(({ event }) => event === 'breaker.opened')).to.have.length(1);

    const client = await crossing();
    expect((await stage.told(client, 'checkpoint.skipped'))['reason']).to.equal('breaker');
    expect((await client.say('Go on.')).status).to.equal(200);
    await stage.told(client, 'checkpoint.skipped', 2);
    expect(stage.checkpointCalls(client)).to.deep.equal([]);
    const answer = await client.compact();
    expect([answer.status, answer.headers['x-double-buffer-served']]).to.deep.equal([200, undefined]);
    expect((await stage.told(client, 'compaction.forwarded'))['reason']).to.equal('no_checkpoint');
  });

  it('are skipped beyond the limit, and computed once there is room', async () => {
    let finish = (): void => undefined;
    const finished = new Promise<undefined>((resolve) => (finish = () => resolve(undefined)));
    const busy = [await crossing(() => finished), await crossing(() => finished)];
    await until(() => busy.every((client) => stage.checkpointCalls(client).length === 1));
    const client = await crossing();
    expect((await stage.told(client, 'checkpoint.skipped'))['reason']).to.equal('limit');
    expect(stage.checkpointCalls(client)).to.deep.equal([]);
    finish();
    for (const other of busy) await stage.told(other, 'checkpoint.completed');
    await client.say('And on.');
    await stage.told(client, 'checkpoint.completed');
    expect((await stage.told(client, 'checkpoint.started'))['attempt'], 'the skipped one was no try').to.equal(1);
    expect((await client.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
  });
});
