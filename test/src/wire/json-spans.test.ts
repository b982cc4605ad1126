import { expect } from 'chai';
import fc from 'fast-check';
import { parseSpan, readTopLevel, type Span } from '../../../src/wire/json-spans.ts';
import { anyCharacter } from '../../support/histories.ts';

const SEED = { seed: 20260731 };

/** A value as JSON with white space and escapes of every kind between and in its parts. */
type Written = string;

const space = fc.constantFrom('', '', '', ' ', '\n', '\t', '\r\n  ');

/** A string as JSON, with some of its characters escaped that need not be. */
const writtenString: fc.Arbitrary<Written> = fc
  .array(
    fc.oneof(
      fc.string({ unit: anyCharacter, maxLength: 4 }).map((part) => JSON.stringify(part).slice(1, -1)),
      fc.constantFrom(
        '\\"',
        '\\\\',
        '\\\\\\"',
        '\\/',
        '\\u0022',
        '\\u005c',
        '\\ud83d\\ude42',
        '\\n',
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
      ),
    ),
    { maxLength: 4 },
  )
  .map((parts) => `"${parts.join('')}"`);

const { value: written } = fc.letrec<{ value: Written; array: Written; object: Written }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom('null', 'true', 'false', '0', '-1.5e+3', '12', '""', '[]', '{}', '[ ]', '{\n}'),
    writtenString,
    tie('array'),
    tie('object'),
  ),
  array: fc
    .tuple(fc.array(tie('value'), { maxLength: 3 }), space)
    .map(([values, gap]) => `[${gap}${values.join(`${gap},${gap}`)}${gap}]`),
  object: fc
    .tuple(fc.array(fc.tuple(writtenString, tie('value')), { maxLength: 3 }), space)
    .map(
      ([fields, gap]) =>
        `{${gap}${fields.map(([key, value]) => `${key}${gap}:${gap}${value}`).join(`${gap},${gap}`)}${gap}}`,
    ),
}));

const key = fc.oneof(
  fc.constantFrom('"messages"', '"stream"', '"\\u0073tream"', '"__proto__"', '"constructor"', '""'),
  writtenString,
);

const fields = fc.array(fc.tuple(key, written), { maxLength: 5 });

/** An object as JSON. */
const object = fc
  .tuple(fields, space, space)
  .map(
    ([given, gap, around]) =>
      `${around}{${gap}${given.map(([name, value]) => `${name}${gap}:${gap}${value}`).join(`${gap},${gap}`)}${gap}}${around}`,
  );

const topLevelSpans = (bytes: Buffer): ReadonlyMap<string, Span> | null =>
  readTopLevel(bytes, 'messages')?.spans ?? null;

const ownEntries = (json: unknown): [string, unknown][] => Object.entries(json as object);

describe('spans of JSON', () => {
  it('cut out exactly what JSON.parse sees', () => {
    fc.assert(
      fc.property(object, (json) => {
        const bytes = Buffer.from(json);
        const spans = topLevelSpans(bytes);
        const parsed: unknown = JSON.parse(json);
        expect([...(spans?.keys() ?? [])].sort()).to.deep.equal(
          ownEntries(parsed)
            .map(([name]) => name)
            .sort(),
        );
        for (const [name, value] of ownEntries(parsed)) {
          const span = spans?.get(name);
          expect(parseSpan(bytes, span)).to.deep.equal(value);
          const cut = bytes.toString('utf8', span?.start, span?.end);
          expect(cut, 'no white space around it').to.equal(cut.trim());
        }
      }),
      { ...SEED, numRuns: 500 },
    );
  });

  it('cut an array into its elements', () => {
    fc.assert(
      fc.property(fc.array(written, { maxLength: 4 }), space, space, (values, gap, around) => {
        const before = `{"a":${around}`;
        const array = `[${gap}${values.join(`${gap},${gap}`)}${gap}]`;
        const bytes = Buffer.from(`${before}${array}${around}}`);
        const spans = readTopLevel(bytes, 'a')?.elements;
        expect(spans?.map((span) => bytes.toString('utf8', span.start, span.end))).to.deep.equal(values);
        expect(spans?.map((span) => parseSpan(bytes, span))).to.deep.equal(JSON.parse(array));
      }),
      { ...SEED, numRuns: 300 },
    );
  });

  it('never throw, for any bytes', () => {
    const syntax = fc
      .array(fc.constantFrom('{', '}', '[', ']', ',', ':', '"', '\\', '"a"', '1', 'null', ' ', '\u{1f642}', '\0'), {
        maxLength: 40,
      })
      .map((parts) => Buffer.from(parts.join('')));
    const broken = fc.tuple(object, fc.nat(), fc.nat(255)).map(([json, at, byte]) => {
      const bytes = Buffer.from(json);
      bytes[at % bytes.length] = byte;
      return bytes;
    });
    const random = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.oneof(syntax, broken, random), fc.constantFrom('a', 'messages', ''), (bytes, key) => {
        const within = (span: Span): void => {
          expect(span.start).to.be.at.least(0);
          expect(span.end).to.be.at.least(span.start).and.at.most(bytes.length);
          parseSpan(bytes, span);
        };
        const top = readTopLevel(bytes, key);
        top?.spans.forEach(within);
        top?.elements?.forEach(within);
      }),
      { ...SEED, numRuns: 1_000 },
    );
  });

  it('never take cut off JSON for an object', () => {
    fc.assert(
      fc.property(object, fc.nat(), (json, at) => {
        const whole = json.trim();
        const cut = whole.slice(0, at % whole.length);
        expect(topLevelSpans(Buffer.from(cut))).to.equal(null);
      }),
      { ...SEED, numRuns: 300 },
    );
  });

  for (const [what, json] of [
    ['an array', '[]'],
    ['a string', '"{}"'],
    ['nothing', ''],
    ['white space', ' \n '],
    ['a byte order mark', '\uFEFF{}'],
    ['a key that is no string', '{a:1}'],
    ['a key without value', '{"a"}'],
    ['a key with a broken escape', '{"\\x":1}'],
  ] as const) {
    it(`says null for ${what}`, () => expect(topLevelSpans(Buffer.from(json))).to.equal(null));
  }

  it('takes the last of two equal keys, as JSON.parse does', () => {
    const bytes = Buffer.from('{"a":1,"b":2,"\\u0061":3}');
    expect(parseSpan(bytes, topLevelSpans(bytes)?.get('a'))).to.equal(3);
  });

  it('has the elements of the last of two equal keys only', () => {
    const elements = (json: string): number | undefined => readTopLevel(Buffer.from(json), 'a')?.elements?.length;
    expect(elements('{"a":[1,2],"a":[3]}')).to.equal(1);
    expect(elements('{"a":[1,2],"a":"none"}')).to.equal(undefined);
    expect(elements('{"a":{"a":[1]}}')).to.equal(undefined);
  });

  it('says undefined for no span, and for one that holds no JSON', () => {
    expect(parseSpan(Buffer.from('tru'), undefined)).to.equal(undefined);
    expect(parseSpan(Buffer.from('tru'), { start: 0, end: 3 })).to.equal(undefined);
  });

  it('finds its way through megabytes fast', () => {
    const messages = Array.from({ length: 2_000 }, (_, at) => ({ role: 'user', content: `"${at}\\ `.repeat(300) }));
    const bytes = Buffer.from(JSON.stringify({ messages, stream: true }));
    const began = performance.now();
    expect(readTopLevel(bytes, 'messages')?.elements).to.have.length(2_000);
    expect(performance.now() - began).to.be.below(2_500);
  });
});
