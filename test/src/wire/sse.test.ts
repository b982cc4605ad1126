import { expect } from 'chai';
import fc from 'fast-check';
import { SseReader, type ServerSentEvent } from '../../../src/wire/sse.ts';
import { anyCharacter } from '../../support/histories.ts';

const SEED = { seed: 20260731 };

/** The events in `chunks` that are wanted, in order. */
function readWanted(wanted: (event: string) => boolean, chunks: readonly (string | Uint8Array)[]): ServerSentEvent[] {
  const events: ServerSentEvent[] = [];
  const reader = new SseReader((event) => events.push(event), wanted);
  for (const chunk of chunks) reader.push(Buffer.from(chunk as string));
  return events;
}

/** The events in `chunks`, in order. */
const read = (...chunks: readonly (string | Uint8Array)[]): ServerSentEvent[] => readWanted(() => true, chunks);

/** A stream cut into pieces at the given places. */
const cutAt = (stream: Buffer, places: readonly number[]): Buffer[] => {
  const at = [...new Set(places.map((place) => place % (stream.length + 1)))].sort((a, b) => a - b);
  return [...at, stream.length].map((end, index) => stream.subarray(at[index - 1] ?? 0, end));
};

const line = fc.string({ unit: anyCharacter, maxLength: 8 }).map((value) => value.replace(/[\r\n]/g, '~'));
const newline = fc.constantFrom('\n', '\r\n', '\r');

interface Written {
  readonly event: string | null;
  readonly data: readonly string[];
  readonly noise: readonly string[];
  readonly space: boolean;
}

const written: fc.Arbitrary<Written> = fc.record({
  event: fc.option(line.filter((name) => name !== '')),
  data: fc.array(line, { minLength: 1, maxLength: 3 }),
  noise: fc.array(
    fc.oneof(
      line.map((comment) => `:${comment}`),
      fc.constantFrom('id: 7', 'retry: 10', 'unknown: x', 'data2: y', 'dat', 'eventual: z', 'events', '\u{1f642}'),
    ),
    { maxLength: 2 },
  ),
  space: fc.boolean(),
});

function writeEvent({ event, data, noise, space }: Written, end: string): string {
  const gap = space ? ': ' : ':';
  // Without the gap a value must not begin with a space, which would be taken for it.
  const value = (given: string): string => (space ? given : given.replace(/^ /, '~'));
  const fields = [
    ...noise,
    ...(event === null ? [] : [`event${gap}${value(event)}`]),
    ...data.map((part) => (part === '' && !space ? 'data' : `data${gap}${value(part)}`)),
  ];
  return fields.map((field) => field + end).join('') + end;
}

const expected = ({ event, data, space }: Written): ServerSentEvent => {
  const value = (given: string): string => (space ? given : given.replace(/^ /, '~'));
  return { event: event === null ? 'message' : value(event), data: data.map(value).join('\n') };
};

