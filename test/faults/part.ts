/** One conversation on a stage: its client, what the API says in it, and how it gets to the phase where a fault strikes. */
import { expect } from 'chai';
import { phaseOf, type Phase } from '../../machines/phases.ts';
import { conversationId } from '../../machines/units.ts';
import type { Answer, Call, Fault, FaultHandle, SimulatedApi } from '../../src/simulated-api/index.ts';
import { isCheckpointCall } from '../e2e/flows.ts';
import type { LogLine, Rig } from '../support/rig.ts';
import {
  Client,
  PART_HEADER,
  REQUEST_HEADER,
  type GaveUp,
  type Progress,
  type Reply,
  type RequestClass,
} from './client.ts';
import { figures } from './figures.ts';
import { eventually } from './handles.ts';
import { judge, passageOf, type Verdict } from './judge.ts';
import { answerWord, marksIn, nativeWord, summaryWord } from './marks.ts';
import type { Tap } from './tap.ts';

/** Sizes of a prompt for an effective window of 180,000: below the checkpoint threshold, past it, past the swap threshold. */
const SMALL = 20_000;
const LARGE = 130_000;
/** … but not by so much more that the checkpoint has aged. */
const FULL = 146_000;

/** So much more than {@link LARGE} that a checkpoint made there has aged. */
const AGED = 152_000;

/** How long an answer has to be silent before the client hangs up on it. */
const SILENCE_MS = 120;

/** … and how long it waits in vain for an answer to begin before it leaves of its own accord. */
const LEAVING_MS = 20;

/** As large as small real requests, so that one that is kept shows in the memory. */
const BALLAST = 'All work and no play makes Jack a dull boy. '.repeat(700);

/** How all conversations begin: where they differ, they differ later. */
const OPENING = { role: 'user', content: 'Please look after the parser.' } as const;
const OPENING_ANSWER = 'All right.';

/** Faults after which an answer is incomplete, though the script was asked for it. */
const BREAKS: ReadonlySet<string> = new Set<Fault['kind']>([
  ...(['error_event', 'disconnect', 'silence'] as const),
  ...(['status', 'prompt_too_long', 'garbage_http'] as const),
]);

/** Which of a part's requests a fault is for: the client's next one of a class, or the proxy's own call. */
export type Target = RequestClass | 'checkpoint';

/** Where the client hangs up. */
export type Leaving = 'in the upload' | 'before the head' | 'in the stream';

let sessions = 0;

/** What a conversation needs to know of the stage it is on. */
interface Surroundings {
  readonly api: SimulatedApi;
  readonly tap: Tap;
  readonly rig: Rig;
  /** Log lines about one conversation since the last look-over. */
  told(session: string, event: string): readonly LogLine[];
}

export class Part {
  readonly name: string;
  readonly client: Client;
  /** How large its prompts are. */
  size = SMALL;
  /** For tests of this suite: a checkpoint call that is held is not let go at the end of a scenario. */
  keepsHolding = false;
  /** Whose mark the API puts into its summaries: for tests of this suite, somebody else's. */
  summarisedAs: string;
  #answers = 0;
  #summaries = 0;
  #natives = 0;
  /** Number of the newest summary that the API gave without breaking it. */
  #newest = 0;
  #held: { readonly released: Promise<Answer>; readonly release: (answer: Answer) => void } | undefined;
  #leaving: { readonly how: Leaving; readonly class: RequestClass } | undefined;
  readonly #ordered: FaultHandle[] = [];
  readonly #stage: Surroundings;

  constructor(name: string, stage: Surroundings) {
    sessions += 1;
    this.name = name;
    this.summarisedAs = name;
    this.#stage = stage;
    this.client = new Client({
      target: stage.rig,
      name,
      session: `session-${sessions}`,
      ballast: BALLAST,
      givesUp: (request, progress) => this.#givesUp(request, progress),
    });
  }

  get phase(): Phase {
    const snapshot = this.#stage.rig.proxy.conversations.actors.snapshot(conversationId(this.client.session));
    return snapshot === undefined ? 'IDLE' : phaseOf(snapshot);
  }

