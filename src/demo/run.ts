/**
 * The session of the demo: a conversation grows, its checkpoint is computed in the background, and the client's compaction
 * is answered from it. Each step is checked; the first failure ends the demo.
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
import {
  AFTER_COMPACTION,
  BEFORE_COMPACTION,
  DURING_CHECKPOINT,
  messagesOf,
  OPENING,
  type ScriptedTurn,
} from './session.ts';
import type { DemoEnvironment } from './environment.ts';
import { count, duration, percentFloor } from '../../web/format.ts';
import { comparison, eventLine, ruler, turnLine, type Colours } from './timeline.ts';

/** An expected event did not happen; the message is for people. */
export class DemoFailure extends Error {
  override readonly name = 'DemoFailure';
}

export interface RunOptions {
  readonly environment: DemoEnvironment;
  readonly screen: Screen;
  readonly colours: Colours;
  readonly columns: number;
  readonly pace: number;
  readonly signal: AbortSignal;
}

/** Measurements of the session. */
export interface DemoResult {
  /** Durations of the compaction through the proxy and by the API alone, in milliseconds. */
  readonly served: number;
  readonly direct: number;
  /** Tokens in use when the client compacted. */
  readonly used: number;
  readonly checkpoint: { readonly ms: number; readonly input: number; readonly read: number };
  /** Turns that were answered while the checkpoint was computed. */
  readonly turnsDuringCheckpoint: number;
}

/** Pause between an answer and the next user message. */
const READING_MS = 40;
/** A checkpoint takes less time at any pace. */
const CHECKPOINT_LIMIT_MS = 30_000;
/** Least share of its input that a checkpoint reads from the prompt cache. */
const CACHE_SHARE = 0.95;
const TICK_MS = 50;

const number = (fields: LogFields, name: string): number => {
  const value = fields[name];
  return typeof value === 'number' ? value : 0;
};

/** Runs the session once. */
export async function runSession(options: RunOptions): Promise<DemoResult> {
  const demo = new DemoRun(options);
  const unsubscribe = options.environment.events.subscribe((entry) => demo.onLogLine(entry.event, entry.fields));
  try {
    return await demo.run();
  } finally {
    unsubscribe();
  }
}

class DemoRun {
  readonly #options: RunOptions;
  readonly #began = performance.now();
  /** Start of the running checkpoint call. */
  #checkpointStart: number | null = null;
  /** True once a checkpoint call was started. */
  #wasCheckpointStarted = false;
  #turns = 0;
  #turnsDuringCheckpoint = 0;

  constructor(options: RunOptions) {
    this.#options = options;
  }

  async run(): Promise<DemoResult> {
    const { environment, screen, colours } = this.#options;
    screen.line(colours.dim(ruler(environment.config.thresholds)));
    for (const turn of OPENING) await this.#turn(turn);
    this.#expectCheckpointStarted();
    for (const turn of DURING_CHECKPOINT.slice(0, -1)) await this.#turn(turn);
    const checkpoint = await this.#expectCheckpoint();
    for (const turn of DURING_CHECKPOINT.slice(-1)) await this.#turn(turn);
    const last = await this.#turn(BEFORE_COMPACTION);
    expect(phaseOf(last) === 'SWAP_READY', `the conversation should be SWAP_READY, but is ${phaseOf(last)}`);

    const history = [...environment.client.messages];
    const served = await this.#compact(last);
    environment.direct.messages = history;
    const began = performance.now();
    const direct = environment.direct.compact();
    direct.catch(() => undefined); // awaited below, unless a check fails before
    const aside = (): string => `the API alone: ${duration(performance.now() - began)} so far`;
    await this.#continue(aside);
    const slow = await this.#during(direct, () => `${' '.repeat(9)}… ${aside()}`);
    expect(slow.status === 200 && slow.error === null, `the API's own compaction failed: ${slow.error ?? slow.status}`);
    this.#say('…', `the API alone has finished its summary only now, after ${duration(slow.ms)}`);
    expect(served < slow.ms, 'the compaction through the proxy took no less time than without it');
    return {
      served,
      direct: slow.ms,
      used: last.context.used,
      checkpoint,
      turnsDuringCheckpoint: this.#turnsDuringCheckpoint,
    };
  }