describe('server-sent events', () => {
  it('are the same however the stream is written and cut', () => {
    fc.assert(
      fc.property(
        fc.array(written, { maxLength: 4 }),
        newline,
        fc.boolean(),
        fc.array(fc.nat()),
        (events, end, bom, cuts) => {
          const stream = Buffer.from((bom ? '\uFEFF' : '') + events.map((event) => writeEvent(event, end)).join(''));
          expect(read(...cutAt(stream, cuts))).to.deep.equal(events.map(expected));
        },
      ),
      { ...SEED, numRuns: 500 },
    );
  });

  it('are the same byte by byte, with any mixture of line ends', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(written, newline), { maxLength: 3 }), (events) => {
        // A lone CR before an LF would be read as one line end: that is what the standard says.
        const stream = Buffer.from(events.map(([event, end]) => writeEvent(event, end)).join(''));
        const whole = read(stream);
        expect(read(...Array.from(stream, (byte) => Uint8Array.of(byte)))).to.deep.equal(whole);
        expect(whole).to.deep.equal(events.map(([event]) => expected(event)));
      }),
      { ...SEED, numRuns: 200 },
    );
  });

  it('never throw, and do not depend on the cutting, for any bytes', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .array(fc.constantFrom('data', 'event', ':', ' ', '\n', '\r', '\uFEFF', 'x', '{', '\u{1f642}', '\0'), {
          maxLength: 80,
        })
        .map((parts) => Uint8Array.from(Buffer.from(parts.join('')))),
    );
    fc.assert(
      fc.property(bytes, fc.array(fc.nat()), (given, cuts) => {
        const stream = Buffer.from(given);
        expect(read(...cutAt(stream, cuts))).to.deep.equal(read(stream));
      }),
      { ...SEED, numRuns: 500 },
    );
  });

  it('are all those that are wanted, whatever is between them', () => {
    const names = ['ping', 'content_block_delta', 'content_block_stop', 'message_delta', 'x'];
    const named = fc
      .tuple(written, fc.option(fc.constantFrom(...names)))
      .map(([event, name]): Written => ({ ...event, event: name }));
    const wanted = (name: string): boolean => !name.startsWith('content') && name !== 'ping';
    fc.assert(
      fc.property(fc.array(named, { maxLength: 12 }), newline, fc.array(fc.nat()), (events, end, cuts) => {
        const stream = Buffer.from(events.map((event) => writeEvent(event, end)).join(''));
        const heard = readWanted(wanted, cutAt(stream, cuts));
        expect(heard).to.deep.equal(events.map(expected).filter(({ event }) => wanted(event)));
      }),
      { ...SEED, numRuns: 500 },
    );
  });

  it('take one space after the colon, and no more', () => {
    expect(read('data:  a\n\n')).to.deep.equal([{ event: 'message', data: ' a' }]);
  });

  it('are none without data', () => {
    expect(read('event: ping\n\n', ': comment\n\n', '\n\n', 'data: a\n\n')).to.deep.equal([
      { event: 'message', data: 'a' },
    ]);
  });

  it('forget the name of an event without data', () => {
    expect(read('event: lost\n\ndata: a\n\n')).to.deep.equal([{ event: 'message', data: 'a' }]);
  });

  it('are one even if the data is empty', () => {
    expect(read('event: ping\ndata\n\n', 'data:\ndata:\n\n')).to.deep.equal([
      { event: 'ping', data: '' },
      { event: 'message', data: '\n' },
    ]);
  });

  it('do not end with the stream', () => {
    expect(read('data: a\n')).to.deep.equal([]);
  });

  it('take the last of several names', () => {
    expect(read('event: a\nevent: b\ndata: c\n\n')).to.deep.equal([{ event: 'b', data: 'c' }]);
  });

  it('know a byte order mark at the beginning only', () => {
    expect(read('\uFEFFdata: a\n\n\uFEFFdata: b\n\n')).to.deep.equal([{ event: 'message', data: 'a' }]);
  });

  for (const [where, pieces] of [
    ['in one chunk', (huge: string) => [`event: big\ndata: ${huge}\n\nevent: next\ndata: a\n\n`]],
    [
      'in many',
      (huge: string) => [
        'event: big\nda',
        'ta: ',
        ...cutAt(Buffer.from(huge), [1, 5_000_000, 8_388_600]),
        '\n',
        '\nevent: next\ndata: a\n\n',
      ],
    ],
    [
      'in the middle of an event',
      (huge: string) => [`data: ${huge.slice(9)}`, `${huge.slice(0, 99)}\n\n`, 'event: next\ndata: a\n\n'],
    ],
  ] as const) {
    it(`pass over a line that is too long ${where}, and go on with the next event`, () => {
      const huge = 'x'.repeat(8 * 1024 * 1024 + 1);
      expect(read(...pieces(huge)).at(-1)).to.deep.equal({ event: 'next', data: 'a' });
      expect(Math.max(...read(...pieces(huge)).map((event) => event.data.length))).to.equal(1);
    });
  }

  it('pass over data beyond the limit in many lines', () => {
    const lines = `data: ${'x'.repeat(1024 * 1024)}\n`;
    const events = read(...Array.from({ length: 12 }, () => lines), '\ndata: a\n\n');
    expect(events.at(-1)).to.deep.equal({ event: 'message', data: 'a' });
    expect(Math.max(...events.map((event) => event.data.length))).to.be.at.most(8 * 1024 * 1024 + 12);
  });

  it('are read in time that grows with the bytes, whatever ends the lines', () => {
    const began = performance.now();
    for (const end of ['\r', '\n', '\r\n']) read(end.repeat(200_000));
    expect(performance.now() - began).to.be.below(5_000);
  });

  it('keep no chunk that has gone by', () => {
    const chunk = Buffer.from('data: a');
    const events: ServerSentEvent[] = [];
    const reader = new SseReader((event) => events.push(event));
    reader.push(chunk);
    chunk.fill(0x7a);
    reader.push(Buffer.from('\n\n'));
    expect(events).to.deep.equal([{ event: 'message', data: 'a' }]);
  });
});
