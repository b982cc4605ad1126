/**
 * The lineage of a request's history: a hash chain over its blocks, which tells whether one history is a prefix of another.
 *
 * `link[i] = H(link[i-1], role and block i)`: equal links mean equal prefixes. The chain is over blocks instead of
 * messages, because the client joins consecutive messages of one role and appends the compaction's instruction to the
 * last one (observed on 2.0.76 to 2.1.280). Details (tool results, thinking) are compared where both sides have them.
 * No content is kept.
 */
import { hash } from 'node:crypto';
import { UNKNOWN_DETAIL, fingerprints } from './fingerprint.ts';
import { blocksOf, historyFrom, type History, type Message } from './message-request.ts';

const LINK_BYTES = 16;
const DETAIL_BYTES = UNKNOWN_DETAIL.length;

/** The chain over one request. `length` and all positions count blocks that have a fingerprint (`fingerprint.ts`). */
export interface Lineage {
  readonly length: number;
  /** 16 bytes for each block. */
  readonly links: Buffer;
  /**
   * The links of the history without `system` messages, whose blocks repeat the previous link. Reminders are blocks of
   * user messages with 4.6 models and `system` messages with 5.5 models; a change of the model converts the whole history
   * (2.1.330).
   */
  readonly linksWithoutSystem: Buffer;
  /** 8 bytes for each detail, in order. */
  readonly details: Buffer;
  /** For each block, the number of details up to and including it. */
  readonly detailCounts: Uint32Array;
  /** For each block, the index of its message, and its index in that message. */
  readonly messageIndexes: Uint32Array;
  readonly blockIndexes: Uint32Array;
}

/** A prefix of a history, by which a checkpoint is found. */
export interface Prefix {
  /** Link of the last block, as a map key. */
  readonly key: string;
  /** The key without `system` messages. */
  readonly keyWithoutSystem: string;
  /** Number of messages when the prefix was taken. */
  readonly messages: number;
  /** Details of all blocks, 8 bytes each. */
  readonly details: Buffer;
}

const linkOf = (previous: string, requiredPart: string): Buffer =>
  hash('sha256', previous + requiredPart, 'buffer').subarray(0, LINK_BYTES);

/** A copy in its own memory: a small `Buffer.from` is a view that keeps a slab of 8 KB in memory. */
export function copyBytes(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}

/** The chain over the first messages of a history, which {@link lineageSteps} can continue. */
export interface LineagePrefix {
  readonly messages: number;
  readonly lineage: Lineage;
}

/** A copy of the chain over the first messages of a history. */
export function lineagePrefixOf(lineage: Lineage, messages: number): LineagePrefix {
  let count = lineage.length;
  while (count > 0 && (lineage.messageIndexes[count - 1] ?? 0) >= messages) count -= 1;
  const links = copyBytes(lineage.links.subarray(0, count * LINK_BYTES));
  const linksWithoutSystem = lineage.linksWithoutSystem.subarray(0, count * LINK_BYTES);
  return {
    messages,
    lineage: {
      length: count,
      links,
      linksWithoutSystem: linksWithoutSystem.equals(links) ? links : copyBytes(linksWithoutSystem),
      details: copyBytes(lineage.details.subarray(0, detailsEnd(lineage, count))),
      detailCounts: lineage.detailCounts.slice(0, count),
      messageIndexes: lineage.messageIndexes.slice(0, count),
      blockIndexes: lineage.blockIndexes.slice(0, count),
    },
  };
}

const EMPTY_PREFIX: LineagePrefix = {
  messages: 0,
  lineage: {
    length: 0,
    links: Buffer.alloc(0),
    linksWithoutSystem: Buffer.alloc(0),
    details: Buffer.alloc(0),
    detailCounts: new Uint32Array(),
    messageIndexes: new Uint32Array(),
    blockIndexes: new Uint32Array(),
  },
};

/** The link without `system` messages before the first block. */
const EMPTY_LINK = '\0'.repeat(LINK_BYTES);

/**
 * Computes the chain over a history, message by message. A generator, so that the caller can pause between messages of
 * a history of megabytes.
 *
 * @param from the chain over its first messages, if known
 * @returns null when a message has an unknown shape
 */
