/** Everything else: with the proxy in between the client does, prints and reports what it does without. */
import { expect } from 'chai';
import type { Answer, RecordedRequest } from '../../../src/simulated-api/index.ts';
import type { ClientLine, Turn } from './client.ts';
import { describeWithClaude } from './claude.ts';
import { labs, type Lab } from './lab.ts';
import { calls, runs, says, type Reply } from './script.ts';

/** One conversation as its user and its API see it, without ids and times. */
interface Seen {
  readonly turns: readonly { readonly text: string; readonly isError: boolean }[];
  /** What the client printed of the conversation. */
  readonly printed: readonly string[];
  /** What the API was asked in the main conversation. */
  readonly asked: readonly string[];
  /** … and what it answered. */
  readonly statuses: readonly (number | undefined)[];
}

/** An id that the API gave: in older versions it stands in an error's text. */
const ID = /(toolu|msg|req)_\w+/g;

/** Without what differs from one run to the next: ids, session, the bookkeeping in the first system block. */
function withoutIds(value: unknown): string {
  return JSON.stringify(value)
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<uuid>')
    .replace(ID, '<id>')
    .replace(/x-anthropic-billing-header:[^"]*/g, '<billing>')
    .replace(/"user_id":"(\\.|[^"\\])*"/g, '<user>');
}

function printed(lines: readonly ClientLine[]): readonly string[] {
  return lines
    .filter((line) => line.type === 'assistant' || line.type === 'user')
    .map((line) => withoutIds([line.type, (line['message'] as { readonly content: unknown }).content]));
}

const asked = (requests: readonly RecordedRequest[]): readonly string[] =>
  requests.map((request) => withoutIds(request.message));

/** Has the same conversation without the proxy and with it, and compares. `replies` is asked anew for each. */
async function compare(lab: Lab, prompts: readonly string[], replies: () => readonly Reply[]): Promise<Seen> {
  const seen: Seen[] = [];
  for (const road of [await lab.directRoad(), lab.road]) {
    const before = lab.of('main').length;
    lab.script.main.push(...replies());
    const client = lab.client({ road });
    const turns: Turn[] = [];
    for (const prompt of prompts) turns.push(await client.say(prompt));
    await client.end();
    expect(lab.script.main, 'answers that were not asked for').to.have.length(0);
    const requests = lab.of('main').slice(before);
    seen.push({
      turns: turns.map(({ text, isError }) => ({ text: text.replace(ID, '<id>'), isError })),
      printed: printed(client.lines),
      asked: asked(requests),
      statuses: requests.map((request) => request.status),
    });
  }
  const [direct, proxied] = seen;
  if (direct === undefined || proxied === undefined) throw new Error('two roads, and not two conversations');
  expect(proxied).to.deep.equal(direct);
  return proxied;
}

describeWithClaude('the real client behind the proxy', () => {
  const start = labs();

  it('works as ever: the same requests, tools, turns and results', async () => {
    const lab = await start();
    const replies = (): readonly Reply[] => [
      runs('echo FIRST-RESULT-$((40 + 1))'),
      calls('Read', { file_path: `${lab.project}/notes.txt` }),
      calls('Read', { file_path: `${lab.project}/missing.txt` }),
      says('ANSWER-ONE: ünïcödé, 漢字, 🦊'),
      says('ANSWER-TWO'),
    ];
    const seen = await compare(lab, ['PROMPT-ONE', 'PROMPT-TWO'], replies);
    expect(seen.turns.map((turn) => turn.text)).to.deep.equal(['ANSWER-ONE: ünïcödé, 漢字, 🦊', 'ANSWER-TWO']);
    expect(seen.printed.join('\n')).to.include('FIRST-RESULT-41').and.to.include('NOTES-LINE');
    expect(seen.statuses).to.deep.equal([200, 200, 200, 200, 200]);
    // It asks the API for more than messages (settings and the like), and was answered.
    const others = lab.api.requests.filter((request) => request.kind === 'other');
    expect(others.map((request) => request.outcome)).to.include('answered');
  });

  it('tries again by itself when the API is overloaded, limits it, or hangs up', async () => {
    const lab = await start();
    const faults: readonly NonNullable<Answer['fault']>[] = [
      { kind: 'status', status: 529 },
      { kind: 'status', status: 429, retryAfter: 1 },
      { kind: 'disconnect', at: 'before_head', how: 'reset' },
    ];
    const replies = (): readonly Reply[] => [...faults.map((fault) => ({ fault })), says('ANSWER-ONE')];
    const { turns, statuses } = await compare(lab, ['PROMPT-ONE'], replies);
    expect(turns).to.deep.equal([{ text: 'ANSWER-ONE', isError: false }]);
    expect(statuses).to.deep.equal([529, 429, undefined, 200]);
  });

  for (const [what, fault] of [
    ['an error', { kind: 'error_event', afterEvents: 5 }],
    ['its connection', { kind: 'disconnect', at: 'mid_stream', afterEvents: 5 }],
  ] as const satisfies readonly (readonly [string, Answer['fault']])[]) {
    it(`does with a stream that ends in ${what} what it does without`, async () => {
      const lab = await start();
      lab.script.standing = says('ANSWER-AFTER-ALL');
      const { turns } = await compare(lab, ['PROMPT-ONE'], () => [{ ...says('CUT '.repeat(50)), fault }]);
      expect(turns).to.deep.equal([{ text: 'ANSWER-AFTER-ALL', isError: false }]);
    });
  }

  for (const [status, message] of [
    [400, 'messages.0: REFUSED-BY-THE-API, with a “quote”'],
    [403, 'REFUSED-BY-THE-API for this organisation'],
  ] as const) {
    it(`shows the API’s own words when it answers ${status}`, async () => {
      const lab = await start();
      lab.script.standing = { fault: { kind: 'status', status, message } };
      const { turns, statuses } = await compare(lab, ['PROMPT-ONE'], () => []);
      expect(turns[0]?.isError).to.equal(true);
      expect(turns[0]?.text).to.include(message);
      expect(new Set(statuses)).to.deep.equal(new Set([status]));
    });
  }
});
