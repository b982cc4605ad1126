/**
 * What happens to a history between two requests: variations, which the client makes and which leave it the same
 * history (wire.md, How a history moves), and edits, which make it another one.
 */
import fc from 'fast-check';
import { isObject } from '../../src/wire/json.ts';
import { blocksOf, type Block, type Message } from '../../src/wire/message-request.ts';
import { reminder, text, type Dice } from './histories.ts';

export type Change = (messages: readonly Message[], dice: Dice) => Message[];
/** An edit says null where the history has nothing of the kind. */
export type Edit = (messages: readonly Message[], dice: Dice) => Message[] | null;

const REMINDERS = fc.sample(reminder, { numRuns: 40, seed: 7 });
const TEXTS = fc.sample(text, { numRuns: 40, seed: 8 });

export const isThinking = (block: Block): boolean => block.type === 'thinking' || block.type === 'redacted_thinking';

const withBlocks = (message: Message, change: (block: Block, index: number) => Block | readonly Block[]): Message => ({
  ...message,
  content: blocksOf(message).flatMap(change),
});

const MARK = { type: 'ephemeral', ttl: '1h' };
const withoutMark = (block: Block): Block => ({
  ...Object.fromEntries(Object.entries(block).filter(([key]) => key !== 'cache_control')),
  type: block.type,
});

/** Applies `change` to a block and to the blocks inside a tool's result. */
function deep(block: Block, change: (block: Block) => Block): Block {
  const inner = block['content'];
  if (!Array.isArray(inner)) return change(block);
  const content = inner.map((item: unknown) => (isBlock(item) ? change(item) : item));
  return change({ ...block, content });
}

const isBlock = (value: unknown): value is Block => isObject(value) && typeof value['type'] === 'string';

/** Changes the text of a text block; others stay. */
const onText = (block: Block, change: (text: string) => string): Block =>
  block.type === 'text' && typeof block['text'] === 'string' ? { ...block, text: change(block['text']) } : block;

/** The text of a tool's result where it is a plain string. */
const onPlainResult = (block: Block, change: (text: string) => string): Block =>
  block.type === 'tool_result' && typeof block['content'] === 'string'
    ? { ...block, content: change(block['content']) }
    : block;

function reordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reordered);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reordered(inner)]),
  );
}

/** All that the client does to a history which it keeps. */
export const VARIATIONS = {
  'cache marks move': (messages, dice) =>
    messages.map((message) =>
      withBlocks(message, (block) =>
        deep(block, (inner) => {
          const bare: Block = { ...inner, cache_control: MARK };
          return dice.once(3) ? bare : withoutMark(bare);
        }),
      ),
    ),
  'a string becomes a block, or the other way round': (messages, dice) =>
    messages.map((message) => {
      if (dice.once(2)) return message;
      if (typeof message.content === 'string') return { ...message, content: blocksOf(message) };
      const [only, ...others] = message.content;
      const plain = others.length === 0 && only?.type === 'text' && Object.keys(only).length === 2;
      return plain && typeof only['text'] === 'string' ? { ...message, content: only['text'] } : message;
    }),
  'reminders come': (messages, dice) => {
    const reminderBlock = (): Block => ({ type: 'text', text: dice.pick(REMINDERS) ?? '' });
    const beside = (said: string): string => {
      const reminded = dice.pick(REMINDERS) ?? '';
      return dice.once(2) ? `${reminded}${said}` : `${said}\n${reminded}`;
    };
    return messages.flatMap((message) => {
      if (message.role !== 'user') return [message];
      const changed = withBlocks(message, (block) => {
        const said = dice.once(3)
          ? onPlainResult(
              deep(block, (inner) => onText(inner, beside)),
              beside,
            )
          : block;
        return dice.once(3) ? (dice.once(2) ? [reminderBlock(), said] : [said, reminderBlock()]) : said;
      });
      const alone: Message = { role: 'user', content: dice.once(2) ? [reminderBlock()] : (dice.pick(REMINDERS) ?? '') };
      return dice.once(5) ? [alone, changed] : [changed];
    });
  },
  'white space at the ends of texts': (messages, dice) => {
    const padded = (said: string): string =>
      `${dice.pick(['', ' ', '\n']) ?? ''}${said}${dice.pick(['', '\n', ' \n']) ?? ''}`;
    return messages.map((message) =>
      withBlocks(message, (block) =>
        onPlainResult(
          deep(block, (inner) => onText(inner, padded)),
          padded,
        ),
      ),
    );
  },
  'user messages in a row are joined': (messages) =>
    messages.reduce<Message[]>((joined, message) => {
      const before = joined.at(-1);
      if (before?.role !== 'user' || message.role !== 'user') return [...joined, message];
      return [...joined.slice(0, -1), { ...before, content: [...blocksOf(before), ...blocksOf(message)] }];
    }, []),
  'user messages are split': (messages, dice) =>
    messages.flatMap((message) => {
      const blocks = blocksOf(message);
      if (message.role !== 'user' || blocks.length < 2) return [message];
      const at = 1 + dice.roll(blocks.length - 1);
      return [
        { ...message, content: blocks.slice(0, at) },
        { ...message, content: blocks.slice(at) },
      ];
    }),
  'keys come in another order': (messages) => messages.map((message) => reordered(message) as Message),
  'tool results are cleared': (messages, dice) =>
    messages.map((message) =>
      withBlocks(message, (block) => {
        if (block.type !== 'tool_result' || dice.once(2)) return block;
        const cleared = dice.once(2)
          ? '[Old tool result content cleared]'
          : '<persisted-output>Tool result saved to: /tmp/toolu_1.txt\n\nUse Read to view</persisted-output>';
        return { ...block, content: dice.once(2) ? cleared : [{ type: 'text', text: cleared }] };
      }),
    ),
  'thinking is dropped': (messages, dice) =>
    messages.map((message) =>
      message.role === 'assistant' && !dice.once(3)
        ? { ...message, content: blocksOf(message).filter((block) => !isThinking(block)) }
        : message,
    ),
} satisfies Record<string, Change>;