export function* lineageSteps(history: History, from: LineagePrefix = EMPTY_PREFIX): Generator<void, Lineage | null> {
  const known = from.lineage;
  const links = [known.links];
  const linksWithoutSystem = [known.linksWithoutSystem];
  const details = [known.details];
  const detailCounts = Array.from(known.detailCounts);
  const blockIndexes = Array.from(known.blockIndexes);
  const messageIndexes = Array.from(known.messageIndexes);
  let detailCount = detailCounts.at(-1) ?? 0;
  let previous = linkKey(known, known.length);
  let previousWithoutSystem = linkKey(known, known.length, 'without-system');
  if (previousWithoutSystem === EMPTY_LINK) previousWithoutSystem = '';
  for (let index = from.messages; index < history.length; index += 1) {
    const message = history.message(index);
    if (message === null) return null;
    for (const print of fingerprints(message.role, blocksOf(message))) {
      const link = linkOf(previous, print.requiredPart);
      // Both chains are the same up to the first `system` message.
      const same = previousWithoutSystem === previous && message.role !== 'system';
      previous = link.toString('latin1');
      const linkWithoutSystem = same
        ? link
        : message.role === 'system'
          ? Buffer.from(previousWithoutSystem || EMPTY_LINK, 'latin1')
          : linkOf(previousWithoutSystem, print.requiredPart);
      if (message.role !== 'system') previousWithoutSystem = linkWithoutSystem.toString('latin1');
      linksWithoutSystem.push(linkWithoutSystem);
      if (print.detail !== null) {
        details.push(print.detail);
        detailCount += 1;
      }
      links.push(link);
      detailCounts.push(detailCount);
      messageIndexes.push(index);
      blockIndexes.push(print.blockIndex);
    }
    yield;
  }
  return {
    length: messageIndexes.length,
    links: Buffer.concat(links),
    linksWithoutSystem: Buffer.concat(linksWithoutSystem),
    details: Buffer.concat(details),
    detailCounts: Uint32Array.from(detailCounts),
    messageIndexes: Uint32Array.from(messageIndexes),
    blockIndexes: Uint32Array.from(blockIndexes),
  };
}

/** The chain over messages of a known shape. */
export function lineageOf(messages: readonly Message[]): Lineage {
  const steps = lineageSteps(historyFrom(messages));
  for (;;) {
    const step = steps.next();
    if (step.done === true && step.value !== null) return step.value;
  }
}

/** The link of a history's first block, which identifies a conversation until it is compacted; '' for none. */
export function rootOf(history: History): string {
  for (let at = 0; at < history.length; at += 1) {
    const message = history.message(at);
    if (message === null) return '';
    const first = fingerprints(message.role, blocksOf(message))[0];
    if (first !== undefined) return hash('sha256', first.requiredPart, 'hex').slice(0, 2 * LINK_BYTES);
  }
  return '';
}

/** Histories are compared as they are, or without their `system` messages. */
export type Comparison = 'whole' | 'without-system';

/** The link of the first `count` blocks, as a map key; '' for none. */
export function linkKey(lineage: Lineage, count: number, comparison: Comparison = 'whole'): string {
  const links = comparison === 'whole' ? lineage.links : lineage.linksWithoutSystem;
  return count <= 0 ? '' : links.toString('latin1', (count - 1) * LINK_BYTES, count * LINK_BYTES);
}

const detailsEnd = (lineage: Lineage, count: number): number =>
  count <= 0 ? 0 : (lineage.detailCounts[count - 1] ?? 0) * DETAIL_BYTES;

/** The prefix that covers all of `lineage`. */
export function fullPrefix(lineage: Lineage): Prefix {
  const last = lineage.messageIndexes[lineage.length - 1];
  return {
    key: linkKey(lineage, lineage.length),
    keyWithoutSystem: linkKey(lineage, lineage.length, 'without-system'),
    messages: last === undefined ? 0 : last + 1,
    details: copyBytes(lineage.details),
  };
}

/** True when the first `count` blocks of `lineage` are the prefix. */
export function matchesAt(lineage: Lineage, count: number, prefix: Prefix, comparison: Comparison = 'whole'): boolean {
  const key = comparison === 'whole' ? prefix.key : prefix.keyWithoutSystem;
  if (count <= 0 || linkKey(lineage, count, comparison) !== key) return false;
  const end = detailsEnd(lineage, count);
  if (end !== prefix.details.length) return false;
  if (lineage.details.compare(prefix.details, 0, end, 0, end) === 0) return true;
  for (let at = 0; at < end; at += DETAIL_BYTES) {
    const ours = lineage.details.subarray(at, at + DETAIL_BYTES);
    const theirs = prefix.details.subarray(at, at + DETAIL_BYTES);
    if (!ours.equals(theirs) && !ours.equals(UNKNOWN_DETAIL) && !theirs.equals(UNKNOWN_DETAIL)) return false;
  }
  return true;
}

/** Number of blocks of `lineage` that the prefix covers; 0 when it is not a prefix of `lineage`. */
export function coveredBlocks(lineage: Lineage, prefix: Prefix, comparison: Comparison = 'whole'): number {
  for (let count = lineage.length; count > 0; count -= 1) {
    if (matchesAt(lineage, count, prefix, comparison)) return count;
  }
  return 0;
}

/** The messages after the first `count` blocks; the first can be the rest of a message. */
export function messagesAfter(history: History, lineage: Lineage, count: number): Message[] {
  const messageIndex = lineage.messageIndexes[count - 1];
  const blockIndex = lineage.blockIndexes[count - 1];
  const after: Message[] = [];
  if (messageIndex !== undefined && blockIndex !== undefined) {
    const shared = history.message(messageIndex);
    const rest = shared === null ? [] : blocksOf(shared).slice(blockIndex + 1);
    if (shared !== null && rest.length > 0) after.push({ ...shared, content: rest });
  }
  for (let at = messageIndex === undefined ? 0 : messageIndex + 1; at < history.length; at += 1) {
    const message = history.message(at);
    if (message !== null) after.push(message);
  }
  return after;
}
