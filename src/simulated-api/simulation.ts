/** The state of a simulated API: settings, script, recorded requests, faults and cache. */
import { asksForSummary, type Responder } from './scripted-answers.ts';
import { type Speed } from './behaviour.ts';
import { FaultQueue } from './faults.ts';
import { DEFAULT_MODELS, type SimulatedModel } from './models.ts';
import { CHARS_PER_TOKEN } from './prompt-blocks.ts';
import { PromptCache } from './prompt-cache.ts';
import { Recorder, type Recording } from './recorder.ts';
import { type MessagesRequest } from './wire-types.ts';

/** The settings of a simulation. All have defaults; the plain call answers at once and records everything. */
export interface SimulationOptions {
  readonly speed?: Speed | undefined;
  readonly script?: Responder | undefined;
  /** The clock of records and cache entries, in milliseconds. Pauses are always real. */
  readonly now?: (() => number) | undefined;
  readonly record?: Recording | undefined;
  readonly models?: readonly SimulatedModel[] | undefined;
  /** Which requests get a summary. */
  readonly isSummaryRequest?: ((request: MessagesRequest) => boolean) | undefined;
  /** Length of the default summary. */
  readonly summaryTokens?: number | undefined;
  /** Size of a token: smaller means that small bodies count as large prompts. */
  readonly charsPerToken?: number | undefined;
  /** Prompts shorter than this are not cached. */
  readonly minCacheTokens?: number | undefined;
  readonly maxBodyBytes?: number | undefined;
  /** For benchmarks: bodies are neither parsed, checked nor counted; each answer is the same 105 deltas, no script is asked. */
  readonly lean?: boolean | undefined;
}

/** The state that all routes share. */
export interface Simulation {
  speed: Speed;
  script: Responder | undefined;
  readonly now: () => number;
  readonly models: readonly SimulatedModel[];
  readonly isSummaryRequest: (request: MessagesRequest) => boolean;
  readonly summaryTokens: number;
  readonly charsPerToken: number;
  readonly maxBodyBytes: number;
  readonly lean: boolean;
  readonly faults: FaultQueue;
  readonly cache: PromptCache;
  readonly recorder: Recorder;
}

/** The documented limit of a request body. */
const MAX_BODY_BYTES = 32 * 1024 * 1024;

/** Creates a simulation without requests. */
export function createSimulation(options: SimulationOptions = {}): Simulation {
  const now = options.now ?? Date.now;
  return {
    speed: options.speed ?? {},
    script: options.script,
    now,
    models: options.models ?? DEFAULT_MODELS,
    isSummaryRequest: options.isSummaryRequest ?? asksForSummary,
    summaryTokens: options.summaryTokens ?? 600,
    charsPerToken: options.charsPerToken ?? CHARS_PER_TOKEN,
    maxBodyBytes: options.maxBodyBytes ?? MAX_BODY_BYTES,
    lean: options.lean ?? false,
    faults: new FaultQueue(),
    cache: new PromptCache(now, options.minCacheTokens),
    recorder: new Recorder(options.record ?? 'all'),
  };
}