export type VariationName = keyof typeof VARIATIONS;

/** Several variations at once, in any order; none of those in `except`. */
export function varied(messages: readonly Message[], dice: Dice, except: readonly VariationName[] = []): Message[] {
  const names = (Object.keys(VARIATIONS) as VariationName[]).filter((name) => !except.includes(name));
  let result = [...messages];
  for (let times = dice.roll(5); times > 0; times -= 1) {
    const name = dice.pick(names);
    if (name !== undefined) result = VARIATIONS[name](result, dice);
  }
  return result;
}

interface Place {
  readonly message: number;
  readonly block: number;
}

/** Where the blocks stand for which `wanted` holds. */
const places = (messages: readonly Message[], wanted: (block: Block, role: string) => boolean): Place[] =>
  messages.flatMap((message, at) =>
    blocksOf(message).flatMap((block, index) => (wanted(block, message.role) ? [{ message: at, block: index }] : [])),
  );

/** Changes one of the blocks for which `wanted` holds. */
function editOne(
  messages: readonly Message[],
  dice: Dice,
  wanted: (block: Block, role: string) => boolean,
  change: (block: Block) => Block | readonly Block[],
): Message[] | null {
  const place = dice.pick(places(messages, wanted));
  if (place === undefined) return null;
  return messages.map((message, at) =>
    at === place.message
      ? withBlocks(message, (block, index) => (index === place.block ? change(block) : block))
      : message,
  );
}

/** Replaces, adds or takes away one character that is no white space. */
function otherText(said: string, dice: Dice): string {
  const letters = Array.from(said);
  const at = dice.pick(letters.flatMap((letter, index) => (letter.trim() === '' ? [] : [index])));
  if (at === undefined) return 'new';
  const replaced = letters[at] === 'Z' ? 'Y' : 'Z';
  const kind = dice.roll(3);
  letters.splice(at, kind === 0 ? 0 : 1, ...(kind === 2 ? [] : [replaced]));
  return letters.join('');
}

const otherField = (block: Block, field: string, dice: Dice): Block => {
  const value = block[field];
  return { ...block, [field]: typeof value === 'string' ? otherText(value, dice) : 'new' };
};

const ofType =
  (...types: readonly string[]) =>
  (block: Block): boolean =>
    types.includes(block.type);
const counts = (block: Block): boolean => !isThinking(block);
const fresh = (dice: Dice): Block => ({ type: 'text', text: `Never said before: ${dice.pick(TEXTS) ?? ''}` });

/** Takes the message or the two messages at a place out and puts others there. */
const replaced = (messages: readonly Message[], at: number, take: number, ...put: readonly Message[]): Message[] =>
  messages.toSpliced(at, take, ...put);

const same = (left: unknown, right: unknown): boolean => JSON.stringify(left) === JSON.stringify(right);

