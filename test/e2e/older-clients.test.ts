import { expect } from 'chai';
import { COMPACT_INSTRUCTION, type Reply, type ScriptedClient } from '../../src/demo/scripted-client.ts';
import type { Message } from '../../src/wire/message-request.ts';
import { LARGE, openStage, SMALL, type Stage } from './flows.ts';

const OLD = { classHeaders: false } as const;
const served = (answer: Reply): boolean => answer.headers['x-double-buffer-served'] === 'checkpoint';

describe('clients that send no class headers (older ones, base-URL mode)', () => {
  let stage: Stage;
  before(async () => {
    stage = await openStage();
  });
  after(() => stage.close());

  it('are known by their metadata, checkpointed and answered, again and again', async () => {
    const client = await stage.checkpointed(OLD);
    const turn = await client.say('More, in src/lexer.ts.');
    expect(turn.headers['x-double-buffer-conv-id']).to.equal(client.session);
    expect(turn.headers['x-double-buffer-phase']).to.equal('WAL_ACTIVE');
    const first = await client.compact();
    expect(served(first)).to.equal(true);
    expect(first.text).to.include('src/lexer.ts');
    stage.size(client, SMALL);
    expect((await client.say('After the first compaction.')).status).to.equal(200);
    expect((await stage.told(client, 'history.replaced'))['confirmed']).to.equal(true);
    await client.say('A little work since.');
    stage.size(client, LARGE);
    await client.say('Much work since.');
    await stage.told(client, 'checkpoint.completed', 2);
    expect(served(await client.compact())).to.equal(true);
    expect(stage.compactions(client)).to.deep.equal([]);
  });

  it('with words, without a checkpoint, rewound: their compaction goes to the API', async () => {
    const client = await stage.checkpointed(OLD, `First of ${stage.log.length}.`, 'Second.');
    const history = [...client.messages];
    expect(served(await client.compact('manual', 'keep the tests'))).to.equal(false);
    client.messages = history.slice(0, 2);
    expect(served(await client.compact())).to.equal(false);
    client.messages = history;
    expect(served(await client.compact())).to.equal(true);
  });

  it('have the instruction at the end of the last message, when the history ends with the user', async () => {
    const client = await stage.checkpointed(OLD);
    const merged = (role: Message['role'], text: string): Message => ({
      role,
      content: [
        { type: 'text', text },
        { type: 'text', text: COMPACT_INSTRUCTION },
      ],
    });
    const answer = await client.send([...client.messages, merged('user', 'Not answered yet.')], 'compaction');
    expect(served(answer)).to.equal(true);
    expect(answer.text).to.include('Not answered yet.');
  });

  for (const [what, text] of [
    ['talks about compaction', `Why does it say "${COMPACT_INSTRUCTION.slice(0, 200)}"?`],
    ['asks for a summary', 'Please give me a detailed summary of the conversation so far.'],
    ['pastes the instruction after other words', `Look at this prompt:\n\n${COMPACT_INSTRUCTION}`],
  ] as const) {
    it(`someone who ${what} is answered by the API`, async () => {
      const client = await stage.checkpointed(OLD);
      const before = stage.seen(client).length;
      const answer = await client.say(text);
      expect([answer.status, served(answer)]).to.deep.equal([200, false]);
      expect(stage.seen(client).length).to.equal(before + 1);
    });
  }

  it('make other requests in the same name, which disturb nothing', async () => {
    const client = await stage.checkpointed(OLD);
    const aside = (content: string): Promise<Reply> => client.send([{ role: 'user', content }], 'main');
    stage.size(client, SMALL);
    for (const text of ['Warmup', '<policy_spec>…</policy_spec> Command: ls', 'quota']) {
      expect((await aside(text)).status).to.equal(200);
    }
    await client.send([...client.messages, { role: 'user', content: '[SUGGESTION MODE: What next?]' }], 'main');
    stage.size(client, LARGE);
    expect((await client.say('And on.')).headers['x-double-buffer-phase']).to.equal('WAL_ACTIVE');
    expect(served(await client.compact())).to.equal(true);
    expect(stage.checkpointCalls(client)).to.have.length(1);
  });

  it('a person with the class headers is never taken for a compaction by words alone', async () => {
    const client = await stage.checkpointed();
    const answer = await client.say(COMPACT_INSTRUCTION);
    expect([answer.status, served(answer)]).to.deep.equal([200, false]);
  });

  it('and newer ones of the same history share its checkpoint', async () => {
    const client: ScriptedClient = await stage.checkpointed(OLD);
    const newer = stage.client({ session: client.session });
    newer.messages = [...client.messages];
    expect(served(await newer.compact())).to.equal(true);
  });
});
