/**
 * What this project must never get wrong: whatever happens in whatever order, nothing is served that was not summarised
 * from a beginning of this very history, and no word that was said after that beginning is missing.
 *
 * The machines, the calls, the index and the reading of histories are the real ones. What is true is decided here a
 * second time, in the plainest way: by comparing the messages that a summary was asked of with those that it is served
 * for, block by block. `path` in a failure's report repeats it, see fast-check's `fc.assert`.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import type { CompactionOutcome } from '../../../src/compaction/compactions.ts';
import type { Turn } from '../../../src/conversations/turns.ts';
import { lineageOf } from '../../../src/wire/lineage.ts';
import { blocksOf, type Block, type Message } from '../../../src/wire/message-request.ts';
import { Dice } from '../../support/histories.ts';
import { varied } from '../../support/history-changes.ts';
import { Desk, servedText, settle, usageOf, type PendingCall } from './desk.ts';

const SEQUENCES = 10_000;

/** One block as it counts, and what may be missing of it on either side. */
interface Fact {
  readonly what: string;
  readonly detail: string | null;
  /** Set for what a person or the assistant said. */
  readonly words: string | null;
}

const CLEARED = /^\[Old tool result content cleared\]$|^<persisted-output>/;

/** A text without reminders: the innermost first, until there are none. */
function said(text: string): string {
  for (let rest = text; ;) {
    const next = rest.replace(/<system-reminder>(?:(?!<\/?system-reminder>)[^])*<\/system-reminder>/, '\n');
    if (next === rest) return rest.trim();
    rest = next;
  }
}

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([key]) => key !== 'cache_control');
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, sorted(inner)]));
};

function resultOf(block: Block): string | null {
  const { content } = block;
  const items = (typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? [])) as Block[];
  const texts = items.map((item) => said(String(item['text'])));
  return texts.some((text) => CLEARED.test(text))
    ? null
    : JSON.stringify([texts.filter((text) => text !== ''), block['is_error'] === true]);
}

/** A history as a list of facts: what this test holds to be the same history has the same. */
function factsOf(messages: readonly Message[]): Fact[] {
  const facts: Fact[] = [];
  for (const { role, content } of messages) {
    let thought = '';
    for (const block of blocksOf({ role, content })) {
      if (block.type === 'thinking') thought += JSON.stringify(sorted(block));
      else if (block.type === 'tool_result') {
        facts.push({ what: `${role} result ${String(block['tool_use_id'])}`, detail: resultOf(block), words: null });
      } else {
        const words = block.type === 'text' ? said(String(block['text'])) : null;
        if (words === '') continue;
        const what = `${role} ${words === null ? JSON.stringify(sorted(block)) : `says ${words}`}`;
        facts.push({
          what,
          detail: role === 'assistant' && thought !== '' ? thought : null,
          words: role === 'system' ? null : words,
        });
        thought = '';
      }
    }
  }
  return facts;
}

const agree = (one: Fact, other: Fact | undefined): boolean =>
  one.what === other?.what && (one.detail === null || other.detail === null || one.detail === other.detail);

/** Claude Code, one process of it, or an agent of one. */
interface Client {
  readonly session: string;
  readonly agent: string | null;
  /** False for clients that send no headers of their own. */
  readonly headers: boolean;
  history: Message[];
  model: string;
  compacted: boolean;
}

const MODELS = ['claude-sonnet-4-6', 'claude-opus-5-5'];
/** Few, so that different histories say the same again and again. */
const PHRASES = ['go on', 'fix it', 'yes', 'go on\n', 'fix it twice'];
const SUMMARY = /SUMMARY#(\d+)#/;

const ACTIONS = [
  ...[
    'say',
    'say',
    'say',
    'say',
    'say',
    'answer',
    'answer',
    'answer',
    'answer',
    'compact',
    'compact',
    'compact',
    'compact',
  ],
  ...[
    'rewind',
    'edit',
    'vary',
    'vary',
    'fork',
    'resume',
    'clear',
    'subagent',
    'aside',
    'model',
    'finish',
    'time',
    'time',
  ],
] as const;
type Action = (typeof ACTIONS)[number];
/** Those after which machines have something to do. */
const SETTLES: ReadonlySet<Action> = new Set(['say', 'answer', 'compact', 'finish', 'time']);

