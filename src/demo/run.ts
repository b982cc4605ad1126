/**
 * What happens in the demo: a conversation grows turn by turn, its summary is computed while it goes on, the client
 * compacts and gets that summary at once. Every promise is checked on the way; the first one broken ends the demo.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { utilisation } from '../../machines/conversation-calculations.ts';
import type { ConversationSnapshot } from '../../machines/conversation.ts';
import { phaseOf } from '../../machines/phases.ts';
import { conversationId } from '../../machines/units.ts';
import type { LogFields } from '../log.ts';
import { usedTokens } from '../wire/answer-reader.ts';
import type { Reply } from './scripted-client.ts';
import type { Screen } from './screen.ts';
import { AFTERWARDS, LAST_BEFORE, MEANWHILE, messagesOf, OPENING, type ScriptedTurn } from './session.ts';
import type { Stage } from './environment.ts';
import { count, duration, percentFloor } from '../../web/format.ts';
import { comparison, eventLine, ruler, turnLine, type Colours } from './timeline.ts';

/** Something that the demo promises did not happen. The message says what, for people. */
export class DemoFailure extends Error {
  override readonly name = 'DemoFailure';
}

export interface PlayOptions {
  readonly stage: Stage;
  readonly screen: Screen;
  readonly colours: Colours;
  readonly columns: number;
  readonly pace: number;
  readonly signal: AbortSignal;
}

/** What was measured. */
export interface Measured {
  /** Compaction through the proxy, and by the API alone, as the client felt them. */
  readonly served: number;
  readonly direct: number;
  /** Tokens in use when the client compacted. */
  readonly used: number;
  readonly checkpoint: { readonly ms: number; readonly input: number; readonly read: number };
  /** Turns that were answered while the checkpoint was computed. */
  readonly meanwhile: number;
}

/** Pause between an answer and the user's next words. */
const READING_MS = 40;
/** Longer than a checkpoint takes here; at any pace. */
const CHECKPOINT_LIMIT_MS = 30_000;
/** How much of its input a checkpoint has to read from the prompt cache. */
const CACHE_SHARE = 0.95;
const TICK_MS = 50;

const number = (fields: LogFields, name: string): number => {
  const value = fields[name];
  return typeof value === 'number' ? value : 0;
};

/** Plays the session, once. */
export async function play(options: PlayOptions): Promise<Measured> {
  const demo = new Play(options);
  const unfollow = options.stage.book.follow((entry) => demo.notice(entry.event, entry.fields));
  try {
    return await demo.run();
  } finally {
    unfollow();
  }
}

class Play {
  readonly #options: PlayOptions;
  readonly #began = performance.now();
  /** When the checkpoint call that runs now began. */
  #checkpointBegan: number | null = null;
  /** True once any has begun, however soon it ended. */
  #anyBegan = false;
  #turns = 0;
  #meanwhile = 0;

  constructor(options: PlayOptions) {
    this.#options = options;
  }

