import { performance } from 'node:perf_hooks';
import { expect } from 'chai';
import { COMPACT_INSTRUCTION, type ScriptedClient } from '../../src/demo/scripted-client.ts';
import type { Answer } from '../../src/simulated-api/index.ts';
import type { Message } from '../../src/wire/message-request.ts';
import { until } from '../src/redirector/sockets.ts';
import { FULL, LARGE, openStage, SMALL, type Stage } from './flows.ts';

describe('while a checkpoint is being computed', () => {
  let stage: Stage;
  before(async () => {
    stage = await openStage({ DBPROXY_COMPACTION_WAIT: '10s' });
  });
  after(() => stage.close());

  /** A client whose checkpoint call is under way until `finish`. */
  async function computing(
    promptTokens = LARGE,
    answer?: Answer,
  ): Promise<{ client: ScriptedClient; finish: () => void }> {
    const client = stage.client();
    await client.say(`Small talk with ${client.session}.`);
    let finish = (): void => undefined;
    const finished = new Promise<Answer | undefined>((resolve) => {
      finish = () => resolve(answer);
    });
    stage.summarise(client, () => finished);
    stage.size(client, promptTokens);
    await client.say('And now much work.');
    await until(() => stage.checkpointCalls(client).length === 1);
    return { client, finish };
  }

  /** Time for what was sent to arrive: a whole round trip of somebody else. */
  const arrived = async (): Promise<void> => {
    await stage.client().aside('Still there?');
  };

  it('a turn that crosses the threshold ends as fast as any, and so does the next', async () => {
    const client = stage.client();
    stage.summarise(client, () => ({ fault: { kind: 'slow', firstByteMs: 2_000 } }));
    await client.say(`Warm up ${client.session}.`);
    const usual = Math.max((await client.say('Small.')).ms, (await client.say('Small again.')).ms);
    stage.size(client, FULL); // past both at once
    const crossing = await client.say('Large.');
    const running = await client.say('And on.');
    await until(() => stage.checkpointCalls(client).length === 1);
    expect(running.headers['x-double-buffer-phase']).to.equal('CHECKPOINTING');
    for (const { ms } of [crossing, running]) expect(ms).to.be.below(Math.max(200, usual * 5));
    expect(stage.checkpointCalls(client)[0]?.outcome).to.equal('open');
  });

  it('a compaction right behind the answer that crossed the threshold finds what that began', async () => {
    const client = stage.client();
    await client.say(`Small talk with ${client.session}.`);
    stage.size(client, LARGE);
    const crossing = client.say('And now much work.');
    const compacted = await crossing.then(() => client.compact());
    expect(compacted.headers['x-double-buffer-served']).to.equal('checkpoint');
    expect(stage.compactions(client)).to.deep.equal([]);
  });

  it('a compaction waits for it and is answered from it', async () => {
    const { client, finish } = await computing();
    const coming = client.compact();
    await arrived();
    finish();
    expect((await coming).headers['x-double-buffer-served']).to.equal('checkpoint');
    expect((await stage.told(client, 'compaction.served'))['waited_ms']).to.be.within(0, 2_000);
    expect(stage.compactions(client)).to.deep.equal([]);
  });

  it('two compactions wait for the same one', async () => {
    const { client, finish } = await computing();
    const coming = Promise.all([1, 2].map(() => client.send(compaction(client), 'compaction', 'auto')));
    await arrived();
    finish();
    const answers = await coming;
    expect(answers.map(({ headers }) => headers['x-double-buffer-served'])).to.deep.equal(['checkpoint', 'checkpoint']);
    expect(answers[0]?.text).to.equal(answers[1]?.text);
    expect(stage.checkpointCalls(client)).to.have.length(1);
  });

  it('a compaction with words does not wait', async () => {
    const { client } = await computing();
    const answer = await client.compact('manual', 'be brief');
    expect(answer.headers['x-double-buffer-served']).to.equal(undefined);
    expect((await stage.told(client, 'compaction.forwarded'))['reason']).to.equal('instructions');
  });

  it('a compaction of another conversation does not wait', async () => {
    const { client, finish } = await computing();
    const other = stage.client();
    await other.say(`Small talk of ${other.session}.`);
    await other.compact();
    expect((await stage.told(other, 'compaction.forwarded'))['reason']).to.equal('no_checkpoint');
    finish();
    expect((await client.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
  });

  it('turns of other conversations and of older clients pass at once', async () => {
    const { client, finish } = await computing();
    const { session } = client;
    for (const given of [{}, { classHeaders: false }, { classHeaders: false, session }, { agent: 'a', session }]) {
      expect((await stage.client(given).say('Me too.')).status).to.equal(200);
    }
    expect((await client.say('And on.')).status).to.equal(200);
    finish();
  });

  it('a compaction goes to the API when the call fails', async () => {
    const { client, finish } = await computing(LARGE, { fault: { kind: 'status', status: 400 } });
    const coming = client.compact();
    await arrived();
    finish();
    const answer = await coming;
    expect(answer.headers['x-double-buffer-served']).to.equal(undefined);
    expect(answer.text).to.include('SIMULATED-SUMMARY');
    expect((await stage.told(client, 'compaction.forwarded'))['reason']).to.equal('checkpoint_failed');
  });

  it('a client that leaves while it waits causes no call, and the checkpoint is there for its next try', async () => {
    const { client, finish } = await computing();
    const leaving = new AbortController();
    const left = client.send(compaction(client), 'compaction', 'auto', leaving.signal).catch((error: unknown) => error);
    await arrived();
    leaving.abort();
    expect(await left).to.be.instanceOf(Error);
    await arrived();
    finish();
    await stage.told(client, 'checkpoint.completed');
    expect(stage.compactions(client)).to.deep.equal([]);
    expect(
      stage.log.filter(
        ({ event, fields }) => event === 'compaction.forwarded' && fields['conversation'] === client.session,
      ),
    ).to.deep.equal([]);
    expect((await client.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
  });

  it('a compaction waits no longer than it may, then goes to the API; the call is given up', async () => {
    const hasty = await openStage({ DBPROXY_COMPACTION_WAIT: '100ms' });
    try {
      const client = hasty.client();
      hasty.size(client, LARGE);
      hasty.summarise(client, () => ({ fault: { kind: 'silence', at: 'mid_stream' } }));
      await client.say('Work.');
      const began = performance.now();
      const answer = await client.compact();
      expect(performance.now() - began).to.be.within(95, 1_500);
      expect(answer.text).to.include('SIMULATED-SUMMARY');
      expect((await hasty.told(client, 'compaction.forwarded'))['reason']).to.equal('wait_timeout');
      await hasty.told(client, 'checkpoint.aborted');
      const [call] = hasty.checkpointCalls(client);
      await until(() => call?.outcome === 'aborted');
    } finally {
      await hasty.close();
    }
  });

  it('a history that goes another way ends the call; a native compaction does too', async () => {
    const { client } = await computing();
    client.messages = client.messages.slice(0, 2); // rewound
    stage.size(client, SMALL);
    await client.say('Rather something else.');
    await stage.told(client, 'checkpoint.aborted');
    const [call] = stage.checkpointCalls(client);
    await until(() => call?.outcome === 'aborted');
    const native = (await computing()).client;
    await native.compact('manual', 'with words, so that it goes to the API');
    await stage.told(native, 'checkpoint.aborted');
  });

  it('only one call runs, however many turns end', async () => {
    const { client, finish } = await computing(FULL);
    for (const text of ['Two.', 'Three.']) {
      expect((await client.say(text)).headers['x-double-buffer-phase']).to.equal('CHECKPOINTING');
    }
    finish();
    await stage.told(client, 'checkpoint.completed');
    expect(stage.checkpointCalls(client)).to.have.length(1);
    expect((await client.say('Four.')).headers['x-double-buffer-phase']).to.equal('SWAP_READY');
  });

  it('a failed call is tried again when the API said when, three times in all', async () => {
    const client = stage.client();
    stage.size(client, LARGE);
    stage.summarise(client, () => ({ fault: { kind: 'status', status: 429, retryAfter: 0 } }));
    await client.say(`Work for ${client.session}.`);
    await stage.told(client, 'checkpoint.failed', 3);
    await client.say('And on.');
    expect(stage.checkpointCalls(client)).to.have.length(3);
    const lucky = stage.client();
    stage.size(lucky, LARGE);
    let tries = 0;
    stage.summarise(lucky, () =>
      tries++ === 0 ? { fault: { kind: 'status', status: 529, retryAfter: 0 } } : undefined,
    );
    await lucky.say(`Work for ${lucky.session}.`);
    await stage.told(lucky, 'checkpoint.completed');
    expect((await lucky.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
  });
});

const compaction = (client: ScriptedClient): Message[] => [
  ...client.messages,
  { role: 'user', content: COMPACT_INSTRUCTION },
];
