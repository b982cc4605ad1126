import { expect } from 'chai';
import { COMPACT_INSTRUCTION, type Reply, type ScriptedClient } from '../../src/demo/scripted-client.ts';
import type { Answer } from '../../src/simulated-api/index.ts';
import { LARGE, openStage, type Stage } from './flows.ts';

describe('a compaction that the checkpoint cannot answer', () => {
  let stage: Stage;
  // Of its own for each: many failures in a row would stop the checkpoints of all.
  beforeEach(async () => {
    stage = await openStage();
  });
  afterEach(() => stage.close());

  /** It went to the API as it came, once, and the API's own summary came back. */
  async function expectForwarded(client: ScriptedClient, answer: Reply, reason: string, count = 1): Promise<void> {
    expect(answer.status).to.equal(200);
    expect(answer.headers['x-double-buffer-served']).to.equal(undefined);
    expect(answer.headers['x-double-buffer-phase']).to.be.a('string');
    expect(answer.text).to.include('<summary>\nSIMULATED-SUMMARY-');
    expect(answer.usage.input + answer.usage.cacheCreation + answer.usage.cacheRead).to.be.above(0);
    expect((await stage.told(client, 'compaction.forwarded', count))['reason']).to.equal(reason);
    const sent = stage.compactions(client);
    expect(sent).to.have.length(count);
    expect(sent.at(-1)?.headers['x-claude-code-request-class']).to.equal('compaction');
    expect(sent.at(-1)?.isSummary).to.equal(true);
  }

  it('for want of one goes to the API', async () => {
    const client = stage.client();
    await client.say('Too early for a checkpoint.');
    await expectForwarded(client, await client.compact('manual'), 'no_checkpoint');
  });

  it("as a session's very first request goes to the API", async () => {
    const client = stage.client();
    client.messages = [
      { role: 'user', content: `a history of ${client.session}` },
      { role: 'assistant', content: 'resumed after a restart of the proxy' },
    ];
    await expectForwarded(client, await client.compact(), 'no_checkpoint');
  });

  it('with the words of the user goes to the API, words included; the checkpoint stays for the next', async () => {
    const client = await stage.checkpointed();
    const before = [...client.messages];
    await expectForwarded(client, await client.compact('manual', 'keep the lexer'), 'instructions');
    const content = stage.compactions(client)[0]?.message?.messages.at(-1)?.content;
    expect(content).to.equal(`${COMPACT_INSTRUCTION}\n\nAdditional Instructions:\nkeep the lexer`);
    client.messages = before;
    expect((await client.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
  });

  it('when too much was said since goes to the API', async () => {
    const client = await stage.checkpointed();
    await client.say(`A very long letter: ${'word '.repeat(30_000)}`);
    await expectForwarded(client, await client.compact(), 'stale');
    // But much tool traffic is no reason.
    const other = await stage.checkpointed();
    await other.say([{ type: 'text', text: `Look: ${'w'.repeat(1_000)}` }]);
    other.messages.push(
      { role: 'user', content: 'Run it.' },
      { role: 'assistant', content: [{ type: 'tool_use', id: 'toolu_1', name: 'Bash', input: { command: 'make' } }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: 'line\n'.repeat(40_000) }] },
      { role: 'assistant', content: 'It ran.' },
    );
    const served = await other.compact();
    expect(served.headers['x-double-buffer-served']).to.equal('checkpoint');
    expect(served.text).to.include('It ran.').and.to.include('Bash');
    expect(served.text.length).to.be.below(80_000);
  });

  const failures: readonly (readonly [string, Answer])[] = [
    ['400', { fault: { kind: 'status', status: 400 } }],
    ['401', { fault: { kind: 'status', status: 401 } }],
    ['403', { fault: { kind: 'status', status: 403 } }],
    ['404', { fault: { kind: 'status', status: 404 } }],
    ['413', { fault: { kind: 'status', status: 413 } }],
    ['429 with a pause', { fault: { kind: 'status', status: 429, retryAfter: 30 } }],
    ['429 without', { fault: { kind: 'status', status: 429 } }],
    ['500', { fault: { kind: 'status', status: 500 } }],
    ['529', { fault: { kind: 'status', status: 529 } }],
    ['an error that is no JSON', { fault: { kind: 'status', status: 502, body: '<html>' } }],
    ['a prompt too long', { fault: { kind: 'prompt_too_long' } }],
    ['an error event', { fault: { kind: 'error_event' } }],
    ['an error event before all', { fault: { kind: 'error_event', afterEvents: 0 } }],
    ['a cut before the head', { fault: { kind: 'disconnect', at: 'before_head' } }],
    ['a cut after the head', { fault: { kind: 'disconnect', at: 'after_head', how: 'reset' } }],
    ['a cut in mid-stream', { fault: { kind: 'disconnect', at: 'mid_stream', partial: true } }],
    ['an early end', { fault: { kind: 'disconnect', at: 'mid_stream', afterEvents: 8, how: 'end' } }],
    ['no HTTP', { fault: { kind: 'garbage_http' } }],
    ['an empty answer', { blocks: [] }],
    ['blanks only', { blocks: [{ type: 'text', text: '<summary>\n \n</summary>' }] }],
    ['a tool call', { blocks: [{ type: 'tool_use', name: 'Bash', input: {} }] }],
    [
      'a tool call after words',
      {
        blocks: [
          { type: 'text', text: 'First,' },
          { type: 'tool_use', name: 'Bash', input: {} },
        ],
      },
    ],
    ['a summary cut short', { blocks: [{ type: 'text', text: '<summary>half of' }], stopReason: 'max_tokens' }],
    ['a refusal', { blocks: [{ type: 'text', text: 'I will not.' }], stopReason: 'refusal' }],
    ['another stream', { raw: { chunks: ['data: hello\n\n', 'event: x\r\n\r\n'] } }],
    ['JSON', { raw: { headers: { 'content-type': 'application/json' }, chunks: ['{"type":"message"}'] } }],
  ];
  for (const [what, answer] of failures) {
    it(`after ${what} for a checkpoint goes to the API, and nothing else suffers`, async () => {
      const client = stage.client();
      stage.size(client, LARGE);
      stage.summarise(client, () => answer);
      const turn = await client.say(`Work that fails to be summarised: ${what}, ${client.session}.`);
      expect([turn.status, turn.error]).to.deep.equal([200, null]);
      await stage.told(client, 'checkpoint.failed');
      expect((await client.say('Go on.')).status).to.equal(200);
      await expectForwarded(client, await client.compact(), 'checkpoint_failed');
      expect((await client.say('And on.')).status).to.equal(200);
      expect((await stage.told(client, 'history.replaced'))['confirmed']).to.equal(false);
    });
  }

  it('that fails at the API too fails for the client, as the API said', async () => {
    const client = stage.client();
    await client.say(`Small talk with ${client.session}.`);
    stage.api.fault(
      { kind: 'status', status: 529, message: 'Overloaded today' },
      { when: { header: { 'x-claude-code-compaction': 'auto' } } },
    );
    const failed = await client.compact();
    expect([failed.status, failed.error]).to.deep.equal([529, 'overloaded_error: Overloaded today']);
    await expectForwarded(client, await client.compact(), 'no_checkpoint', 2);
  });

  it('with nobody to answer at all is a 502, and the checkpoint still serves the next', async () => {
    const client = await stage.checkpointed();
    stage.api.fault(
      { kind: 'disconnect', at: 'before_head' },
      { when: { header: { 'x-claude-code-compaction': 'manual' } } },
    );
    const failed = await client.compact('manual', 'with words');
    expect(failed.status).to.equal(502);
    expect(failed.error).to.match(/^api_error: claude-db-proxy: /);
    expect((await client.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
  });

  it('in passthrough goes to the API, and nothing was computed', async () => {
    const plain = await openStage({ DBPROXY_PASSTHROUGH: 'true' });
    try {
      const client = plain.client();
      plain.size(client, LARGE);
      for (const text of ['One.', 'Two.', 'Three.']) {
        expect((await client.say(text)).headers['x-double-buffer-phase']).to.equal('IDLE');
      }
      const answer = await client.compact();
      expect(answer.headers['x-double-buffer-served']).to.equal(undefined);
      expect((await plain.told(client, 'compaction.forwarded'))['reason']).to.equal('passthrough');
      expect(plain.seen(client).map(({ headers }) => headers['x-claude-code-request-class'])).to.deep.equal([
        ...['main', 'main', 'main', 'compaction'],
      ]);
    } finally {
      await plain.close();
    }
  });
});