  async run(): Promise<Measured> {
    const { stage, screen, colours } = this.#options;
    screen.line(colours.dim(ruler(stage.config.thresholds)));
    for (const turn of OPENING) await this.#turn(turn);
    this.#expectCheckpointBegun();
    for (const turn of MEANWHILE.slice(0, -1)) await this.#turn(turn);
    const checkpoint = await this.#expectCheckpoint();
    for (const turn of MEANWHILE.slice(-1)) await this.#turn(turn);
    const last = await this.#turn(LAST_BEFORE);
    expect(phaseOf(last) === 'SWAP_READY', `the conversation should be SWAP_READY, but is ${phaseOf(last)}`);

    const history = [...stage.client.messages];
    const served = await this.#compact(last);
    stage.direct.messages = history;
    const began = performance.now();
    const direct = stage.direct.compact();
    direct.catch(() => undefined); // looked at below, unless something else goes wrong before
    const aside = (): string => `the API alone: ${duration(performance.now() - began)} so far`;
    await this.#goOn(aside);
    const slow = await this.#during(direct, () => `${' '.repeat(9)}… ${aside()}`);
    expect(slow.status === 200 && slow.error === null, `the API's own compaction failed: ${slow.error ?? slow.status}`);
    this.#say('…', `the API alone has finished its summary only now, after ${duration(slow.ms)}`);
    expect(served < slow.ms, 'the compaction through the proxy took no less time than without it');
    return { served, direct: slow.ms, used: last.context.used, checkpoint, meanwhile: this.#meanwhile };
  }

  /** Shows at once what happens in the background. */
  notice(event: string, fields: LogFields): void {
    const { colours } = this.#options;
    if (event === 'checkpoint.started') {
      this.#checkpointBegan = performance.now();
      this.#anyBegan = true;
    }
    if (event === 'checkpoint.failed') {
      this.#say(colours.red('✗'), `the checkpoint call failed: ${String(fields['message'])}`);
    }
    if (event !== 'checkpoint.completed' || this.#checkpointBegan === null) return;
    this.#checkpointBegan = null;
    const summary = `${count(number(fields, 'output_tokens'))} tokens of summary`;
    const took = duration(number(fields, 'duration_ms'));
    this.#say(colours.cyan('✓'), `the checkpoint is ready: ${summary}, ${took} in the background`);
  }

  /** One turn of the conversation, and its line. */
  async #turn(turn: ScriptedTurn, aside?: () => string): Promise<ConversationSnapshot> {
    const { stage, screen, colours, columns, pace, signal } = this.#options;
    const { client } = stage;
    await sleep(READING_MS / pace, undefined, { signal });
    const beside = (): string | undefined => this.#running() ?? aside?.();
    const duringCheckpoint = this.#checkpointBegan !== null;
    this.#turns += 1;
    const { before, last } = messagesOf(turn, this.#turns);
    client.messages.push(...before);
    const reply = await this.#during(
      client.say(last),
      () => `${' '.repeat(9)}… ${beside() ?? 'the assistant answers'}`,
    );
    expect(reply.status === 200 && reply.error === null, `a turn failed: ${reply.error ?? `status ${reply.status}`}`);
    const snapshot = await this.#settled(reply);
    if (duringCheckpoint && this.#checkpointBegan !== null) this.#meanwhile += 1;
    const text = duringCheckpoint ? this.#running() : aside?.();
    screen.line(
      turnLine(
        {
          at: performance.now() - this.#began,
          phase: phaseOf(snapshot),
          share: utilisation(snapshot.context),
          text: turn.user,
          ...(text === undefined ? {} : { aside: text }),
        },
        { thresholds: stage.config.thresholds, columns, colours },
      ),
    );
    return snapshot;
  }

  #expectCheckpointBegun(): void {
    expect(this.#anyBegan, 'the checkpoint threshold was passed, but no checkpoint was begun');
    this.#say(
      this.#options.colours.yellow('▸'),
      'a checkpoint begins in the background: the last request, unchanged, and one message more',
    );
  }

  /** The checkpoint is ready, has disturbed nobody, and was cheap. */
  async #expectCheckpoint(): Promise<Measured['checkpoint']> {
    const { stage, signal } = this.#options;
    const waiting = stage.book.wait('checkpoint.completed', CHECKPOINT_LIMIT_MS, signal);
    const done = await this.#during(waiting, () => `${' '.repeat(9)}… ${this.#running() ?? ''}`);
    signal.throwIfAborted();
    const failed = stage.book.latest('checkpoint.failed')?.fields['message'];
    expect(done !== null, `the checkpoint did not get ready${failed === undefined ? '' : `: ${String(failed)}`}`);
    expect(this.#meanwhile > 0, 'no turn was answered while the checkpoint was computed');
    const { fields } = done;
    const read = number(fields, 'cache_read_tokens');
    const input = read + number(fields, 'input_tokens') + number(fields, 'cache_creation_tokens');
    const share = read / input;
    expect(
      share >= CACHE_SHARE,
      `the checkpoint read only ${percentFloor(share, 1)} of its input from the prompt cache`,
    );
    return { ms: number(fields, 'duration_ms'), input, read };
  }

  /** The client compacts. Returns how long it waited. */
  async #compact({ context }: ConversationSnapshot): Promise<number> {
    const { stage, colours } = this.#options;
    this.#say(colours.green('⇄'), `the client compacts ${count(context.used)} tokens`);
    const reply = await this.#during(stage.client.compact(), () => `${' '.repeat(9)}… compacting`);
    const forwarded = stage.book.latest('compaction.forwarded')?.fields['reason'];
    const why = forwarded === undefined ? '' : ` (${String(forwarded)})`;
    expect(reply.status === 200 && reply.error === null, `the compaction failed: ${reply.error ?? reply.status}`);
    expect(
      reply.headers['x-double-buffer-served'] === 'checkpoint',
      `the compaction was not answered from the checkpoint, but went to the API${why}`,
    );
    const seen = stage.api.messages.filter(
      (request) => request.headers['x-claude-code-request-class'] === 'compaction',
    );
    expect(seen.length === 0, 'the API saw the compaction although it was answered here');
    const took = colours.bold(colours.green(duration(reply.ms)));
    this.#say(colours.green('✓'), `answered from the checkpoint in ${took}; the API saw nothing of it`);
    return reply.ms;
  }

