/**
 * People at work: conversations that grow, are checkpointed, compact and go on, without end, each turn tried again until
 * it is answered, as Claude Code does. They know what they may expect: a checkpoint that the log has told of is served.
 */
import { expect } from 'chai';
import { setTimeout as pause } from 'node:timers/promises';
import type { Answer, Call } from '../../src/simulated-api/index.ts';
import { isCheckpointCall } from '../e2e/flows.ts';
import { valuesOf } from '../src/forwarder/http-bytes.ts';
import type { Target } from '../src/forwarder/raw-client.ts';
import { Client, type Reply } from './client.ts';
import { figures } from './figures.ts';
import { judge } from './judge.ts';
import { answerWord, marksIn, nativeWord, summaryWord } from './marks.ts';
import type { Chance } from './seed.ts';
import type { Line } from './serve-child.ts';
import type { Tap } from './tap.ts';

const SMALL = 20_000;
const LARGE = 130_000;
/** … but not by so much more that the checkpoint has aged. */
const FULL = 146_000;

/** Turns after a compaction before the next threshold may be crossed: sooner, it would be a loop. */
const BETWEEN = 2;

/** How long a turn is tried again before it counts as lost. */
const PATIENCE_MS = 60_000;
/** First pause before a request is tried again; doubles up to the longest. */
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 320;

/** The log tells of a summary only its length, and so the length tells its number. */
const LENGTH_OF_FIRST = 1_000;

export interface Interruptions {
  /** How often the proxy has been killed; an answer under way then may be cut off. */
  readonly kills: number;
  /** The scenario has failed: nobody needs to try any more. */
  readonly givenUp: boolean;
}

export interface WorkerOptions {
  readonly name: string;
  readonly target: Target;
  readonly tap: Tap;
  readonly chance: Chance;
  readonly interruptions: Interruptions;
}

