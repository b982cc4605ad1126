import { expect } from 'chai';
import { gzipSync } from 'node:zlib';
import { CHECKPOINT_INSTRUCTION } from '../../src/checkpoint/instruction.ts';
import { promptTokensOf, type RecordedRequest } from '../../src/simulated-api/index.ts';
import { ask, messageRequest } from '../src/forwarder/raw-client.ts';
import { startingWith } from '../src/forwarder/http-bytes.ts';
import { FULL, isCheckpointCall, LARGE, openStage, type Stage } from './flows.ts';

const APPENDED = `,${JSON.stringify({ role: 'user', content: CHECKPOINT_INSTRUCTION })}`;

/** `body` with the instruction as the last message, by its text. */
function withInstruction(body: string): string {
  const at = body.lastIndexOf(CHECKPOINT_INSTRUCTION.slice(0, 40));
  expect(at).to.be.above(0);
  return body.replace(APPENDED, '');
}

describe('the checkpoint call', () => {
  let stage: Stage;
  before(async () => {
    stage = await openStage();
  });
  after(() => stage.close());

  /** Sends a turn as raw bytes and waits for the call made from it. */
  async function callFor(
    session: string,
    body: string,
    headers: readonly string[] = [],
  ): Promise<{ turn: RecordedRequest; call: RecordedRequest }> {
    stage.api.respondWith(({ isSummary }) => (isSummary ? undefined : { promptTokens: FULL }));
    expect((await ask(stage, messageRequest(session, body, { headers }))).status).to.equal(200);
    const of = (request: RecordedRequest): boolean => request.headers['x-claude-code-session-id'] === session;
    const call = await stage.api.waitFor((request) => of(request) && isCheckpointCall(request));
    const turn = await stage.api.waitFor((request) => of(request) && !isCheckpointCall(request));
    return { turn, call };
  }

  it("is the client's last request, byte for byte, plus one message", async () => {
    const client = await openStage();
    const talker = await client.checkpointed({ system: 'A system prompt. '.repeat(500) }, 'One.', 'Two.', 'Three.');
    const [call] = client.checkpointCalls(talker);
    const turn = client.seen(talker).findLast((request) => !isCheckpointCall(request));
    expect(withInstruction(call?.body.toString() ?? '')).to.equal(turn?.body.toString());
    expect(call?.url).to.equal(turn?.url);
    await client.close();
  });

  const spaced =
    '{ "messages" :\n[ {"role":"user","content":"Odd \\u00e9 \\ud83d\\ude00 1e5"} ]\n, "future":{"messages":[1]}, "stream": true,\t"temperature":1.0,';
  const cases: readonly (readonly [string, string])[] = [
    ['odd spelling and order, unknown fields', `${spaced} "max_tokens":32000 , "model":"claude-sonnet-4-6" }`],
    [
      'brackets in strings',
      '{"model":"claude-sonnet-4-6","system":"]}[{\\"messages\\":[","messages":[{"role":"user","content":"a ] \\\\"}],"max_tokens":32000,"stream":true}',
    ],
    [
      'no line for the model',
      '{"tools":[{"name":"Bash","input_schema":{"type":"object"}}],"messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]}],"max_tokens":32000,"stream":true,"model":"claude-sonnet-4-6","thinking":{"type":"adaptive"}}',
    ],
  ];
  for (const [what, body] of cases) {
    it(`changes nothing else of it: ${what}`, async () => {
      const { turn, call } = await callFor(`bytes-${what.replace(/\W/g, '-')}`, body);
      expect(turn.body.toString()).to.equal(body);
      expect(withInstruction(call.body.toString())).to.equal(body);
    });
  }

  for (const [what, changes, [least, most]] of [
    ['little room', { max_tokens: 1_000, stream: true }, [20_000, 20_000]],
    ['no stream', { max_tokens: 32_000, stream: false }, [32_000, 32_000]],
    ['more room than is left', { max_tokens: 64_000 }, [20_000, 50_000]],
  ] as const) {
    it(`is streamed and has room for a summary, after a turn with ${what}`, async () => {
      const body = { model: 'claude-sonnet-4-6', messages: [{ role: 'user', content: what }], ...changes };
      const { call } = await callFor(`room-${least}-${most}`, JSON.stringify(body));
      expect(call.message?.stream).to.equal(true);
      expect(call.message?.max_tokens).to.be.within(least, most);
    });
  }

  it('has the credentials and headers of that request, in their order', async () => {
    const headers = [
      'Authorization',
      'Bearer sk-ant-oat01-mine',
      'anthropic-beta',
      'a,b',
      'X-Custom',
      '1',
      'x-custom',
      '2',
    ];
    const body =
      '{"model":"claude-sonnet-4-6","messages":[{"role":"user","content":"headers"}],"max_tokens":32000,"stream":true}';
    const { turn, call } = await callFor('headers', body, [...headers, 'accept-encoding', 'gzip']);
    const own = new Set(['content-length', 'accept-encoding', 'host', 'connection', 'transfer-encoding']);
    const kept = (request: RecordedRequest): string[] =>
      request.rawHeaders.filter((_, at, all) => !own.has((all[at - (at % 2)] ?? '').toLowerCase()));
    expect(kept(call)).to.deep.equal(kept(turn));
    expect(startingWith(kept(call), 'x-custom')).to.deep.equal(['X-Custom', '1', 'x-custom', '2']);
  });

  it('of a gzipped turn is made from what was in it', async () => {
    const plain =
      '{"model":"claude-sonnet-4-6","messages":[{"role":"user","content":"zipped"}],"max_tokens":32000,"stream":true}';
    stage.api.respondWith((given) => (given.isSummary ? undefined : {}));
    // The simulated API reads no gzip: it is told what to answer, as raw bytes.
    const sse = `event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":${LARGE},"output_tokens":1}}}\n\nevent: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n`;
    stage.api.fault(
      { kind: 'status', status: 200, body: sse, headers: { 'content-type': 'text/event-stream' } },
      { when: { header: { 'x-claude-code-session-id': 'zipped' } } },
    );
    await ask(stage, messageRequest('zipped', gzipSync(plain), { headers: ['content-encoding', 'gzip'] }));
    const call = await stage.api.waitFor(
      (request) => request.headers['x-claude-code-session-id'] === 'zipped' && isCheckpointCall(request),
    );
    expect(call.headers['content-encoding']).to.equal(undefined);
    expect(withInstruction(call.body.toString())).to.equal(plain);
  });

  it('reads at least 95 % of its prompt from the cache', async () => {
    const other = await openStage({}, { charsPerToken: 0.5 });
    const client = other.client({ system: 'A system prompt of some length. '.repeat(300) });
    other.api.respondWith(undefined); // counted by size
    for (let turn = 0; turn < 6 && other.checkpointCalls(client).length === 0; turn += 1) {
      await client.say(`Turn ${turn}: ${'many words about the parser '.repeat(500)}`);
    }
    await other.told(client, 'checkpoint.completed');
    const usage = other.checkpointCalls(client)[0]?.usage;
    expect(usage).not.to.equal(undefined);
    if (usage !== undefined) expect(usage.cache_read_input_tokens / promptTokensOf(usage)).to.be.at.least(0.95);
    const logged = await other.told(client, 'checkpoint.completed');
    expect(logged['cache_read_tokens']).to.equal(usage?.cache_read_input_tokens);
    await other.close();
  });
});