  /** What the API answers to a request of this part. */
  answer(call: Call): Answer | Promise<Answer> {
    const broken = call.request.faults.some((kind) => BREAKS.has(kind));
    if (isCheckpointCall(call.request)) {
      const number = (this.#summaries += 1);
      const summary = `<summary>${summaryWord(this.summarisedAs, number)} The parser is looked after.</summary>`;
      const settle = (answer: Answer): Answer => {
        const replaced = answer.blocks !== undefined || answer.raw !== undefined;
        if (!broken && !replaced && !BREAKS.has(answer.fault?.kind ?? '')) this.#newest = number;
        return { blocks: [{ type: 'text', text: summary }], ...answer };
      };
      return this.#held === undefined ? settle({}) : this.#held.released.then(settle);
    }
    if (call.isSummary) {
      const text = `<summary>${nativeWord(this.name, (this.#natives += 1))} Summed up by the API.</summary>`;
      return { blocks: [{ type: 'text', text }] };
    }
    const first = call.message.messages.length === 1;
    const text = first ? OPENING_ANSWER : `${answerWord(this.name, (this.#answers += 1))} The parser goes on.`;
    return { blocks: [{ type: 'text', text }], promptTokens: this.size };
  }

  /** Orders a fault for the next request of that kind. */
  order(fault: Fault, target: Target): void {
    const handle = this.#stage.api.fault(fault, {
      when: ({ headers, kind }) =>
        kind === 'messages' &&
        headers[PART_HEADER] === this.name &&
        (target === 'checkpoint' || headers['x-claude-code-request-class'] === target) &&
        this.#isRepeated(headers[REQUEST_HEADER]?.toString() ?? '') === (target === 'checkpoint'),
    });
    this.#ordered.push(handle);
  }

  /** Makes the client hang up on its next request of that class, which it then sends again. */
  leaveNext(how: Leaving, requestClass: RequestClass): void {
    if (how === 'in the upload') this.client.breaksUpload = requestClass;
    else this.#leaving = { how, class: requestClass };
  }

  /** Resolves when the client has hung up where it was to. */
  async left(): Promise<void> {
    await eventually(
      () => this.#leaving === undefined && this.client.breaksUpload === undefined,
      () => 'the client has not left',
    );
  }

  /** Resolves when everything that was ordered has struck. */
  async struck(): Promise<void> {
    const waiting = () => this.#ordered.filter(({ remaining }) => remaining > 0).map(({ fault }) => fault.kind);
    await eventually(
      () => waiting().length === 0,
      () => `faults that did not strike: ${waiting().join(', ')}`,
    );
  }

  /** Fails when a fault that was ordered has not struck: the scenario would show nothing. */
  expectStruck(): void {
    expect(this.#leaving ?? this.client.breaksUpload, 'the client has not left').to.equal(undefined);
    const waiting = this.#ordered.splice(0).filter(({ remaining }) => remaining > 0);
    for (const handle of waiting) handle.cancel();
    expect(
      waiting.map(({ fault }) => fault),
      'faults that did not strike',
    ).to.deep.equal([]);
  }

  /** Takes back what was ordered and did not strike. */
  forgetFaults(): void {
    for (const handle of this.#ordered.splice(0)) handle.cancel();
  }

  /** Keeps the next checkpoint calls from being answered until {@link release}. */
  hold(): void {
    let release: (answer: Answer) => void = () => undefined;
    const released = new Promise<Answer>((resolve) => {
      release = resolve;
    });
    this.#held = { released, release };
  }

  /** Lets the checkpoint calls be answered, the one under way with `fault`. */
  release(fault?: Fault): void {
    this.#held?.release(fault === undefined ? {} : faultyAnswer(fault));
    this.#held = undefined;
  }

  /** Resolves when so many checkpoint calls have ended, well or badly. */
  async callsEnded(count: number): Promise<void> {
    const ended = (how: string): number => this.#stage.told(this.client.session, `checkpoint.${how}`).length;
    await eventually(
      () => ended('completed') + ended('failed') + ended('aborted') >= count,
      () => `the checkpoint call of ${this.name} has not ended`,
    );
  }

  /** Judges a reply. */
  judged(reply: Reply): Verdict {
    return judge(reply, this.#stage.tap, this.name);
  }

  /** Sends until the answer is good, each judged: as Claude Code does, which tries again. */
  async insist(send: () => Promise<Reply>): Promise<Reply> {
    for (let tries = 0; ; tries += 1) {
      const reply = await send();
      this.judged(reply);
      if (reply.good) return reply;
      expect(tries, 'tries without a good answer').to.be.below(5);
    }
  }

  /** One more turn of the conversation. */
  async turn(): Promise<void> {
    const words = this.client.nextWords();
    await this.insist(() => this.client.say(words));
  }

  /** The conversation's first turns. */
  async open(): Promise<void> {
    await this.insist(() => this.client.say(OPENING));
    await this.turn();
  }

  /** A turn past the checkpoint threshold; resolves when the API has the call. */
  cross(): Promise<void> {
    return this.#call(LARGE);
  }

  /** A turn after which the checkpoint has aged; resolves when the API has the call for a newer one. */
  age(): Promise<void> {
    return this.#call(AGED);
  }

  async #call(size: number): Promise<void> {
    this.size = size;
    const calls = this.#calls();
    await this.turn();
    await eventually(
      () => this.#calls() > calls,
      () => `no checkpoint call of ${this.name}`,
    );
  }

  /** A turn past the checkpoint threshold; resolves when the checkpoint is there. */
  async checkpoint(): Promise<void> {
    await this.cross();
    await this.checkpointed();
  }

  /** Resolves when as many checkpoints are there as have been answered. */
  async checkpointed(): Promise<void> {
    await eventually(
      () => this.phase === 'WAL_ACTIVE' || this.phase === 'SWAP_READY',
      () => `no checkpoint of ${this.name}, which is in ${this.phase}`,
    );
  }

  /** A turn past the swap threshold. */
  async fill(): Promise<void> {
    this.size = FULL;
    await this.turn();
    await eventually(
      () => this.phase === 'SWAP_READY',
      () => `${this.name} is in ${this.phase} and not in SWAP_READY`,
    );
  }

  /**
   * A compaction that has to be answered from the newest checkpoint: not a word of it may be lost.
   *
   * @param atLeast the number of a summary that is new enough: while a newer one is on its way, it need not be that
   */
  async compactFromCheckpoint(atLeast = this.#newest): Promise<void> {
    this.expectServed(await this.insist(() => this.client.compact()), atLeast);
  }

  /** A compaction that may be answered here or by the API. True: here, from the newest checkpoint. */
  async compactSomehow(): Promise<boolean> {
    const reply = await this.insist(() => this.client.compact());
    if (reply.served) this.expectServed(reply);
    return reply.served;
  }

  /** A small request beside the conversation. */
  async aside(): Promise<void> {
    await this.insist(() => this.client.aside());
  }

  expectServed(reply: Reply, atLeast = this.#newest): void {
    expect(reply.served, `${this.name}: the checkpoint was lost: the compaction went to the API`).to.equal(true);
    const [summary, ...others] = marksIn(reply.text).filter(({ kind }) => kind === 'summary');
    expect(others, 'summaries beside the one that was served').to.deep.equal([]);
    expect(summary?.number, 'the summary that was served').to.be.within(atLeast, this.#newest);
  }

  /** What is left of a history after a compaction is small. */
  shrink(): void {
    this.size = SMALL;
  }

  /** Turns after a compaction, which begins a new history: as many as it takes not to look like a loop. */
  async goOn(): Promise<void> {
    this.shrink();
    await this.turn();
    await eventually(
      () => this.phase === 'IDLE',
      () => `after a compaction ${this.name} is in ${this.phase}`,
    );
    await this.turn();
  }

  /** For tests of this suite: a newer summary seems to have been given. */
  pretendAnother(): void {
    this.#newest += 1;
  }

  /** Ends what it has under way. */
  async leave(): Promise<void> {
    if (!this.keepsHolding) this.release();
    await this.client.close();
  }

  /** How many calls of its own the proxy has made for this part. */
  #calls(): number {
    const ids = this.#stage.tap.passages
      .filter((passage) => passage.header(PART_HEADER) === this.name)
      .map((passage) => passage.header(REQUEST_HEADER));
    return ids.length - new Set(ids).size;
  }

  /** The proxy's own call carries the number of the request that it repeats: it is the second of that number, or later. */
  #isRepeated(id: string): boolean {
    return this.#stage.tap.passages.filter((passage) => passage.header(REQUEST_HEADER) === id).length > 1;
  }

  #givesUp({ id, class: requestClass }: { id: string; class: RequestClass }, progress: Progress): GaveUp {
    const leaving = this.#leaving;
    if (leaving?.class === requestClass) {
      const now = leaving.how === 'in the stream' ? progress.head && progress.body > 0 : !progress.head;
      if (!now || progress.quietMs < (leaving.how === 'in the stream' ? 0 : LEAVING_MS)) return 'no';
      this.#leaving = undefined;
      figures.faults += 1;
      return 'leaving';
    }
    if (progress.quietMs < SILENCE_MS) return 'no';
    const silent = this.#stage.api.messages.some(
      (request) => request.headers[REQUEST_HEADER] === id && request.faults.includes('silence'),
    );
    if (!silent) return 'no';
    const passage = passageOf(this.#stage.tap, id);
    const answer = passage?.answer;
    const end = answer?.indexOf('\r\n\r\n') ?? -1;
    const sent = answer === undefined || end < 0 ? 0 : answer.length - end - 4;
    return progress.body === sent ? 'silence' : 'no';
  }
}

/** An answer that goes wrong in this way, for an answer that is decided on late. */
function faultyAnswer(fault: Fault): Answer {
  switch (fault.kind) {
    case 'empty_answer':
      return { blocks: [] };
    case 'tool_call':
      return { blocks: [{ type: 'tool_use', name: 'Bash', input: { command: 'ls' } }] };
    case 'answer':
      return fault.answer;
    default:
      return { fault };
  }
}