export class Worker {
  readonly name: string;
  readonly client: Client;
  /** What it is doing just now, for the figures. */
  doing = 'beginning';
  readonly #options: WorkerOptions;
  /** Histories so far: each compaction begins another. */
  #history = 0;
  /** By the number of a summary: the history it is about. */
  readonly #summaries: number[] = [];
  /** The newest summary whose completion was logged, by history. */
  readonly #completed = new Map<number, number>();
  /** Turns since the last compaction. */
  #since = 0;
  #forgiving = false;
  #size = SMALL;
  #answers = 0;
  #natives = 0;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.name = options.name;
    this.client = new Client({ target: options.target, name: options.name, session: options.name });
  }

  /** What the API answers. */
  answer(call: Call): Answer {
    if (isCheckpointCall(call.request)) {
      this.#summaries.push(this.#history);
      const text = this.#summary(this.#summaries.length);
      return {
        blocks: [{ type: 'text', text: `<summary>${text}</summary>` }],
        firstByteMs: this.#options.chance.int(0, 40),
      };
    }
    if (call.isSummary) {
      const text = `<summary>${nativeWord(this.name, (this.#natives += 1))} Summed up by the API.</summary>`;
      return { blocks: [{ type: 'text', text }], firstByteMs: 20 };
    }
    const text = `${answerWord(this.name, (this.#answers += 1))} The work goes on.`;
    return { blocks: [{ type: 'text', text }], promptTokens: this.#size, firstByteMs: this.#options.chance.int(0, 10) };
  }

  /** Takes a line of the proxy's log. */
  take(line: Line): void {
    if (line.event !== 'checkpoint.completed' || line['conversation'] !== this.name) return;
    const number = Number(line['summary_chars']) - LENGTH_OF_FIRST;
    const history = this.#summaries[number - 1];
    if (history === undefined)
      throw new Error(`a checkpoint of ${this.name} that nobody made: ${JSON.stringify(line)}`);
    this.#completed.set(history, Math.max(number, this.#completed.get(history) ?? 0));
  }

  /** Works until `done`. */
  async work(done: () => boolean): Promise<void> {
    while (!done()) await this.round(done);
  }

  /** One history, from its first turn to its compaction; it may stop in the middle. */
  async round(done: () => boolean = () => false): Promise<void> {
    const { chance } = this.#options;
    for (let turns = chance.int(BETWEEN, BETWEEN + 2); turns > 0; turns -= 1) await this.talk();
    this.#size = LARGE;
    for (let turns = chance.int(1, 4); turns > 0 && !done(); turns -= 1) await this.#turn('past the threshold');
    if (chance.once(2)) {
      this.#size = FULL;
      await this.#turn('past the swap threshold');
    }
    if (!done()) await this.compact();
  }

  /** A compaction: from the newest checkpoint that was completed when it was asked for, if there was one. */
  async compact(): Promise<void> {
    const history = this.#history;
    this.doing = 'compacting';
    const reply = await this.#insist(async () => {
      const expected = this.#completed.get(history);
      const answer = await this.client.compact();
      if (answer.good && expected !== undefined) this.#expectServed(answer, expected);
      return answer;
    });
    if (reply.served) {
      const [mark] = marksIn(reply.text).filter(({ kind }) => kind === 'summary');
      const number = mark?.number ?? 0;
      expect(this.#summaries[number - 1], 'the history that the summary is about').to.equal(history);
      expect(reply.text.includes(this.#summary(number)), 'the summary is whole').to.equal(true);
    }
    this.#history += 1;
    this.#since = 0;
  }

  /** A turn that leaves the conversation below the threshold. */
  async talk(): Promise<void> {
    this.#size = SMALL;
    await this.#turn('below the threshold');
  }

  /** A turn past the checkpoint threshold, whatever comes of it. */
  async cross(): Promise<void> {
    while (this.#since < BETWEEN) await this.talk();
    this.#size = LARGE;
    await this.#turn('past the threshold');
  }

  /** A turn past the checkpoint threshold, and the checkpoint is there. */
  async checkpoint(): Promise<void> {
    const before = this.#completed.get(this.#history) ?? 0;
    await this.cross();
    const completed = (): boolean => (this.#completed.get(this.#history) ?? 0) > before;
    // One that was forgiven may be there all the same, and then no other is made.
    const deadline = Date.now() + PATIENCE_MS;
    while (!completed()) {
      if (this.#forgiving && (await this.#isServable())) return;
      expect(Date.now(), `no checkpoint of ${this.name}`).to.be.below(deadline);
      await pause(20);
    }
    this.#forgiving = false;
  }

  /** A turn past both thresholds. */
  async fill(): Promise<void> {
    this.#size = FULL;
    await this.#turn('past the swap threshold');
  }

  /** Checkpoints that were completed so far need not be served: what kept them was taken away. */
  forgives(): void {
    this.#completed.clear();
    this.#forgiving = true;
  }

  /** The last word: what was completed before is served still. */
  async finish(): Promise<void> {
    this.#size = SMALL;
    await this.#turn('the end');
    await this.client.close();
  }

  /** The text of a summary: of a length that tells its number, and never the same twice. */
  #summary(number: number): string {
    return `${summaryWord(this.name, number)} Looked after.`.padEnd(
      LENGTH_OF_FIRST + number,
      `|${this.name}-${number}`,
    );
  }

  /** The proxy says that this conversation could be answered from a checkpoint. */
  async #isServable(): Promise<boolean> {
    const { head } = await this.#insist(() => this.client.aside());
    const [phase] = valuesOf(head?.headers ?? [], 'x-double-buffer-phase');
    return phase === 'WAL_ACTIVE' || phase === 'SWAP_READY';
  }

  #expectServed(answer: Reply, atLeast: number): void {
    expect(
      answer.served,
      `${this.name}: checkpoint ${atLeast} was completed, and the compaction went to the API`,
    ).to.equal(true);
    const [summary, ...others] = marksIn(answer.text).filter(({ kind }) => kind === 'summary');
    expect(others).to.deep.equal([]);
    expect(summary?.number, 'the summary that was served').to.be.at.least(atLeast);
  }

  async #turn(doing: string): Promise<void> {
    this.doing = doing;
    const words = this.client.nextWords();
    await this.#insist(() => this.client.say(words));
    this.#since += 1;
  }

  async #insist(send: () => Promise<Reply>): Promise<Reply> {
    const { interruptions, tap } = this.#options;
    const deadline = Date.now() + PATIENCE_MS;
    for (let tries = 0; ; tries += 1) {
      const before = interruptions.kills;
      const reply = await send();
      const interrupted = interruptions.kills > before && !reply.whole;
      judge(interrupted ? { ...reply, gaveUp: 'leaving' } : reply, tap, this.name);
      if (reply.good) return reply;
      if (interruptions.givenUp) throw new Error(`${this.name} was stopped`);
      if (Date.now() > deadline) {
        figures.lost += 1;
        throw new Error(
          `${this.name} had no answer for ${PATIENCE_MS} ms; the last: ${reply.status} ${reply.body.toString('utf8', 0, 200)}`,
        );
      }
      await pause(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** tries));
    }
  }
}
