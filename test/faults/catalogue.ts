/** Every fault that the simulated API can play, in all its kinds; figures in them are drawn by the scenario's dice. */
import type { BreakingFault, Fault, ModifyingFault } from '../../src/simulated-api/index.ts';
import type { Chance } from './seed.ts';

/** One kind of fault. */
export interface Entry<Kind extends Fault = Fault> {
  readonly name: string;
  readonly draw: (chance: Chance) => Kind;
  /** A checkpoint call that it strikes brings its summary all the same. */
  readonly harmless: boolean;
}

const status = (
  code: number,
  more: Omit<Extract<Fault, { kind: 'status' }>, 'kind' | 'status'> = {},
): Entry<BreakingFault> => ({
  name: `status ${code}${more.body === undefined ? '' : ' with a page'}${more.retryAfter === undefined ? '' : ', retry-after'}`,
  draw: () => ({ kind: 'status', status: code, ...more }),
  harmless: false,
});

/** Where in a stream: the events of an answer here are about ten. */
const afterEvents = (chance: Chance): number => chance.int(0, 5);

const breaking = (name: string, draw: (chance: Chance) => BreakingFault, harmless = false): Entry<BreakingFault> => ({
  name,
  draw,
  harmless,
});

const HOWS = ['reset', 'cut'] as const;

const PAGE = '<html><body><h1>Bad gateway</h1></body></html>';

const HALF_AN_EVENT = 'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","usage":{"input_';

export const BREAKING: readonly Entry<BreakingFault>[] = [
  ...[400, 401, 402, 403, 404, 409, 413, 429, 500, 504, 529].map((code) => status(code)),
  status(429, { retryAfter: 1, headers: { 'anthropic-ratelimit-requests-remaining': '0' } }),
  status(502, { body: PAGE, headers: { 'content-type': 'text/html' } }),
  breaking('prompt_too_long', (chance) => ({ kind: 'prompt_too_long', tokens: chance.int(200_001, 400_000) })),
  breaking('error_event', (chance) => ({ kind: 'error_event', afterEvents: afterEvents(chance) })),
  breaking('error_event rate_limit_error', (chance) => ({
    kind: 'error_event',
    type: 'rate_limit_error',
    afterEvents: afterEvents(chance),
  })),
  ...HOWS.flatMap((how) => [
    breaking(`disconnect in the upload, ${how}`, () => ({ kind: 'disconnect', at: 'upload', how })),
    breaking(`disconnect before the head, ${how}`, () => ({ kind: 'disconnect', at: 'before_head', how })),
    breaking(`disconnect after the head, ${how}`, () => ({ kind: 'disconnect', at: 'after_head', how })),
    breaking(`disconnect in the stream, ${how}`, (chance) => ({
      kind: 'disconnect',
      at: 'mid_stream',
      how,
      afterEvents: afterEvents(chance),
      partial: chance.once(2),
    })),
  ]),
  breaking('an early end of the stream', (chance) => ({
    kind: 'disconnect',
    at: 'mid_stream',
    how: 'end',
    afterEvents: afterEvents(chance),
    partial: chance.once(2),
  })),
  breaking('silence before the head', () => ({ kind: 'silence', at: 'before_head' })),
  breaking('silence after the head', () => ({ kind: 'silence', at: 'after_head' })),
  breaking('silence in the stream', (chance) => ({
    kind: 'silence',
    at: 'mid_stream',
    afterEvents: afterEvents(chance),
    partial: chance.once(2),
  })),
  breaking('garbage in place of HTTP', () => ({ kind: 'garbage_http' })),
  breaking('binary garbage in place of HTTP', (chance) => ({
    kind: 'garbage_http',
    bytes: Array.from({ length: chance.int(1, 400) }, () => String.fromCharCode(chance.int(0, 255))).join(''),
  })),
  breaking('garbage in the stream', (chance) => ({ kind: 'garbage_sse', afterEvents: afterEvents(chance) }), true),
  breaking('empty_answer', () => ({ kind: 'empty_answer' })),
  breaking('tool_call', () => ({ kind: 'tool_call' })),
  breaking('an answer cut in mid-event', () => ({
    kind: 'answer',
    answer: { raw: { chunks: [HALF_AN_EVENT], ending: 'cut' } },
  })),
  breaking('an answer cut by max_tokens', () => ({
    kind: 'answer',
    answer: { blocks: [{ type: 'text', text: 'Half of what' }], stopReason: 'max_tokens' },
  })),
  breaking('a refusal', () => ({
    kind: 'answer',
    answer: { blocks: [{ type: 'text', text: 'No.' }], stopReason: 'refusal' },
  })),
];

const modifying = (name: string, draw: (chance: Chance) => ModifyingFault): Entry<ModifyingFault> => ({
  name,
  draw,
  harmless: true,
});

export const MODIFYING: readonly Entry<ModifyingFault>[] = [
  modifying('slow', (chance) => ({
    kind: 'slow',
    firstByteMs: chance.int(1, 60),
    tokensPerSecond: chance.int(500, 5_000),
  })),
  modifying('noise', () => ({ kind: 'noise' })),
  modifying('chunking', (chance) => ({ kind: 'chunking', bytes: chance.int(1, 60) })),
  modifying('chunking with pauses', (chance) => ({ kind: 'chunking', bytes: chance.int(100, 400), delayMs: 2 })),
  ...(['gzip', 'br', 'deflate'] as const).map((encoding) =>
    modifying(`compression ${encoding}`, () => ({ kind: 'compression', encoding })),
  ),
];

/** A fault and what else strikes at the same time. */
export const ALONE: readonly Entry[] = [...BREAKING, ...MODIFYING];
