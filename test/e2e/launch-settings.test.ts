import { expect } from 'chai';
import { ask, messageRequest } from '../src/forwarder/raw-client.ts';
import { openStage, type Stage } from './flows.ts';

const EARLY = { 'x-dbproxy-checkpoint-threshold': '0.40', 'X-DBProxy-Swap-Threshold': '0.50' };
/** Of 180,000 tokens that count: above 40 %, below 50 % and 70 %. */
const PAST_EARLY = 80_000;

describe('the settings of one launch, on their way with its requests', () => {
  let stage: Stage;
  before(async () => {
    stage = await openStage();
  });
  after(() => stage.close());

  it('hold for its conversations and for no others', async () => {
    const own = stage.client({ headers: EARLY });
    const other = stage.client();
    for (const client of [own, other]) {
      await client.say('Beginning.');
      stage.size(client, PAST_EARLY);
      await client.say('Going on.');
    }
    await stage.told(own, 'checkpoint.completed');
    stage.size(own, 100_000);
    await own.say('Past the swap.');
    expect((await own.say('And on.')).headers['x-double-buffer-phase']).to.equal('SWAP_READY');
    expect((await other.say('And on.')).headers['x-double-buffer-phase']).to.equal('IDLE');
    expect(stage.checkpointCalls(other)).to.have.length(0);
    expect((await own.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
  });

  it('follow the conversation when another launch goes on with it', async () => {
    const first = stage.client();
    await first.say('Beginning.');
    stage.size(first, PAST_EARLY);
    await first.say('Below the threshold of this launch.');
    expect(stage.checkpointCalls(first)).to.have.length(0);
    const second = stage.client({ session: first.session, headers: EARLY });
    second.messages.push(...first.messages);
    await second.say('Above the threshold of this one.');
    await stage.told(second, 'checkpoint.completed');
  });

  it('make the window smaller, as the client itself has it', async () => {
    const long = { model: 'claude-opus-5-5', maxTokens: 128_000 };
    const client = stage.client({ ...long, headers: { 'x-dbproxy-compact-window': '200000' } });
    await client.say('Beginning.');
    stage.size(client, 130_000);
    await client.say('Past 70 % of 180,000.');
    await stage.told(client, 'checkpoint.completed');
  });

  it('never reach the API, on any road, nor with a checkpoint call', async () => {
    const client = stage.client({ headers: EARLY });
    await client.say('Beginning.');
    stage.size(client, PAST_EARLY);
    await client.say('Going on.');
    await stage.told(client, 'checkpoint.completed');
    await client.say('And on.');
    const headers = ['x-dbproxy-checkpoint-threshold', '0.4', 'X-DBPROXY-anything', '1', 'x-kept', 'yes'];
    const target = { proxy: stage.proxy, ca: stage.ca };
    const others = [
      messageRequest('class-less', undefined, { headers }),
      { path: '/v1/messages/count_tokens', method: 'POST', headers, body: '{}' },
      { path: '/api/claude_code/settings', headers },
    ];
    for (const other of others) await ask(target, other);
    expect(stage.api.requests.filter((request) => request.headers['x-kept'] === 'yes')).to.have.length(3);
    const roads = new Set(stage.api.requests.map(({ path }) => path));
    expect([...roads]).to.include.members(['/v1/messages', '/v1/messages/count_tokens', '/api/claude_code/settings']);
    expect(stage.checkpointCalls(client)).to.have.length(1);
    for (const { rawHeaders } of stage.api.requests) expect(rawHeaders.join(' ')).not.to.match(/dbproxy/i);
  });
});