/** All that makes a history another one, inside it: what comes behind its end is no edit. */
export const EDITS = {
  'a text': (messages, dice) =>
    editOne(
      messages,
      dice,
      (block, role) => block.type === 'text' && role !== 'system',
      (block) => otherField(block, 'text', dice),
    ),
  'the text of a system message': (messages, dice) =>
    editOne(
      messages,
      dice,
      (_, role) => role === 'system',
      (block) => otherField(block, 'text', dice),
    ),
  'a role': (messages, dice) => {
    const at = dice.roll(messages.length);
    const other = dice.pick(['user', 'assistant', 'system'].filter((role) => role !== messages[at]?.role)) ?? 'user';
    return messages.map((message, index) => (index === at ? { ...message, role: other } : message));
  },
  'the input of a tool call': (messages, dice) =>
    editOne(messages, dice, ofType('tool_use'), (block) => ({ ...block, input: { changed: block['input'] } })),
  'the name of a tool': (messages, dice) =>
    editOne(messages, dice, ofType('tool_use'), (block) => otherField(block, 'name', dice)),
  'the id of a tool call': (messages, dice) =>
    editOne(messages, dice, ofType('tool_use'), (block) => otherField(block, 'id', dice)),
  'the call that a result belongs to': (messages, dice) =>
    editOne(messages, dice, ofType('tool_result'), (block) => otherField(block, 'tool_use_id', dice)),
  'the content of a tool result': (messages, dice) =>
    editOne(messages, dice, ofType('tool_result'), (block) => {
      const content = block['content'];
      if (!Array.isArray(content)) return otherField(block, 'content', dice);
      const items = content.filter(isBlock);
      const at = dice.roll(items.length);
      const kind = dice.roll(3);
      if (kind === 0) return { ...block, content: items.toSpliced(at, 1) };
      if (kind === 1) return { ...block, content: items.toSpliced(at, 0, fresh(dice)) };
      return {
        ...block,
        content: items.map((item, index) =>
          index === at
            ? { ...item, ...(item.type === 'text' ? otherField(item, 'text', dice) : { source: 'new' }) }
            : item,
        ),
      };
    }),
  'whether a tool failed': (messages, dice) =>
    editOne(messages, dice, ofType('tool_result'), (block) => ({ ...block, is_error: block['is_error'] !== true })),
  thinking: (messages, dice) =>
    editOne(messages, dice, isThinking, (block) =>
      otherField(block, block.type === 'thinking' ? (dice.pick(['thinking', 'signature']) ?? '') : 'data', dice),
    ),
  'an image': (messages, dice) =>
    editOne(messages, dice, ofType('image'), (block) => {
      const { source } = block;
      const field = dice.pick(['data', 'media_type']) ?? '';
      return { ...block, source: isObject(source) ? { ...source, [field]: `${String(source[field])}x` } : 'new' };
    }),
  'a block that is not known': (messages, dice) =>
    editOne(messages, dice, ofType('container_upload', 'mystery', 'search_result'), (block) =>
      dice.once(2) ? { ...block, payload: [block['payload']] } : { ...block, more: true },
    ),
  'a block left out': (messages, dice) => editOne(messages, dice, counts, () => []),
  'a message left out': (messages, dice) => replaced(messages, dice.roll(messages.length), 1),
  'a block put in': (messages, dice) => editOne(messages, dice, counts, (block) => [fresh(dice), block]),
  'a message put in': (messages, dice) =>
    replaced(messages, dice.roll(messages.length), 0, {
      role: dice.pick(['user', 'assistant', 'system']) ?? 'user',
      content: [fresh(dice)],
    }),
  'two blocks swapped': (messages, dice) => {
    const first = dice.pick(
      messages.flatMap((message, at) => {
        const blocks = blocksOf(message);
        return blocks.flatMap((block, index) => {
          const next = blocks[index + 1];
          const swappable = next !== undefined && counts(block) && counts(next) && !same(block, next);
          return swappable ? [{ at, index }] : [];
        });
      }),
    );
    if (first === undefined) return null;
    return messages.map((message, at) => {
      if (at !== first.at) return message;
      const blocks = blocksOf(message);
      return {
        ...message,
        content: blocks.toSpliced(first.index, 2, ...blocks.slice(first.index, first.index + 2).reverse()),
      };
    });
  },
  'two messages swapped': (messages, dice) => {
    const at = dice.roll(messages.length - 1);
    const [first, second] = messages.slice(at, at + 2);
    if (first === undefined || second === undefined) return null;
    if (first.role === second.role && same(blocksOf(first), blocksOf(second))) return null;
    return replaced(messages, at, 2, second, first);
  },
} satisfies Record<string, Edit>;

export type EditName = keyof typeof EDITS;