  /** Prints background events immediately. */
  onLogLine(event: string, fields: LogFields): void {
    const { colours } = this.#options;
    if (event === 'checkpoint.started') {
      this.#checkpointStart = performance.now();
      this.#wasCheckpointStarted = true;
    }
    if (event === 'checkpoint.failed') {
      this.#say(colours.red('✗'), `the checkpoint call failed: ${String(fields['message'])}`);
    }
    if (event !== 'checkpoint.completed' || this.#checkpointStart === null) return;
    this.#checkpointStart = null;
    const summary = `${count(number(fields, 'output_tokens'))} tokens of summary`;
    const took = duration(number(fields, 'duration_ms'));
    this.#say(colours.cyan('✓'), `the checkpoint is ready: ${summary}, ${took} in the background`);
  }

  /** Runs one turn and prints its line. */
  async #turn(turn: ScriptedTurn, aside?: () => string): Promise<ConversationSnapshot> {
    const { environment, screen, colours, columns, pace, signal } = this.#options;
    const { client } = environment;
    await sleep(READING_MS / pace, undefined, { signal });
    const beside = (): string | undefined => this.#running() ?? aside?.();
    const duringCheckpoint = this.#checkpointStart !== null;
    this.#turns += 1;
    const { before, last } = messagesOf(turn, this.#turns);
    client.messages.push(...before);
    const reply = await this.#during(
      client.say(last),
      () => `${' '.repeat(9)}… ${beside() ?? 'the assistant answers'}`,
    );
    expect(reply.status === 200 && reply.error === null, `a turn failed: ${reply.error ?? `status ${reply.status}`}`);
    const snapshot = await this.#settled(reply);
    if (duringCheckpoint && this.#checkpointStart !== null) this.#turnsDuringCheckpoint += 1;
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
        { thresholds: environment.config.thresholds, columns, colours },
      ),
    );
    return snapshot;
  }

  #expectCheckpointStarted(): void {
    expect(this.#wasCheckpointStarted, 'the checkpoint threshold was passed, but no checkpoint was begun');
    this.#say(
      this.#options.colours.yellow('▸'),
      'a checkpoint begins in the background: the last request, unchanged, and one message more',
    );
  }

  /** Waits for the checkpoint; checks that turns went on and that it was read from the prompt cache. */
  async #expectCheckpoint(): Promise<DemoResult['checkpoint']> {
    const { environment, signal } = this.#options;
    const waiting = environment.events.wait('checkpoint.completed', CHECKPOINT_LIMIT_MS, signal);
    const done = await this.#during(waiting, () => `${' '.repeat(9)}… ${this.#running() ?? ''}`);
    signal.throwIfAborted();
    const failed = environment.events.latest('checkpoint.failed')?.fields['message'];
    expect(done !== null, `the checkpoint did not get ready${failed === undefined ? '' : `: ${String(failed)}`}`);
    expect(this.#turnsDuringCheckpoint > 0, 'no turn was answered while the checkpoint was computed');
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

  /** Compacts; returns the duration in milliseconds. */
  async #compact({ context }: ConversationSnapshot): Promise<number> {
    const { environment, colours } = this.#options;
    this.#say(colours.green('⇄'), `the client compacts ${count(context.used)} tokens`);
    const reply = await this.#during(environment.client.compact(), () => `${' '.repeat(9)}… compacting`);
    const forwarded = environment.events.latest('compaction.forwarded')?.fields['reason'];
    const why = forwarded === undefined ? '' : ` (${String(forwarded)})`;
    expect(reply.status === 200 && reply.error === null, `the compaction failed: ${reply.error ?? reply.status}`);
    expect(
      reply.headers['x-double-buffer-served'] === 'checkpoint',
      `the compaction was not answered from the checkpoint, but went to the API${why}`,
    );
    const forwardedRequests = environment.api.messages.filter(
      (request) => request.headers['x-claude-code-request-class'] === 'compaction',
    );
    expect(forwardedRequests.length === 0, 'the API saw the compaction although it was answered here');
    const took = colours.bold(colours.green(duration(reply.ms)));
    this.#say(colours.green('✓'), `answered from the checkpoint in ${took}; the API saw nothing of it`);
    return reply.ms;
  }

  /** Continues the conversation from the summary. */
  async #continue(aside: () => string): Promise<void> {
    const { environment, screen, colours } = this.#options;
    for (const [index, turn] of AFTER_COMPACTION.entries()) {
      await this.#turn(turn, aside);
      screen.line(`${' '.repeat(9)}${colours.dim(`“${turn.assistant}”`)}`);
      if (index > 0) continue;
      const confirmed = environment.events.latest('history.replaced')?.fields['confirmed'];
      expect(confirmed === true, 'the next request did not go on from the summary that was served');
    }
  }

  /** Awaits `work` and shows a status line. */
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

  /** The conversation's state after the proxy has processed an answer's usage. */
  async #settled(reply: Reply): Promise<ConversationSnapshot> {
    const { conversations } = this.#options.environment.proxy;
    const id = conversationId(String(reply.headers['x-double-buffer-conv-id']));
    const used = usedTokens(reply.usage);
    for (let tries = 0; tries < 200; tries += 1) {
      const snapshot = conversations.actors.snapshot(id);
      if (snapshot?.context.used === used) return snapshot;
      await sleep(5);
    }
    throw new DemoFailure(`the proxy did not process the usage of an answer (${used} tokens in ${id})`);
  }

  /** Status of the running checkpoint call; undefined for none. */
  #running(): string | undefined {
    const began = this.#checkpointStart;
    return began === null ? undefined : `checkpoint ${((performance.now() - began) / 1_000).toFixed(1)} s`;
  }

  #say(mark: string, text: string): void {
    this.#options.screen.line(eventLine(performance.now() - this.#began, mark, text));
  }
}

/** The measurements as text. */
export function resultLines(measured: DemoResult, colours: Colours): string[] {
  const { served, direct, used, checkpoint, turnsDuringCheckpoint } = measured;
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
    `${turnsDuringCheckpoint} turns were answered while it was computed; none of them waited for it.`,
  ];
}

function expect(condition: boolean, message: string): asserts condition {
  if (!condition) throw new DemoFailure(message);
}
