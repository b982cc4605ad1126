/**
 * Histories as Claude Code sends them (wire.md), for property tests: made at random, small, with everything in them that
 * was seen on the wire. Every text holds at least one word, and tool ids are unique, as they are in reality.
 */
import fc from 'fast-check';
import type { Block, Message } from '../../src/wire/message-request.ts';

/** A dice for changes that depend on what is there to be changed: the same seed rolls the same. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to `below` − 1 (mulberry32). */
  roll(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % Math.max(1, below);
  }

  /** True once in `of` rolls. */
  once(of: number): boolean {
    return this.roll(of) === 0;
  }

  pick<T>(values: readonly T[]): T | undefined {
    return values[this.roll(values.length)];
  }
}

export const dice: fc.Arbitrary<Dice> = fc.integer().map((seed) => new Dice(seed));

/**
 * Any character but half of one. (fast-check's own `binary` does the same and takes a second to set up.)
 */
export const anyCharacter: fc.Arbitrary<string> = fc
  .oneof(
    { weight: 3, arbitrary: fc.integer({ min: 0x20, max: 0x7e }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 0x2ff }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xfffff }).map((at) => (at < 0xd800 ? at : at + 0x800)) },
  )
  .map((point) => String.fromCodePoint(point));

const WORDS = [
  ...['fix', 'the', 'parser', 'in', 'src/parser.ts', 'please', 'no', 'do not touch it', 'done', 'x', '1', 'a b'],
  ...['größer', '你好', '🙂🙂', 'e\u0301', '\u2028', '"quoted"', '\\', '\\n', '\t', '{}', '<b>', '</system-reminder>'],
  ...['<summary>', '</summary>', '<analysis>', '</analysis>', '```ts\nconst a = 1;\n\n```', '- item', '__proto__'],
];

/** A text with at least one word in it. */
export const text: fc.Arbitrary<string> = fc
  .array(
    fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...WORDS) }, fc.string({ unit: anyCharacter, maxLength: 6 })),
    {
      maxLength: 6,
    },
  )
  .map((words) => ['word', ...words].join(' ').trim())
  .filter((value) => !value.includes('<system-reminder>'));

const json: fc.Arbitrary<unknown> = fc.jsonValue({ maxDepth: 2 });

/** A system reminder, sometimes with another inside, as old clients send files that hold reminders. */
export const reminder: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom('\nToday is Monday.\n', 'x', '', '\n# Environment\n…\n'),
    fc.boolean(),
    fc.constantFrom('', '\n'),
  )
  .map(([said, nested, end]) => {
    const inner = nested ? `${said}<system-reminder>${said}</system-reminder>"` : said;
    return `<system-reminder>${inner}</system-reminder>${end}`;
  });

const image: fc.Arbitrary<Block> = fc
  .base64String({ minLength: 4, maxLength: 8 })
  .map((data) => ({ type: 'image', source: { type: 'base64', media_type: 'image/png', data } }));

/** Blocks that nothing here knows: they count as they are. */
const unknown: fc.Arbitrary<Block> = fc
  .tuple(fc.constantFrom('container_upload', 'mystery', 'search_result'), json)
  .map(([type, payload]) => ({ type, payload }));

const thinking: fc.Arbitrary<Block> = fc.oneof(
  fc.tuple(text, fc.base64String({ maxLength: 8 })).map(([said, signature]) => ({
    type: 'thinking',
    thinking: said,
    signature,
  })),
  fc.base64String({ minLength: 4, maxLength: 8 }).map((data) => ({ type: 'redacted_thinking', data })),
);

const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(arbitrary, { freq: 3 });

/** A tool's result: text, blocks or nothing at all. */
const result: fc.Arbitrary<Readonly<Record<string, unknown>>> = fc
  .tuple(
    fc.oneof<fc.Arbitrary<string | Block[]>[]>(
      text,
      fc.array(
        fc.oneof(
          text.map((said): Block => ({ type: 'text', text: said })),
          image,
        ),
        { minLength: 1, maxLength: 3 },
      ),
      fc.constant(''),
    ),
    fc.constantFrom(true, false, undefined),
  )
  .map(([content, failed]) => ({ content, ...(failed === undefined ? {} : { is_error: failed }) }));