/** Everything that happens in one sequence. */
class World {
  readonly desk = new Desk(null, 'unsupervised');
  readonly clients: Client[] = [
    { session: 's0', agent: null, headers: true, history: [], model: 'claude-sonnet-4-6', compacted: false },
  ];
  readonly answered = new Set<PendingCall>();
  readonly open: { readonly turn: Turn; readonly used: number }[] = [];
  served = 0;
  #names = 0;

  async act(action: Action, dice: Dice): Promise<void> {
    const client = dice.pick(this.clients);
    if (client === undefined) return;
    switch (action) {
      case 'say':
        this.say(client, dice);
        break;
      case 'finish': {
        const [late] = this.open.splice(0, 1);
        if (late !== undefined) this.desk.turns.complete(late.turn, usageOf(late.used));
        break;
      }
      case 'answer':
        this.answer(dice.pick(this.desk.sent.filter((call) => !this.answered.has(call))), dice);
        break;
      case 'compact':
        await this.compact(client, dice);
        break;
      case 'rewind':
        client.history = client.history.slice(0, dice.roll(client.history.length + 1));
        break;
      case 'edit':
        client.history = edited(client.history, dice);
        break;
      case 'vary':
        client.history = varied(client.history, dice);
        break;
      case 'fork':
        this.clients.push({ ...client, session: this.name('s'), headers: !dice.once(4) });
        break;
      case 'resume':
        this.clients.push({ ...client });
        break;
      case 'clear':
        this.clients.push({ ...client, session: this.name('s'), history: [], headers: !dice.once(4) });
        break;
      case 'subagent':
        this.clients.push({
          ...client,
          agent: client.headers ? this.name('a') : null,
          history: dice.once(2) ? [] : client.history,
        });
        break;
      case 'aside':
        this.desk.conversations.latestConversationOf({ session: client.session, agent: client.agent });
        break;
      case 'model':
        client.model = dice.pick(MODELS) ?? client.model;
        client.history = varied(client.history, dice, ['tool results are cleared']);
        break;
      case 'time':
        await this.desk.pass(dice.pick([1_000, 5_000, 5_000, 70_000, 70_000, 8_000_000]) ?? 0);
        this.desk.index.expire((this.desk.now() - 7_200_000) as never);
        break;
    }
    if (SETTLES.has(action)) await settle();
    this.check(client);
  }

  /** A turn: a person, or a tool, says something; the assistant answers, or does not. */
  say(client: Client, dice: Dice): void {
    const messages = [...client.history, this.question(client, dice)];
    const { session, agent, headers, model, compacted } = client;
    const asking = {
      messages,
      session,
      agent,
      model,
      compacted,
      maxTokens: model === 'claude-sonnet-4-6' ? 32_000 : 128_000,
    };
    const turn = this.desk.begin({ ...asking, class: headers ? (agent === null ? 'main' : 'subagent') : null });
    client.compacted = false;
    const effective = model === 'claude-sonnet-4-6' ? 180_000 : 980_000;
    const used = Math.round(effective * (dice.pick([0.2, 0.72, 0.72, 0.85, 0.85, 0.99]) ?? 0));
    const fate = dice.roll(8);
    if (fate === 0) return;
    client.history = [...messages, this.reply(dice)];
    if (fate === 1) this.open.push({ turn, used });
    else this.desk.turns.complete(turn, usageOf(used));
  }

  question(client: Client, dice: Dice): Message {
    const text = { type: 'text', text: this.phrase(dice) };
    const last = client.history.at(-1);
    const call = last?.role === 'assistant' ? blocksOf(last).find(({ type }) => type === 'tool_use') : undefined;
    if (call !== undefined) {
      const result = {
        type: 'tool_result',
        tool_use_id: call['id'],
        content: dice.once(2) ? 'done' : [{ type: 'text', text: 'failed' }],
      };
      return { role: 'user', content: dice.once(2) ? [result] : [result, text] };
    }
    if (dice.once(8)) return { role: 'system', content: text.text };
    return {
      role: 'user',
      content: dice.once(2) ? text.text : [{ type: 'text', text: '<system-reminder>now</system-reminder>\n' }, text],
    };
  }

