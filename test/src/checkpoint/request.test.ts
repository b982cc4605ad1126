import { expect } from 'chai';
import fc from 'fast-check';
import { CHECKPOINT_INSTRUCTION } from '../../../src/checkpoint/instruction.ts';
import { checkpointBody } from '../../../src/checkpoint/request.ts';
import { coveredBlocks, lineageOf, fullPrefix } from '../../../src/wire/lineage.ts';
import type { Message } from '../../../src/wire/message-request.ts';
import { dice, history, requestBody, type Dice } from '../../support/histories.ts';

const SEED = { seed: 20260731 };
const PLENTY = 1_000_000;

type Json = Record<string, unknown>;

const parsed = (body: Buffer | null): Json => JSON.parse(String(body)) as Json;
const body = (fields: Json): Buffer =>
  Buffer.from(
    JSON.stringify({
      model: 'm',
      messages: [{ role: 'user', content: 'hello' }],
      max_tokens: 32_000,
      stream: true,
      ...fields,
    }),
  );
const maxTokens = (fields: Json, room = PLENTY): unknown => parsed(checkpointBody(body(fields), room))['max_tokens'];

/** A field of an object as JSON: all that stands before its value, and the value. */
interface Written {
  readonly key: string;
  readonly lead: string;
  readonly value: string;
}

/** An object as JSON in pieces, with its fields in any order and white space wherever it may stand. */
function written(fields: Json, rolls: Dice): { readonly pieces: readonly Written[]; readonly tail: string } {
  const gap = (): string => rolls.pick(['', '', '', ' ', '\n', '\t ']) ?? '';
  const inner = (value: unknown): string => {
    if (Array.isArray(value)) return `[${gap()}${value.map(inner).join(`${gap()},${gap()}`)}${gap()}]`;
    if (typeof value !== 'object' || value === null) return JSON.stringify(value);
    const parts = Object.entries(value).map(([key, part]) => `${JSON.stringify(key)}${gap()}:${gap()}${inner(part)}`);
    return `{${gap()}${parts.join(`${gap()},${gap()}`)}${gap()}}`;
  };
  const left = Object.entries(fields);
  const pieces: Written[] = [];
  while (left.length > 0) {
    for (const [key, value] of left.splice(rolls.roll(left.length), 1)) {
      const opening = pieces.length === 0 ? `${gap()}{` : `${gap()},`;
      pieces.push({ key, lead: `${opening}${gap()}${JSON.stringify(key)}${gap()}:${gap()}`, value: inner(value) });
    }
  }
  return { pieces, tail: `${gap()}}${gap()}` };
}

const joined = (pieces: readonly Written[], tail: string): string =>
  pieces.map(({ lead, value }) => lead + value).join('') + tail;

const extras: fc.Arbitrary<Json> = fc.record(
  {
    max_tokens: fc.constantFrom<unknown>(32_000, 1, 64_000, 128_000, null, '5'),
    stream: fc.constantFrom<unknown>(true, false, null),
    thinking: fc.constantFrom<unknown>(
      { type: 'enabled', budget_tokens: 31_999 },
      { type: 'adaptive' },
      { type: 'disabled' },
      null,
    ),
    system: fc.constantFrom<unknown>('You are Claude Code.', [{ type: 'text', text: '"messages":[1],"stream":false' }]),
    tools: fc.constantFrom<unknown>([], [{ name: 'x', input_schema: { messages: ['"]'], stream: false } }]),
    metadata: fc.constantFrom<unknown>({ user_id: '{"session_id":"s"}' }),
    'new field': fc.jsonValue({ maxDepth: 2 }),
  },
  { requiredKeys: [] },
);

