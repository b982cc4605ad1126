import { expect } from 'chai';
import fc from 'fast-check';
import { AnswerReader, NO_USAGE, readApiError, usedTokens, type Usage } from '../../../src/wire/answer-reader.ts';
import { SseReader } from '../../../src/wire/sse.ts';

type Event = Readonly<Record<string, unknown>> & { readonly type: string };

/** Reads events as they stand on the wire: name and data. */
function read(events: readonly (Event | string)[], keepText = true): AnswerReader {
  const reader = new AnswerReader({ keepText });
  for (const event of events) {
    if (typeof event === 'string') reader.takeEvent({ event: 'message', data: event });
    else reader.takeEvent({ event: event.type, data: JSON.stringify(event) });
  }
  return reader;
}

const start = (usage: unknown): Event => ({ type: 'message_start', message: { id: 'msg_1', usage } });
const block = (index: number, content: unknown): Event => ({
  type: 'content_block_start',
  index,
  content_block: content,
});
const delta = (index: number, change: unknown): Event => ({ type: 'content_block_delta', index, delta: change });
const textDelta = (index: number, text: string): Event => delta(index, { type: 'text_delta', text });
const finish = (usage: unknown, reason: unknown = 'end_turn'): Event => ({
  type: 'message_delta',
  delta: { stop_reason: reason },
  usage,
});
const stop: Event = { type: 'message_stop' };

const usage = (input: number, creation: number, cached: number, output: number): unknown => ({
  input_tokens: input,
  cache_creation_input_tokens: creation,
  cache_read_input_tokens: cached,
  output_tokens: output,
});

const figures = (given: Usage): number[] => [given.input, given.cacheCreation, given.cacheRead, given.output];

