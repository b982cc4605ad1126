/**
 * Fingerprints of a history's blocks that stay the same, whatever the client changes between two requests.
 *
 * Ignored (wire.md, How a history moves; observed on 1.0.128 to 2.1.330): `cache_control`; the difference between one
 * text block and a plain string; system reminders; white space around a text; the order of object keys; whether
 * consecutive messages of one role are joined. Compared only where both sides have it: contents of tool results (the
 * client clears old ones) and thinking (removed when the model changes). Everything else must be equal.
 */
import { hash } from 'node:crypto';
import { isObject } from './json.ts';
import { textOf, type Block } from './message-request.ts';
import { withoutReminders } from './reminders.ts';

/** A detail that is not known: it matches any other. */
export const UNKNOWN_DETAIL = Buffer.alloc(8);

/** What the client replaces a tool result (1.0.128, 2.0.76, 2.1.330) or, for a compaction, a picture (2.1.63) with. */
const CLEARED = /^(\[Old tool result content cleared\]$|<persisted-output>|\[(image|document)\]$)/;

/** Appends a form of a JSON value that does not depend on the order of keys. Strings have their length, so no escaping. */
function canonical(value: unknown, out: string[]): void {
  if (typeof value === 'string') {
    // The hash is of UTF-8, in which all lone surrogates are the same; their escapes differ.
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

function withoutCacheControl(block: Block): Block {
  if (!('cache_control' in block)) return block;
  const copy: Record<string, unknown> & { type: string } = { ...block };
  delete copy['cache_control'];
  return copy;
}

/**
 * A block without `cache_control`, reminders, and white space around its text (the client ends a text with a newline when
 * it appends a block, observed on 2.1.200 to 2.1.330); null when the text is empty then.
 */
function normalizedBlock(block: Block): Block | null {
  const copy = withoutCacheControl(block);
  const text = textOf(copy);
  if (text === undefined) return copy;
  const plain = withoutReminders(text);
  if (plain === '') return null;
  return plain === text ? copy : { ...copy, text: plain };
}

const isThinking = (block: Block): boolean => block.type === 'thinking' || block.type === 'redacted_thinking';

/** Digest of a tool result's content and error flag; {@link UNKNOWN_DETAIL} when the client has cleared the result. */
function toolResultDetail(block: Block): Buffer {
  const content = block['content'];
  const items: readonly unknown[] =
    typeof content === 'string' ? [{ type: 'text', text: content }] : Array.isArray(content) ? content : [];
  const plain = items.flatMap((item) =>
    isObject(item) && typeof item['type'] === 'string' ? (normalizedBlock({ ...item, type: item['type'] }) ?? []) : [],
  );
  const only = plain[0];
  if (plain.length === 1 && only !== undefined && CLEARED.test(textOf(only) ?? '')) return UNKNOWN_DETAIL;
  return digest8(canonicalText(plain, block['is_error'] === true));
}

/** The fingerprint of one block. */
export interface Fingerprint {
  /** Canonical form of role and block, which must be equal. */
  readonly requiredPart: string;
  /** 8 bytes that must be equal where both are known, or {@link UNKNOWN_DETAIL}; null for blocks without detail. */
  readonly detail: Buffer | null;
  /** Position of the block in its message. */
  readonly blockIndex: number;
}

/**
 * The fingerprints of one message's blocks. Reminders have none; thinking is the detail of the assistant's block that
 * follows it, or of the last block where none follows.
 */
export function fingerprints(role: string, blocks: readonly Block[]): Fingerprint[] {
  const prints: Fingerprint[] = [];
  let thinking = '';
  let previousThinking = '';
  blocks.forEach((block, index) => {
    if (isThinking(block)) {
      thinking += canonicalText(withoutCacheControl(block));
      return;
    }
    if (block.type === 'tool_result') {
      const requiredPart = canonicalText(role, 'tool_result', block['tool_use_id'] ?? null);
      prints.push({ requiredPart, detail: toolResultDetail(block), blockIndex: index });
      return;
    }
    const plain = normalizedBlock(block);
    if (plain === null) return;
    const detail = role === 'assistant' ? (thinking === '' ? UNKNOWN_DETAIL : digest8(thinking)) : null;
    prints.push({ requiredPart: canonicalText(role, plain), detail, blockIndex: index });
    previousThinking = thinking;
    thinking = '';
  });
  // An answer that broke off during thinking.
  const last = prints.at(-1);
  if (thinking !== '' && last !== undefined && role === 'assistant') {
    prints[prints.length - 1] = { ...last, detail: digest8(canonicalText(previousThinking, thinking)) };
  }
  return prints;
}