interface Step {
  readonly thinking: Block | null;
  readonly said: string | null;
  readonly tools: readonly {
    readonly name: string;
    readonly input: unknown;
    readonly result: Readonly<Record<string, unknown>>;
  }[];
  /** Typed while the tools ran. */
  readonly queued: string | null;
}

const step: fc.Arbitrary<Step> = fc.record({
  thinking: maybe(thinking),
  said: maybe(text),
  tools: fc.array(fc.record({ name: fc.constantFrom('Bash', 'Read'), input: json, result }), {
    minLength: 1,
    maxLength: 2,
  }),
  queued: maybe(text),
});

interface Round {
  readonly asked: string;
  readonly extra: readonly Block[];
  /** One text may stand as a plain string. */
  readonly plain: boolean;
  /** A `system` message, as the 5.5 models get them. */
  readonly note: string | null;
  readonly steps: readonly Step[];
  readonly thinking: Block | null;
  readonly answer: string;
}

const round: fc.Arbitrary<Round> = fc.record({
  asked: text,
  extra: fc.array(fc.oneof(image, unknown), { maxLength: 1 }),
  plain: fc.boolean(),
  note: fc.option(text, { freq: 2 }),
  steps: fc.array(step, { maxLength: 2 }),
  thinking: maybe(thinking),
  answer: text,
});

const present = (...blocks: readonly (Block | null)[]): Block[] => blocks.filter((block) => block !== null);
const textBlock = (said: string): Block => ({ type: 'text', text: said });

function messagesOf(rounds: readonly Round[], answered: boolean, salt: string): Message[] {
  const messages: Message[] = [];
  let calls = 0;
  rounds.forEach(({ asked, extra, plain, note, steps, thinking: thought, answer }, index) => {
    const content = [textBlock(asked), ...extra];
    messages.push({ role: 'user', content: plain && content.length === 1 ? asked : content });
    if (note !== null) messages.push({ role: 'system', content: plain ? note : [textBlock(note)] });
    for (const { thinking: considered, said, tools, queued } of steps) {
      const uses = tools.map((tool) => ({ tool, id: `toolu_${salt}${(calls += 1)}` }));
      messages.push({
        role: 'assistant',
        content: [
          ...present(considered, said === null ? null : textBlock(said)),
          ...uses.map(({ tool, id }) => ({ type: 'tool_use', id, name: tool.name, input: tool.input })),
        ],
      });
      messages.push({
        role: 'user',
        content: [
          ...uses.map(({ tool, id }) => ({ type: 'tool_result', tool_use_id: id, ...tool.result })),
          ...present(queued === null ? null : textBlock(queued)),
        ],
      });
    }
    const last = index === rounds.length - 1;
    if (!last || answered) messages.push({ role: 'assistant', content: present(thought, textBlock(answer)) });
  });
  return messages;
}

/** A history of 1 to 3 rounds; it ends with an answer, a question or a tool's result. */
export const history: fc.Arbitrary<Message[]> = fc
  .tuple(fc.array(round, { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([rounds, answered]) => messagesOf(rounds, answered, 'a'));

/** What can follow any {@link history}: its first text was said nowhere before. */
export const continuation: fc.Arbitrary<Message[]> = fc
  .tuple(fc.array(round, { minLength: 1, maxLength: 2 }), fc.boolean())
  .map(([rounds, answered]) =>
    messagesOf(
      rounds.map((given, index) => (index === 0 ? { ...given, asked: `What comes next: ${given.asked}` } : given)),
      answered,
      'b',
    ),
  );

/** The body of a request with this history, as JSON. */
export const requestBody = (messages: readonly Message[], fields: Readonly<Record<string, unknown>> = {}): Buffer =>
  Buffer.from(JSON.stringify({ model: 'claude-sonnet-4-6', messages, max_tokens: 32_000, stream: true, ...fields }));
