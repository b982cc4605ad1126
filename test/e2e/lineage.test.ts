import { expect } from 'chai';
import type { Reply, ScriptedClient } from '../../src/demo/scripted-client.ts';
import type { Message } from '../../src/wire/message-request.ts';
import { LARGE, openStage, SMALL, type Stage } from './flows.ts';

const served = (answer: Reply): boolean => answer.headers['x-double-buffer-served'] === 'checkpoint';

describe('which history a checkpoint answers for', () => {
  let stage: Stage;
  before(async () => {
    stage = await openStage();
  });
  after(() => stage.close());

  /** A conversation of three turns whose checkpoint covers them all, and one more turn after it. */
  async function talked(): Promise<ScriptedClient> {
    const { length } = stage.log;
    const client = await stage.checkpointed({}, `First, number ${length}.`, 'Second.', 'Third.');
    await client.say('Since then.');
    return client;
  }

  /** Somebody with that history, in a session of their own. */
  function withHistory(messages: readonly Message[], session?: string): ScriptedClient {
    const client = stage.client(session === undefined ? {} : { session });
    client.messages = [...messages];
    return client;
  }

  it('a fork in a new session is answered, with what was said in the fork', async () => {
    const client = await talked();
    const fork = withHistory(client.messages);
    await fork.say('Said in the fork only.');
    const answer = await fork.compact();
    expect(served(answer)).to.equal(true);
    expect(answer.text).to.include('Since then.').and.to.include('Said in the fork only.');
    expect(answer.headers['x-double-buffer-conv-id']).to.equal(fork.session);
    expect(stage.checkpointCalls(fork)).to.deep.equal([]);
    const original = await client.compact();
    expect(served(original)).to.equal(true);
    expect(original.text).not.to.include('Said in the fork only.');
  });

  it('a session resumed by its id, and a compaction as the first thing a fork does, are answered', async () => {
    const client = await talked();
    expect(served(await withHistory(client.messages, client.session).compact())).to.equal(true);
    expect(served(await withHistory(client.messages).compact('manual'))).to.equal(true);
  });

  it('a rewind to a point after the anchor is answered, without what was taken back', async () => {
    const client = await talked();
    await client.say('Taken back.');
    client.messages = client.messages.slice(0, -2);
    await client.say('Said instead.');
    const answer = await client.compact();
    expect(served(answer)).to.equal(true);
    expect(answer.text).to.include('Said instead.').and.not.to.include('Taken back.');
  });

  it('a rewind past the anchor is not', async () => {
    const client = await talked();
    client.messages = client.messages.slice(0, 4);
    stage.size(client, SMALL);
    expect((await client.say('Another third.')).headers['x-double-buffer-phase']).to.equal('IDLE');
    expect(served(await client.compact())).to.equal(false);
  });

  it('a large history is read once its answer has begun: it is answered all the same, and its rewind is not', async () => {
    const { length } = stage.log;
    const large = `Number ${length}. ${'Please go through all of this. '.repeat(12_000)}`;
    const client = await stage.checkpointed({}, large, 'Second.', 'Third.');
    await client.say('Since then.');
    const answer = await withHistory(client.messages, client.session).compact();
    expect(served(answer)).to.equal(true);
    expect(answer.text).to.include('Since then.');
    client.messages = client.messages.slice(0, 4);
    stage.size(client, SMALL);
    // Its label tells the phase before it, the next one's what came of it.
    expect((await client.say('Another third.')).headers['x-double-buffer-phase']).to.equal('SWAP_READY');
    expect((await client.say('Another fourth.')).headers['x-double-buffer-phase']).to.equal('IDLE');
    expect(served(await client.compact())).to.equal(false);
  });

  it('a rewind to before the anchor and nothing said since is not', async () => {
    const client = await talked();
    for (const count of [2, 4]) {
      expect(served(await withHistory(client.messages.slice(0, count), client.session).compact())).to.equal(false);
    }
  });

  const edits: readonly (readonly [string, (messages: Message[]) => Message[]])[] = [
    ['a word of the user', (all) => all.with(2, { role: 'user', content: 'Second?' })],
    ['an answer', (all) => all.with(1, { role: 'assistant', content: 'Not what was said.' })],
    ['a message left out', (all) => all.toSpliced(2, 2)],
    ['a message put in', (all) => all.toSpliced(2, 0, { role: 'user', content: 'Put in.' })],
    ['two messages changed about', (all) => [...all.slice(2, 4), ...all.slice(0, 2), ...all.slice(4)]],
    [
      'a block put in',
      (all) =>
        all.with(2, {
          role: 'user',
          content: [
            { type: 'text', text: 'Second.' },
            { type: 'text', text: 'And.' },
          ],
        }),
    ],
    ['a role', (all) => all.with(2, { role: 'assistant', content: 'Second.' })],
    ['the first message', (all) => all.with(0, { role: 'user', content: 'Another beginning.' })],
    [
      'an image put in',
      (all) =>
        all.with(2, {
          role: 'user',
          content: [
            { type: 'text', text: 'Second.' },
            { type: 'image', source: {} },
          ],
        }),
    ],
  ];
  for (const [what, edit] of edits) {
    it(`a history edited below the anchor is not: ${what}`, async () => {
      const client = await talked();
      for (const session of [client.session, undefined]) {
        const edited = withHistory(edit([...client.messages]), session);
        expect(served(await edited.compact())).to.equal(false);
      }
      expect(served(await client.compact())).to.equal(true);
    });
  }

  const variations: readonly (readonly [string, (messages: Message[]) => Message[]])[] = [
    [
      'one text block for a string',
      (all) => all.with(0, { ...all[0], role: 'user', content: [{ type: 'text', text: firstText(all) }] }),
    ],
    [
      'cache marks',
      (all) =>
        all.with(0, {
          role: 'user',
          content: [{ type: 'text', text: firstText(all), cache_control: { type: 'ephemeral', ttl: '1h' } }],
        }),
    ],
    [
      'a system reminder',
      (all) =>
        all.with(2, {
          role: 'user',
          content: [
            { type: 'text', text: '<system-reminder>\nbe kind\n</system-reminder>' },
            { type: 'text', text: 'Second.' },
          ],
        }),
    ],
  ];
  for (const [what, vary] of variations) {
    it(`what the client itself changes is no edit: ${what}`, async () => {
      const client = await talked();
      expect(served(await withHistory(vary([...client.messages]), client.session).compact())).to.equal(true);
    });
  }

  it('/clear: a new history in a new session, or in the same, is not', async () => {
    const client = await talked();
    for (const session of [undefined, client.session]) {
      const cleared = withHistory([], session);
      stage.size(cleared, SMALL);
      await cleared.say(`All new, ${session ?? 'elsewhere'}.`);
      expect(served(await cleared.compact())).to.equal(false);
    }
  });

  it("a subagent's history is its own: neither is its compaction answered from the parent's, nor the other way round", async () => {
    const client = await talked();
    const agent = stage.client({ session: client.session, agent: 'agent-7' });
    stage.size(client, SMALL);
    await agent.say('Find all tests.');
    expect(served(await agent.compact())).to.equal(false);
    stage.size(client, LARGE);
    const second = stage.client({ session: client.session, agent: 'agent-8' });
    await second.say('A subagent that grows large.');
    await stage.told(client, 'checkpoint.completed', 2);
    const answer = await second.compact();
    expect(served(answer)).to.equal(true);
    expect(answer.headers['x-double-buffer-conv-id']).to.equal(`${client.session}.agent-8`);
    const parents = await client.compact();
    expect(served(parents)).to.equal(true);
    expect(parents.text).not.to.include('A subagent');
  });

  it('the summary is of the longest beginning that there is one for', async () => {
    const client = await talked();
    const fork = withHistory(client.messages);
    await client.compact();
    stage.size(client, SMALL);
    await client.say('After the compaction.');
    await client.say('Some more.');
    stage.size(client, LARGE);
    await client.say('Large again.');
    await stage.told(client, 'checkpoint.completed', 2);
    const second = stage.checkpointCalls(client).at(-1)?.number ?? 0;
    expect((await client.compact()).text).to.include(`SIMULATED-SUMMARY-${second}\n`);
    const first = stage.checkpointCalls(client)[0]?.number ?? 0;
    expect((await fork.compact()).text).to.include(`SIMULATED-SUMMARY-${first}\n`);
  });

  it('one who refuses the summary and goes on with the old history is answered again', async () => {
    const client = await talked();
    const refusing = withHistory(client.messages, client.session);
    expect(served(await client.compact())).to.equal(true);
    const next = await refusing.say('I go on as if nothing had been.');
    expect(next.headers['x-double-buffer-phase']).to.equal('WAL_ACTIVE');
    expect(served(await refusing.compact())).to.equal(true);
    expect(stage.checkpointCalls(client)).to.have.length(1);
  });
});

function firstText([first]: readonly Message[]): string {
  return typeof first?.content === 'string' ? first.content : '';
}
