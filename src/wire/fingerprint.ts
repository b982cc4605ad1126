/**
 * What makes a block of a history this block and no other, whatever the client does to it between two requests.
 *
 * Equal by design (wire.md, How a history moves; observed on 1.0.128 to 2.1.330): `cache_control` marks; one text block
 * and the plain string; system reminders; white space around a text; the order of object keys; whether two messages of
 * one role in a row are joined into one. Compared only where both sides still have it: contents of tool results (the
 * client clears old ones) and thinking (dropped when the model changes). Everything else counts.
 */
import { hash } from 'node:crypto';
import { isObject } from './json.ts';
import { textOf, type Block } from './message-request.ts';
import { withoutReminders } from './reminders.ts';

/** A detail that is absent here: compatible with any. */
export const UNKNOWN_DETAIL = Buffer.alloc(8);

/**
 * What stands where the client has cleared a tool result (1.0.128, 2.0.76, 2.1.330), moved it to a file, or taken its
 * picture out for a compaction (2.1.63).
 */
const CLEARED = /^(\[Old tool result content cleared\]$|<persisted-output>|\[(image|document)\]$)/;

/** A form of a JSON value that is equal exactly for equal values, whatever the order of keys. Lengths, so no escaping. */
function canonical(value: unknown, out: string[]): void {
  if (typeof value === 'string') {
    // Halves of characters are all the same in UTF-8, which is what is hashed; escaped they are not.
    if (value.isWellFormed()) out.push('"', String(value.length), ':', value);
    else out.push('u', JSON.stringify(value));
  } else if (Array.isArray(value)) {
    out.push('[');
    for (const item of value) canonical(item, out);
    out.push(']');
  } else if (isObject(value)) {
    out.push('{');
    for (const key of Object.keys(value).sort()) {
      canonical(key, out);
      canonical(value[key], out);
    }
    out.push('}');
  } else out.push(String(value), ';');
}

const canonicalText = (...values: readonly unknown[]): string => {
  const out: string[] = [];
  for (const value of values) canonical(value, out);
  return out.join('');
};

const digest8 = (text: string): Buffer => hash('sha256', text, 'buffer').subarray(0, 8);

function withoutMark(block: Block): Block {
  if (!('cache_control' in block)) return block;
  const unmarked: Record<string, unknown> & { type: string } = { ...block };
  delete unmarked['cache_control'];
  return unmarked;
}

/**
 * A block as it counts: without mark, reminders, and white space around its text (a block appended behind a text makes
 * the client end that text with a newline, observed on 2.1.200 to 2.1.330); null when nothing is left of a text.
 */
function plainBlock(block: Block): Block | null {
  const unmarked = withoutMark(block);
  const text = textOf(unmarked);
  if (text === undefined) return unmarked;
  const plain = withoutReminders(text);
  if (plain === '') return null;
  return plain === text ? unmarked : { ...unmarked, text: plain };
}

const isThinking = (block: Block): boolean => block.type === 'thinking' || block.type === 'redacted_thinking';

/** The content of a tool result and whether it is an error, or {@link UNKNOWN_DETAIL} once the client has cleared it. */
function toolResultDetail(block: Block): Buffer {
  const content = block['content'];
  const items: readonly unknown[] =
    typeof content === 'string' ? [{ type: 'text', text: content }] : Array.isArray(content) ? content : [];
  const plain = items.flatMap((item) =>
    isObject(item) && typeof item['type'] === 'string' ? (plainBlock({ ...item, type: item['type'] }) ?? []) : [],
  );
  const only = plain[0];
  if (plain.length === 1 && only !== undefined && CLEARED.test(textOf(only) ?? '')) return UNKNOWN_DETAIL;
  return digest8(canonicalText(plain, block['is_error'] === true));
}

/** The fingerprint of one block that counts. */
export interface Fingerprint {
  /** What must be the same: a canonical form of role and block. */
  readonly skeleton: string;
  /** What must be the same unless absent: 8 bytes, or {@link UNKNOWN_DETAIL}. Null for blocks that have no such part. */
  readonly detail: Buffer | null;
  /** Position of the block in its message. */
  readonly block: number;
}

/**
 * The fingerprints of one message's blocks, those that do not count left out: reminders, and thinking, which is the
 * detail of the assistant's block that follows it (of the last one where none follows).
 */
export function fingerprints(role: string, blocks: readonly Block[]): Fingerprint[] {
  const prints: Fingerprint[] = [];
  let thinking = '';
  let before = '';
  blocks.forEach((block, index) => {
    if (isThinking(block)) {
      thinking += canonicalText(withoutMark(block));
      return;
    }
    if (block.type === 'tool_result') {
      const skeleton = canonicalText(role, 'tool_result', block['tool_use_id'] ?? null);
      prints.push({ skeleton, detail: toolResultDetail(block), block: index });
      return;
    }
    const plain = plainBlock(block);
    if (plain === null) return;
    const detail = role === 'assistant' ? (thinking === '' ? UNKNOWN_DETAIL : digest8(thinking)) : null;
    prints.push({ skeleton: canonicalText(role, plain), detail, block: index });
    before = thinking;
    thinking = '';
  });
  // An answer that was cut off while it thought: what no block follows belongs to the last one.
  const last = prints.at(-1);
  if (thinking !== '' && last !== undefined && role === 'assistant') {
    prints[prints.length - 1] = { ...last, detail: digest8(canonicalText(before, thinking)) };
  }
  return prints;
}