  /** The conversation goes on from the summary. */
  async #goOn(aside: () => string): Promise<void> {
    const { stage, screen, colours } = this.#options;
    for (const [index, turn] of AFTERWARDS.entries()) {
      await this.#turn(turn, aside);
      screen.line(`${' '.repeat(9)}${colours.dim(`“${turn.assistant}”`)}`);
      if (index > 0) continue;
      const confirmed = stage.book.latest('history.replaced')?.fields['confirmed'];
      expect(confirmed === true, 'the next request did not go on from the summary that was served');
    }
  }

  /** Waits for `work` and shows that something is going on. */
  async #during<T>(work: Promise<T>, text: () => string): Promise<T> {
    const { screen, colours, signal } = this.#options;
    const ticks = setInterval(() => screen.status(colours.dim(text())), TICK_MS);
    try {
      return await work;
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      clearInterval(ticks);
    }
  }

  /** The conversation once the proxy has noted what an answer told it. */
  async #settled(reply: Reply): Promise<ConversationSnapshot> {
    const { conversations } = this.#options.stage.proxy;
    const id = conversationId(String(reply.headers['x-double-buffer-conv-id']));
    const used = usedTokens(reply.usage);
    for (let tries = 0; tries < 200; tries += 1) {
      const snapshot = conversations.actors.snapshot(id);
      if (snapshot?.context.used === used) return snapshot;
      await sleep(5);
    }
    throw new DemoFailure(`the proxy did not note the usage of an answer (${used} tokens in ${id})`);
  }

  /** What to say of a checkpoint that is being computed; undefined when none is. */
  #running(): string | undefined {
    const began = this.#checkpointBegan;
    return began === null ? undefined : `checkpoint ${((performance.now() - began) / 1_000).toFixed(1)} s`;
  }

  #say(mark: string, text: string): void {
    this.#options.screen.line(eventLine(performance.now() - this.#began, mark, text));
  }
}

/** What was measured, as the last lines of the demo. */
export function resultLines(measured: Measured, colours: Colours): string[] {
  const { served, direct, used, checkpoint, meanwhile } = measured;
  const [fast = '', slow = ''] = comparison([
    { name: 'through claude-db-proxy', ms: served },
    { name: 'the API by itself', ms: direct },
  ]);
  const share = percentFloor(checkpoint.read / checkpoint.input, 1);
  return [
    colours.bold(`Compaction of ${count(used)} tokens: ${count(direct / Math.max(served, 0.1))} times faster`),
    `  ${colours.green(fast)}`,
    `  ${colours.red(slow)}`,
    '',
    `The checkpoint read ${count(checkpoint.read)} of its ${count(checkpoint.input)} input tokens from the prompt cache (${share}).`,
    `${meanwhile} turns were answered while it was computed; none of them waited for it.`,
  ];
}

function expect(condition: boolean, message: string): asserts condition {
  if (!condition) throw new DemoFailure(message);
}
