import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { COMPACT_INSTRUCTION, type ScriptedClient } from '../../src/demo/scripted-client.ts';
import type { Message } from '../../src/wire/message-request.ts';
import { API_HEADERS, ask, RawClient, requestBytes, type Answer } from '../src/forwarder/raw-client.ts';
import { again, FULL, LARGE, openStage, SMALL, type Stage } from './flows.ts';

const NOTHING = { input: 0, cacheCreation: 0, cacheRead: 0, output: 0 };

describe('a compaction, end to end over real sockets', () => {
  let stage: Stage;
  before(async () => {
    stage = await openStage();
  });
  after(() => stage.close());

  it('is answered from the checkpoint, without a call to the API', async () => {
    const client = await stage.checkpointed();
    const second = await client.say('And the lexer, in src/lexer.ts.');
    expect(second.headers['x-double-buffer-phase']).to.equal('WAL_ACTIVE');
    const before = stage.seen(client).length;
    const compacted = await client.compact();
    expect(compacted.status).to.equal(200);
    expect(compacted.headers['x-double-buffer-served']).to.equal('checkpoint');
    expect(compacted.headers['x-double-buffer-conv-id']).to.equal(client.session);
    expect(compacted.headers['x-double-buffer-phase']).to.equal('SWAP_READY');
    expect(stage.seen(client).length).to.equal(before);
    expect(compacted.text).to.include('And the lexer, in src/lexer.ts.').and.to.include('SIMULATED-SUMMARY');
    const next = await client.say('go on');
    expect(next.status).to.equal(200);
    expect((await stage.told(client, 'history.replaced'))['confirmed']).to.equal(true);
  });

  it('sent behind a turn that is not answered yet, and before another, is answered in its place', async () => {
    const client = await stage.checkpointed();
    await client.say('And the lexer.');
    const last = stage.seen(client).at(-1);
    if (last === undefined) throw new Error('the API saw nothing');
    const asked = JSON.parse(last.body.toString()) as { readonly messages: readonly Message[] };
    const bytes = (requestClass: string, content: string): Buffer => {
      const messages = [...client.messages, { role: 'user', content }];
      return requestBytes(again(last, requestClass, JSON.stringify({ ...asked, messages })));
    };
    const before = stage.seen(client).length;
    const raw = await RawClient.open(stage);
    raw.write(
      Buffer.concat([bytes('main', 'Before.'), bytes('compaction', COMPACT_INSTRUCTION), bytes('main', 'After.')]),
    );
    const answers = [await raw.answer('POST'), await raw.answer('POST'), await raw.answer('POST')];
    await raw.close();
    expect(answers.map((answer) => [answer.status, answer.header('x-double-buffer-served')])).to.deep.equal([
      [200, undefined],
      [200, 'checkpoint'],
      [200, undefined],
    ]);
    expect(answers[1]?.text).to.include('SIMULATED-SUMMARY');
    const messages = stage
      .seen(client)
      .slice(before)
      .map(({ message }) => message?.messages.at(-1)?.content);
    expect(JSON.stringify(messages)).to.include('Before.').and.to.include('After.').and.not.to.include('TEXT ONLY');
    expect(messages).to.have.length(2);
  });

  for (const trigger of ['auto', 'manual'] as const) {
    for (const [phase, promptTokens] of [
      ['WAL_ACTIVE', LARGE],
      ['SWAP_READY', FULL],
    ] as const) {
      it(`${trigger}, in ${phase}, bills nothing and is one text block`, async () => {
        const client = await stage.checkpointed();
        stage.size(client, promptTokens);
        await client.say('One more thing.');
        const last = await client.say('And one more.');
        expect(last.headers['x-double-buffer-phase']).to.equal(phase);
        const compacted = await client.compact(trigger);
        expect(compacted.headers['x-double-buffer-served']).to.equal('checkpoint');
        expect(compacted.usage).to.deep.equal(NOTHING);
        expect(compacted.text).to.match(/^<summary>\n[^]*\n<\/summary>$/);
        expect(compacted.error).to.equal(null);
      });
    }
  }

  it('holds what was said since the checkpoint, in order and in full', async () => {
    const client = await stage.checkpointed();
    const words = [`Long words: ${'w'.repeat(5_000)}.`, 'Second.', 'With <summary> tags </summary> in it.'];
    for (const said of words) await client.say(said);
    const { text } = await client.compact();
    const places = [words[0] ?? '', 'Second.', 'tags'].map((part) => text.indexOf(part));
    expect(places).to.deep.equal([...places].sort((a, b) => a - b));
    expect(places).not.to.include(-1);
    expect(text.match(/<\/summary>/g)).to.have.length(1);
    const answers = client.messages.length; // the history was replaced on the way
    expect(answers).to.equal(2);
  });

  it('gets the same bytes when it is tried again', async () => {
    const client = await stage.checkpointed();
    await client.say('One more thing.');
    const first = await compactRaw(stage, client);
    const again = await compactRaw(stage, client);
    expect(first.header('x-double-buffer-served')).to.equal('checkpoint');
    expect(again.bytes.equals(first.bytes)).to.equal(true);
    expect(again.header('request-id')).to.equal(first.header('request-id'));
    expect(stage.compactions(client)).to.deep.equal([]);
  });

  it('that is not streamed gets JSON', async () => {
    const client = await stage.checkpointed();
    const answer = await compactRaw(stage, client, { stream: false });
    expect(answer.header('content-type')).to.match(/^application\/json/);
    const json = JSON.parse(answer.text) as Record<string, unknown>;
    expect(json).to.include({
      type: 'message',
      role: 'assistant',
      stop_reason: 'end_turn',
      model: 'claude-sonnet-4-6',
    });
    expect(json['usage']).to.include({ input_tokens: 0, output_tokens: 0 });
    const [block, ...more] = json['content'] as readonly { type: string; text: string }[];
    expect([block?.type, more.length]).to.deep.equal(['text', 0]);
    expect(block?.text).to.match(/^<summary>/);
    expect(answer.header('content-length')).to.equal(String(answer.bytes.length));
  });

  it('that is streamed gets events that a client can follow', async () => {
    const client = await stage.checkpointed();
    const answer = await compactRaw(stage, client);
    expect(answer.header('content-type')).to.match(/^text\/event-stream/);
    const names = answer.text.split('\n\n').flatMap((event) => /^event: (\w+)\n/.exec(event)?.[1] ?? []);
    expect(names.filter((name, at) => name !== names[at - 1])).to.deep.equal([
      ...['message_start', 'content_block_start', 'ping', 'content_block_delta', 'content_block_stop'],
      ...['message_delta', 'message_stop'],
    ]);
  });

  it('keeps its checkpoint through a change of model', async () => {
    const client = await stage.checkpointed();
    client.model = 'claude-opus-5-5';
    expect((await client.say('With another model.')).headers['x-double-buffer-phase']).to.equal('WAL_ACTIVE');
    const answer = await client.compact();
    expect(answer.headers['x-double-buffer-served']).to.equal('checkpoint');
    expect(stage.checkpointCalls(client)).to.have.length(1);
  });

  it('is not disturbed by requests beside the conversation', async () => {
    const client = await stage.checkpointed();
    for (const text of ['A title, please.', COMPACT_INSTRUCTION])
      expect((await client.aside(text)).status).to.equal(200);
    const agent = stage.client({ session: client.session, agent: 'agent-1' });
    stage.size(client, SMALL);
    expect((await agent.say('Look for the parser.')).headers['x-double-buffer-conv-id']).not.to.equal(client.session);
    stage.size(client, LARGE);
    expect((await client.say('Go on.')).headers['x-double-buffer-phase']).to.equal('WAL_ACTIVE');
    expect((await client.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
  });

  it('happens again in the same session, with a checkpoint of its own', async () => {
    const client = await stage.checkpointed();
    await client.compact();
    stage.size(client, SMALL);
    await client.say('A new start.');
    await stage.told(client, 'history.replaced');
    await client.say('A little work.');
    stage.size(client, LARGE);
    await client.say('And much work since.');
    await stage.told(client, 'checkpoint.completed', 2);
    const second = await client.compact();
    expect(second.headers['x-double-buffer-served']).to.equal('checkpoint');
    expect(stage.checkpointCalls(client)).to.have.length(2);
    expect(stage.compactions(client)).to.deep.equal([]);
    expect((await client.say('And on.')).status).to.equal(200);
    expect((await stage.told(client, 'history.replaced', 2))['confirmed']).to.equal(true);
  });

  it('of two conversations at once: each gets its own', async () => {
    const clients = await Promise.all([
      stage.checkpointed({}, 'The same first words.', 'The first goes left.'),
      stage.checkpointed({}, 'The same first words.', 'The second goes right.'),
    ]);
    const calls = clients.map((client) => stage.checkpointCalls(client)[0]?.number ?? 0);
    const answers = await Promise.all(clients.map((client) => client.compact()));
    answers.forEach((answer, at) => {
      expect(answer.headers['x-double-buffer-served']).to.equal('checkpoint');
      expect(answer.text).to.include(`SIMULATED-SUMMARY-${calls[at] ?? 0}\n`);
    });
  });

  it('through base-URL mode (localhost) is answered as well', async () => {
    const client = await stage.checkpointed();
    const answer = await compactRaw(stage, client, {}, 'localhost:8443');
    expect(answer.header('x-double-buffer-served')).to.equal('checkpoint');
  });
});

/** The client's compaction as raw bytes; its history stays as it is. */
function compactRaw(
  stage: Stage,
  client: ScriptedClient,
  changes: object = {},
  host = 'api.anthropic.com',
): Promise<Answer> {
  const instruction: Message = { role: 'user', content: COMPACT_INSTRUCTION };
  const body = {
    model: client.model,
    messages: [...client.messages, instruction],
    max_tokens: 32_000,
    metadata: { user_id: `user_${randomUUID()}_account__session_${client.session}` },
    stream: true,
    ...changes,
  };
  const labels = ['x-claude-code-session-id', client.session, 'x-claude-code-request-class', 'compaction'];
  const headers = [...API_HEADERS, ...labels];
  return ask(stage, { method: 'POST', path: '/v1/messages', host, headers, body: JSON.stringify(body) });
}