  reply(dice: Dice): Message {
    const thinking = { type: 'thinking', thinking: this.phrase(dice), signature: 's' };
    const call = { type: 'tool_use', id: this.name('toolu_'), name: 'Bash', input: { command: this.phrase(dice) } };
    const text = { type: 'text', text: this.phrase(dice) };
    return {
      role: 'assistant',
      content: [...(dice.once(3) ? [thinking] : []), ...(dice.once(3) ? [text, call] : [text])],
    };
  }

  /** The API answers a call for a summary, be it long after anybody wanted it. */
  answer(call: PendingCall | undefined, dice: Dice): void {
    if (call === undefined) return;
    this.answered.add(call);
    const kind = dice.roll(10);
    if (kind === 0) call.breakOff();
    else if (kind <= 2) call.fail(429, 'rate_limit_error', ['retry-after', '3']);
    else if (kind === 3) call.fail(400, 'invalid_request_error');
    else call.succeed(`SUMMARY#${this.desk.sent.indexOf(call)}# of what was said`);
  }

  /** The client compacts: the whole history, or without its last round, or with a prompt that waits. */
  async compact(client: Client, dice: Dice): Promise<void> {
    const end = dice.pick([0, 0, 1, 2]) ?? 0;
    const rest = client.history.slice(0, client.history.length - end);
    const messages = dice.once(3) ? this.withPrompt(rest, dice) : rest;
    if (messages.length === 0) return;
    const { session, agent, headers, model } = client;
    const words = dice.once(8) ? 'about the parser' : '';
    const controller = new AbortController();
    const deciding = this.desk.compact(
      { messages, session, agent, model, class: headers ? 'compaction' : null, stream: !dice.once(4) },
      { words, merged: dice.once(2), signal: controller.signal },
    );
    const progress = { decided: false };
    const outcome = deciding.finally(() => (progress.decided = true));
    await settle();
    // It waits for a call that is under way: that one ends, or the client gives up.
    for (const call of this.desk.sent) {
      if (!progress.decided && !this.answered.has(call) && !dice.once(4)) this.answer(call, dice);
    }
    await settle();
    controller.abort();
    this.judge(await outcome, messages, words, client.model);
    this.go(client, await outcome, dice);
  }

  /** A prompt that waits: a message of its own, or (older clients) one more block of the last one. */
  withPrompt(messages: readonly Message[], dice: Dice): Message[] {
    const last = messages.at(-1);
    const prompt = { type: 'text', text: this.phrase(dice) };
    if (last?.role !== 'user' || dice.once(3)) return [...messages, { role: 'user', content: prompt.text }];
    return [...messages.slice(0, -1), { role: 'user', content: [...blocksOf(last), prompt] }];
  }

  /** The client takes what it was given, or does not. */
  go(client: Client, outcome: CompactionOutcome, dice: Dice): void {
    if (dice.once(3) || outcome.kind === 'abandoned') return;
    const summary = outcome.kind === 'serve' ? servedText(outcome) : `the API's own summary ${this.name('')}`;
    if (outcome.kind === 'forward') this.desk.compactions.completeByApi(outcome.conversation);
    const text = `This session is being continued from a previous conversation that ran out of context.\n\n${summary}`;
    client.history = [{ role: 'user', content: text }, ...(dice.once(2) ? client.history.slice(-1) : [])];
    client.compacted = client.headers;
  }

  /** What was served must be a summary of a beginning of `messages`, with every word that comes after it. */
  judge(outcome: CompactionOutcome, messages: readonly Message[], words: string, model: string): void {
    if (outcome.kind !== 'serve') return;
    expect(words, 'words of the user were not followed').to.equal('');
    this.served += 1;
    const text = servedText(outcome);
    const rest = this.after(text, messages, model);
    let from = text.indexOf('#', text.search(SUMMARY) + 'SUMMARY#'.length);
    for (const fact of rest) {
      if (fact.words === null) continue;
      const at = text.indexOf(fact.words, from);
      if (at < 0) throw new Error(`"${fact.words}" is missing behind ${from} in ${text}`);
      from = at + fact.words.length;
    }
  }