describe('answers', () => {
  it('are read from a stream', () => {
    const reader = read([
      start(usage(10, 200, 3_000, 1)),
      block(0, { type: 'text', text: '' }),
      { type: 'ping' },
      textDelta(0, 'Hel'),
      textDelta(0, 'lo'),
      { type: 'content_block_stop', index: 0 },
      finish({ output_tokens: 40 }),
      stop,
    ]);
    expect(reader).to.include({ text: 'Hello', stopReason: 'end_turn', completed: true, error: null });
    expect(reader.blocks).to.deep.equal(['text']);
    expect(figures(reader.usage)).to.deep.equal([10, 200, 3_000, 40]);
    expect(usedTokens(reader.usage)).to.equal(3_250);
  });

  it('are read from real bytes, however they are cut', () => {
    const events = [
      start(usage(1, 2, 3, 4)),
      block(0, { type: 'text', text: '' }),
      textDelta(0, 'größer 🙂'),
      finish({ output_tokens: 9 }),
      stop,
    ];
    const stream = Buffer.from(
      events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(''),
    );
    fc.assert(
      fc.property(fc.nat(stream.length), fc.nat(stream.length), (one, two) => {
        const reader = new AnswerReader({ keepText: true });
        const sse = new SseReader((event) => reader.takeEvent(event));
        const [first, second] = [Math.min(one, two), Math.max(one, two)];
        for (const piece of [stream.subarray(0, first), stream.subarray(first, second), stream.subarray(second)])
          sse.push(piece);
        expect(reader.text).to.equal('größer 🙂');
        expect(usedTokens(reader.usage)).to.equal(15);
      }),
      { seed: 20260731, numRuns: 100 },
    );
  });

  describe('tell their usage', () => {
    for (const [what, events, expected] of [
      [
        'cumulatively: the last figure counts',
        [start(usage(1, 1, 1, 1)), finish(usage(5, 6, 7, 8)), finish(usage(9, 6, 7, 20))],
        [9, 6, 7, 20],
      ],
      [
        'and keep what a later event leaves out',
        [start(usage(1, 2, 3, 4)), finish({ output_tokens: 50 })],
        [1, 2, 3, 50],
      ],
      [
        'and keep what a later event says null of',
        [start(usage(1, 2, 3, 4)), finish({ input_tokens: null, cache_read_input_tokens: null, output_tokens: 50 })],
        [1, 2, 3, 50],
      ],
      [
        'and keep what a later event says zero of (some gateways)',
        [start(usage(130_000, 0, 0, 1)), finish(usage(0, 0, 0, 20))],
        [130_000, 0, 0, 20],
      ],
      ['without any', [start(undefined), finish(null)], [0, 0, 0, 0]],
      ['without cache figures', [start({ input_tokens: 7, output_tokens: 1 })], [7, 0, 0, 1]],
      [
        'and pass over what is no count',
        [start({ input_tokens: '7', cache_read_input_tokens: -1, cache_creation_input_tokens: {}, output_tokens: 3 })],
        [0, 0, 0, 3],
      ],
      [
        'and pass over usage of another shape',
        [start([1]), { type: 'message_start' }, { type: 'message_start', message: null }, finish('x')],
        [0, 0, 0, 0],
      ],
    ] as const) {
      it(what, () => expect(figures(read(events).usage)).to.deep.equal(expected));
    }
  });

  describe('tell the tokens in the context', () => {
    const iteration = (input: number, type = 'message'): unknown => ({ type, ...Object(usage(input, 0, 0, 20)) });
    const withIterations = (...iterations: unknown[]): unknown => ({ ...Object(usage(146_000, 0, 0, 80)), iterations });
    for (const [what, events, expected] of [
      ['of the whole answer', [start(usage(1, 2, 3, 4))], 10],
      [
        'of the last message iteration, not of their sum',
        [start(usage(35_000, 0, 0, 1)), finish(withIterations(iteration(35_000), iteration(38_000)))],
        38_020,
      ],
      [
        'of the last message iteration, whatever other iterations follow',
        [finish(withIterations(iteration(35_000), iteration(90_000, 'advisor_message'), null))],
        35_020,
      ],
      ['of the whole answer where no iteration is a message', [finish(withIterations(iteration(9, 'other')))], 146_080],
      ['of the whole answer where an iteration has only zeros', [finish(withIterations({ type: 'message' }))], 146_080],
      ['of the whole answer where iterations are of another shape', [finish({ output_tokens: 5, iterations: 'x' })], 5],
    ] as const) {
      it(what, () => expect(usedTokens(read(events).contextUsage)).to.equal(expected));
    }

    it('of a whole JSON answer', () => {
      const reader = new AnswerReader({ keepText: false });
      reader.takeBody(JSON.stringify({ type: 'message', content: [], usage: withIterations(iteration(38_000)) }));
      expect(usedTokens(reader.contextUsage)).to.equal(38_020);
      expect(figures(reader.usage)).to.deep.equal([146_000, 0, 0, 80]);
    });
  });

  it('join their text blocks by blank lines, and leave other blocks out', () => {
    const reader = read([
      block(0, { type: 'thinking', thinking: '' }),
      delta(0, { type: 'thinking_delta', thinking: 'hm' }),
      block(1, { type: 'text', text: 'A' }),
      textDelta(1, '1'),
      block(2, { type: 'tool_use', id: 't', name: 'Bash', input: {} }),
      delta(2, { type: 'input_json_delta', partial_json: '{}' }),
      block(3, { type: 'text', text: '' }),
      textDelta(3, 'B'),
      textDelta(0, 'never: a text delta of a block that is no text'),
      textDelta(9, 'never: of no block'),
    ]);
    expect(reader.text).to.equal('A1\n\nB');
    expect(reader.blocks).to.deep.equal(['thinking', 'text', 'tool_use', 'text']);
  });

  it('keep no text unless they are asked to', () => {
    const reader = read(
      [
        start(usage(1, 0, 0, 1)),
        block(0, { type: 'text', text: 'a' }),
        textDelta(0, 'b'),
        finish({ output_tokens: 2 }),
        stop,
      ],
      false,
    );
    expect(reader.text).to.equal('');
    expect(reader.completed).to.equal(true);
    expect(usedTokens(reader.usage)).to.equal(3);
    const body = new AnswerReader({ keepText: false });
    body.takeBody(JSON.stringify({ type: 'message', content: [{ type: 'text', text: 'a' }] }));
    expect(body.text).to.equal('');
  });

  it('end with an error event', () => {
    const error = { type: 'overloaded_error', message: 'Overloaded' };
    const reader = read([start(usage(1, 0, 0, 1)), { type: 'error', error }]);
    expect(reader.error).to.deep.equal(error);
    expect(reader.completed).to.equal(false);
  });

  it('end with an error event of any shape', () => {
    expect(read([{ type: 'error' }]).error).to.deep.equal({ type: 'api_error', message: '' });
    expect(read([{ type: 'error', error: { type: 1 } }]).error).to.deep.equal({ type: 'api_error', message: '' });
  });

  it('pass over events and blocks that are not known, and data that is no JSON', () => {
    const reader = read([
      { type: 'surprise', usage: usage(9, 9, 9, 9) },
      'no json',
      '[]',
      'null',
      '',
      block(0, null),
      block(0, { type: 5 }),
      delta(0, null),
      { type: 'content_block_delta' },
      { type: 'content_block_start' },
      finish(undefined, null),
      block(1, { type: 'mystery' }),
    ]);
    expect(reader).to.include({ text: '', stopReason: null, completed: false, error: null });
    expect(reader.usage).to.deep.equal(NO_USAGE);
    expect(reader.blocks).to.deep.equal(['mystery']);
  });

  it('are known by their data where the event has no name', () => {
    const reader = read([
      JSON.stringify(block(0, { type: 'text', text: '' })),
      JSON.stringify(textDelta(0, 'x')),
      JSON.stringify(stop),
    ]);
    expect(reader).to.include({ text: 'x', completed: true });
  });

  it('never throw, for any JSON in any event', () => {
    const name = fc.constantFrom(
      'message_start',
      'content_block_start',
      'content_block_delta',
      'message_delta',
      'message_stop',
      'error',
      'x',
    );
    const data = fc.oneof(
      fc.json({ maxDepth: 2 }),
      fc.string(),
      fc
        .tuple(name, fc.jsonValue({ maxDepth: 2 }), fc.jsonValue({ maxDepth: 2 }))
        .map(([type, one, two]) =>
          JSON.stringify({ type, message: one, delta: two, usage: one, content_block: two, error: one, index: two }),
        ),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(name, data), { maxLength: 6 }), fc.boolean(), data, (events, keepText, body) => {
        const reader = new AnswerReader({ keepText });
        for (const [event, given] of events) reader.takeEvent({ event, data: given });
        reader.takeBody(body);
        expect(usedTokens(reader.usage)).to.be.at.least(0);
      }),
      { seed: 20260731, numRuns: 300 },
    );
  });

  describe('that come whole', () => {
    const whole = (json: unknown): AnswerReader => {
      const reader = new AnswerReader({ keepText: true });
      reader.takeBody(typeof json === 'string' ? json : JSON.stringify(json));
      return reader;
    };

    it('are read as those that come in events', () => {
      const content = [
        { type: 'text', text: 'A' },
        { type: 'tool_use', id: 't' },
        { type: 'text', text: 'B' },
      ];
      const reader = whole({ type: 'message', content, stop_reason: 'tool_use', usage: usage(1, 2, 3, 4) });
      expect(reader).to.include({ text: 'A\n\nB', stopReason: 'tool_use', completed: true, error: null });
      expect(reader.blocks).to.deep.equal(['text', 'tool_use', 'text']);
      expect(usedTokens(reader.usage)).to.equal(10);
    });

    it('can be errors', () => {
      const reader = whole({ type: 'error', error: { type: 'not_found_error', message: 'no' }, request_id: 'r' });
      expect(reader.error).to.deep.equal({ type: 'not_found_error', message: 'no' });
      expect(reader.completed).to.equal(false);
    });

    for (const body of ['', 'null', '<html>', '{}', '{"type":"message"', '{"type":"completion"}']) {
      it(`are no answer: ${body === '' ? 'nothing' : body}`, () => {
        expect(whole(body)).to.include({ text: '', completed: false, error: null });
      });
    }

    it('may have no content', () => {
      expect(whole({ type: 'message', content: null })).to.include({ text: '', completed: true });
    });
  });

  it('tell the API error in an error body only', () => {
    expect(readApiError({ error: { type: 'a', message: 'b', more: 1 } })).to.deep.equal({ type: 'a', message: 'b' });
    expect(readApiError({ error: {} })).to.deep.equal({ type: 'api_error', message: '' });
    for (const json of [null, [], 'x', {}, { error: 'x' }, { error: null }]) expect(readApiError(json)).to.equal(null);
  });
});
