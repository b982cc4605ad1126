/**
 * Figures for Prometheus, since this process began. Counted always, for next to nothing; what Node tells of itself and the
 * lag of its event loop are measured from the first scrape on.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { PHASES } from '../../machines/phases.ts';
import type { Phase, TokenCounts } from '../../web/contract.ts';
import type { ConversationFact } from '../facts.ts';

/** What there is now. */
export interface Present {
  readonly phases: Readonly<Record<Phase, number>>;
  readonly checkpointsHeld: number;
  readonly callsRunning: number;
  readonly pages: number;
}

/** Seconds: a checkpoint takes from moments to minutes. */
const DURATIONS = [1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 300];

const TOKEN_KINDS: Readonly<Record<keyof TokenCounts, string>> = {
  input: 'fresh',
  cacheCreation: 'cache_write',
  cacheRead: 'cache_read',
  output: 'output',
};

export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = this.#counter('requests_total', 'Message requests from clients.', []);
  readonly #apiErrors = this.#counter('api_errors_total', 'Answers of the API from 400 on; 0: broken off.', ['status']);
  readonly #checkpoints = this.#counter('checkpoints_total', 'Checkpoint calls by how they ended.', ['result']);
  readonly #tokens = this.#counter('checkpoint_tokens_total', 'Tokens of checkpoint calls by kind.', ['kind']);
  readonly #compactions = this.#counter('compactions_total', 'Compactions by what became of them.', [
    'outcome',
    'reason',
  ]);
  readonly #saved = this.#counter('time_saved_seconds_total', 'Time that nobody waited for a summary.', []);
  readonly #duration = new Histogram({
    name: 'dbproxy_checkpoint_duration_seconds',
    help: 'How long checkpoint calls took that brought a summary.',
    buckets: DURATIONS,
    registers: [this.#registry],
  });
  #measuring = false;

  /** @param present asked at each scrape */
  constructor(present: () => Present, version: string) {
    const gauge = (name: string, help: string, read: (now: Present) => number): void => {
      const registers = [this.#registry];
      const collected: Gauge = new Gauge({
        name: `dbproxy_${name}`,
        help,
        registers,
        collect: () => collected.set(read(present())),
      });
    };
    const phases = new Gauge({
      name: 'dbproxy_conversations',
      help: 'Conversations that are tracked, by phase.',
      labelNames: ['phase'],
      registers: [this.#registry],
      collect: () => {
        const now = present();
        for (const phase of PHASES) phases.set({ phase }, now.phases[phase]);
      },
    });
    gauge('checkpoints_held', 'Checkpoints that can be served.', (now) => now.checkpointsHeld);
    gauge('checkpoint_calls_running', 'Checkpoint calls under way.', (now) => now.callsRunning);
    gauge('pages_open', 'Dashboard pages that are open.', (now) => now.pages);
    new Gauge({
      name: 'dbproxy_info',
      help: 'The version that runs.',
      labelNames: ['version'],
      registers: [this.#registry],
    }).set({ version }, 1);
    // So that rates begin at nothing, not at the first event.
    for (const result of ['made', 'failed']) this.#checkpoints.inc({ result }, 0);
    this.#compactions.inc({ outcome: 'served', reason: '' }, 0);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The text format of Prometheus. */
  async text(): Promise<string> {
    if (!this.#measuring) collectDefaultMetrics({ register: this.#registry, prefix: 'dbproxy_' });
    this.#measuring = true;
    return await this.#registry.metrics();
  }

  onFact(fact: ConversationFact): void {
    switch (fact.type) {
      case 'request.received':
        this.#requests.inc();
        return;
      case 'api.answered':
        if (fact.status >= 400) this.#apiErrors.inc({ status: String(fact.status) });
        return;
      case 'api.failed':
        this.#apiErrors.inc({ status: '0' });
        return;
      case 'checkpoint.completed': {
        const { duration, usage } = fact.checkpoint;
        this.#checkpoints.inc({ result: 'made' });
        this.#duration.observe(duration / 1_000);
        for (const kind of Object.keys(TOKEN_KINDS) as (keyof TokenCounts)[]) {
          this.#tokens.inc({ kind: TOKEN_KINDS[kind] }, usage[kind]);
        }
        return;
      }
      case 'checkpoint.failed':
        this.#checkpoints.inc({ result: 'failed' });
        return;
      case 'compaction.served':
        this.#compactions.inc({ outcome: 'served', reason: '' });
        this.#saved.inc(fact.saved / 1_000);
        return;
      case 'compaction.forwarded':
        this.#compactions.inc({ outcome: 'forwarded', reason: fact.reason });
        return;
      case 'conversation.opened':
      case 'conversation.restored':
      case 'conversation.changed':
      case 'conversation.closed':
      case 'conversation.failed':
      case 'conversation.reset':
      case 'phase.changed':
      case 'usage.estimated':
      case 'history.read_failed':
      case 'history.received':
      case 'history.replaced':
      case 'checkpoint.started':
      case 'checkpoint.aborted':
      case 'checkpoint.skipped':
      case 'checkpoint.not_buffered':
      case 'checkpoint.postponed':
      case 'checkpoint.deleted':
      case 'compaction.resolved':
      case 'compaction.measured':
      case 'compaction.loop':
      case 'compaction.loop_ended':
        return;
    }
  }

  #counter<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> {
    return new Counter({ name: `dbproxy_${name}`, help, labelNames, registers: [this.#registry] });
  }
}