  /** The facts of `messages` behind those that the summary in `text` was made of; throws when these are not its beginning. */
  after(text: string, messages: readonly Message[], model: string): Fact[] {
    // Summaries of summaries hold older ones further back.
    const call = this.desk.sent[Number(SUMMARY.exec(text)?.[1])];
    if (call === undefined) throw new Error(`this is no summary: ${text}`);
    // Between two models reminders change their form, and with some they are `system` messages.
    const compared =
      call.model === model ? (): boolean => true : ({ what }: Fact): boolean => !what.startsWith('system ');
    const summarised = factsOf(call.messages).filter(compared);
    const facts = factsOf(messages).filter(compared);
    const differs = summarised.findIndex((fact, at) => !agree(fact, facts[at]));
    if (differs >= 0) {
      const [was, is] = [summarised[differs], facts[differs]].map((fact) => JSON.stringify(fact));
      throw new Error(
        `a summary of another history, block ${differs}: ${was ?? ''} was summarised, ${is ?? 'nothing'} is here`,
      );
    }
    return facts.slice(summarised.length);
  }

  /** Whatever would be served now must be of this history. */
  check(client: Client): void {
    if (this.desk.index.size === 0) return;
    const covering = this.desk.index.find(lineageOf(client.history), this.desk.now(), client.model);
    if (covering !== null) this.after(covering.checkpoint.summary, client.history, client.model);
  }

  end(): void {
    const wrong = this.desk.log.find(({ level }) => level === 'error');
    if (wrong !== undefined) throw new Error(`${wrong.event}: ${JSON.stringify(wrong.fields)}`);
    this.desk.stop();
  }

  name(prefix: string): string {
    this.#names += 1;
    return `${prefix}${this.#names}`;
  }

  phrase(dice: Dice): string {
    return dice.once(4) ? this.name('word ') : (dice.pick(PHRASES) ?? '');
  }
}

/** Changes one block, or takes it or its message away. */
function edited(messages: readonly Message[], dice: Dice): Message[] {
  const places = messages.flatMap((message, at) =>
    blocksOf(message).map((block, place) => ({ message, at, block, place })),
  );
  // What is compared only where both sides have it deserves a second look.
  const hidden = places.filter(({ block }) => block.type === 'tool_result' || block.type === 'thinking');
  const found = dice.pick(hidden.length > 0 && dice.once(2) ? hidden : places);
  if (found === undefined || dice.once(6)) return messages.toSpliced(dice.roll(messages.length), 1);
  const { message, at, block, place } = found;
  const changed =
    block.type === 'tool_result' ? { ...block, content: 'edited' } : { ...block, text: 'edited', thinking: 'edited' };
  const content = blocksOf(message).toSpliced(place, 1, ...(dice.once(6) ? [] : [changed]));
  return messages.toSpliced(at, 1, { ...message, content });
}

describe('the safety of what is served', () => {
  // Thousands of calls are aborted here, and nobody reads the stacks of their errors.
  const { stackTraceLimit } = Error;
  before(() => {
    Error.stackTraceLimit = 0;
  });
  after(() => {
    Error.stackTraceLimit = stackTraceLimit;
  });

  it(`holds in ${SEQUENCES} random sequences of events`, async () => {
    let served = 0;
    let sequences = 0;
    const sequence = fc.array(fc.tuple(fc.constantFrom(...ACTIONS), fc.nat()), {
      minLength: 4,
      maxLength: 16,
      size: 'max',
    });
    await fc.assert(
      fc.asyncProperty(sequence, async (actions) => {
        const world = new World();
        for (const [action, seed] of actions) await world.act(action, new Dice(seed));
        world.end();
        served += world.served;
        sequences += 1;
      }),
      { seed: 20260731, numRuns: SEQUENCES },
    );
    // A test that serves nothing proves nothing.
    expect(sequences).to.equal(SEQUENCES);
    expect(served).to.be.greaterThan(SEQUENCES / 10);
  }).timeout(120_000);
});