describe('the body of a checkpoint call', () => {
  it('is the request with one message more, that asks for a stream and for room; every other byte stays in its place', () => {
    fc.assert(
      fc.property(history, extras, dice, (messages, more, rolls) => {
        const { pieces, tail } = written({ model: 'm', messages, ...more }, rolls);
        const streams = pieces.some(({ key }) => key === 'stream');
        const budget = JSON.stringify(more['thinking'] ?? null).includes('31999') ? 33_023 : 20_000;
        const expected = pieces.map((piece) => {
          const asked = more['max_tokens'];
          if (piece.key === 'stream') return { ...piece, value: 'true' };
          if (piece.key === 'max_tokens' && typeof asked === 'number' && asked < budget)
            return { ...piece, value: String(budget) };
          if (piece.key !== 'messages') return piece;
          const appended = `${piece.value.slice(0, -1)},${JSON.stringify({ role: 'user', content: CHECKPOINT_INSTRUCTION })}]`;
          return { ...piece, value: streams ? appended : `${appended},"stream":true` };
        });
        const made = checkpointBody(Buffer.from(joined(pieces, tail)), PLENTY);
        expect(String(made)).to.equal(joined(expected, tail));
        const { messages: sent, ...others } = parsed(made);
        expect(sent).to.deep.equal([
          ...(JSON.parse(JSON.stringify(messages)) as Message[]),
          { role: 'user', content: CHECKPOINT_INSTRUCTION },
        ]);
        expect(others).to.include({ stream: true, model: 'm' });
      }),
      { ...SEED, numRuns: 200 },
    );
  });

  it('begins with the very bytes of the client’s request up to the end of its messages', () => {
    // The client's order of fields: the prompt's parts come first (wire.md, Requests).
    const original = requestBody([{ role: 'user', content: 'größer 🙂' }], { system: 'x', tools: [], stream: true });
    const made = checkpointBody(original, PLENTY);
    const end = original.indexOf('}],"max_tokens"') + 1;
    expect(made?.subarray(0, end).equals(original.subarray(0, end))).to.equal(true);
  });

  it('summarises the history of the request: a checkpoint of it covers just that', () => {
    fc.assert(
      fc.property(history, (messages) => {
        const made = parsed(checkpointBody(requestBody(messages), PLENTY))['messages'] as Message[];
        const lineage = lineageOf(messages);
        expect(coveredBlocks(lineageOf(made), fullPrefix(lineage))).to.equal(lineage.length);
      }),
      { ...SEED, numRuns: 50 },
    );
  });

  it('changes the last of two fields of one name, which is the one that counts', () => {
    const twice =
      '{"messages":[1],"model":"m","messages":[{"role":"user","content":"a"}],"stream":true,"stream":false}';
    const made = parsed(checkpointBody(Buffer.from(twice), PLENTY));
    expect(made['messages']).to.have.length(2);
    expect(made['stream']).to.equal(true);
  });

  describe('leaves max_tokens as it is', () => {
    for (const [what, fields, room] of [
      ['when there is room for a summary', { max_tokens: 32_000 }, PLENTY],
      ['when it is just enough', { max_tokens: 20_000 }, PLENTY],
      ['when it just fits beside the history', { max_tokens: 32_000 }, 33_000],
      [
        'when it is above the thinking budget',
        { max_tokens: 33_100, thinking: { type: 'enabled', budget_tokens: 32_000 } },
        PLENTY,
      ],
      [
        'when the budget of thinking is no number',
        { max_tokens: 20_000, thinking: { budget_tokens: '90000' } },
        PLENTY,
      ],
    ] as const) {
      it(what, () => expect(maxTokens({ ...fields }, room)).to.equal(fields.max_tokens));
    }
  });

  describe('sets max_tokens', () => {
    for (const [what, fields, room, expected] of [
      ['to what a summary needs, when it was less', { max_tokens: 8_192 }, PLENTY, 20_000],
      ['to what a summary needs, however little room is left', { max_tokens: 32_000 }, 5_000, 20_000],
      ['to what a summary needs, when the window is over-full', { max_tokens: 32_000 }, -5_000, 20_000],
      ['to what is left of the window', { max_tokens: 64_000 }, 41_000, 40_000],
      [
        'above the thinking budget, when it is not',
        { max_tokens: 20_000, thinking: { type: 'enabled', budget_tokens: 31_999 } },
        PLENTY,
        33_023,
      ],
      [
        'above the thinking budget, even when the room is less',
        { max_tokens: 64_000, thinking: { type: 'enabled', budget_tokens: 31_999 } },
        25_000,
        33_023,
      ],
    ] as const) {
      it(what, () => expect(maxTokens({ ...fields }, room)).to.equal(expected));
    }
  });

  it('never goes below the thinking budget, nor below room for a summary', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200_000 }),
        fc.integer({ min: -9_999, max: 999_999 }),
        fc.integer({ min: 1_024, max: 128_000 }),
        (asked, room, budget) => {
          const made = Number(
            maxTokens({ max_tokens: asked, thinking: { type: 'enabled', budget_tokens: budget } }, room),
          );
          expect(made).to.be.greaterThan(budget).and.at.least(20_000);
          expect(made).to.be.at.most(Math.max(asked, 20_000, budget + 1_024));
        },
      ),
      { ...SEED, numRuns: 200 },
    );
  });

  for (const [what, given] of [
    ['nothing', ''],
    ['no JSON', 'hello'],
    ['JSON without messages', '{"model":"m"}'],
    ['messages that are no list', '{"messages":"]"}'],
    ['an empty history', '{"messages":[]}'],
    ['an empty history with white space', '{"messages":[ \n ]}'],
    ['JSON that breaks off', '{"messages":[{"role":"user"'],
  ] as const) {
    it(`is null for ${what}`, () => expect(checkpointBody(Buffer.from(given), PLENTY)).to.equal(null));
  }

  it('is made or refused without throwing, whatever the bytes', () => {
    fc.assert(
      fc.property(
        history,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (messages, changes) => {
          const bytes = requestBody(messages, { thinking: { type: 'enabled', budget_tokens: 5_000 } });
          for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
          checkpointBody(bytes, PLENTY);
        },
      ),
      { ...SEED, numRuns: 300 },
    );
  });
});
