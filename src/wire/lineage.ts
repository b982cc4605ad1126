/**
 * Which history a request carries: a chain of fingerprints over its blocks, and the question this project turns on,
 * whether one history begins with another.
 *
 * `link[i] = H(link[i-1], role and block i)`: equal links mean equal beginnings. The chain runs over blocks and not
 * over messages, because the client joins messages of one role in a row, and appends the compaction's instruction to
 * the last of them (observed on 2.0.76 to 2.1.280). Beside it stand the details (tool results, thinking), compared
 * where both sides have them. No content is kept.
 */
import { hash } from 'node:crypto';
import { UNKNOWN_DETAIL, fingerprints } from './fingerprint.ts';
import { blocksOf, historyFrom, type History, type Message } from './message-request.ts';

const LINK_BYTES = 16;
const DETAIL_BYTES = UNKNOWN_DETAIL.length;

/** The chain over one request. `length` and all positions count blocks (those that count, see `fingerprint.ts`). */
export interface Lineage {
  readonly length: number;
  /** 16 bytes a block. */
  readonly links: Buffer;
  /**
   * The same without `system` messages, whose blocks repeat the link before them. Reminders are blocks of user messages
   * with 4.6 models and `system` messages with 5.5 models: a switch of the model turns the ones into the others
   * (2.1.330), in all of the history.
   */
  readonly bareLinks: Buffer;
  /** 8 bytes a detail, in order. */
  readonly details: Buffer;
  /** For each block, how many details it and those before it have. */
  readonly detailCounts: Uint32Array;
  /** For each block, the message it stands in, and its place there. */
  readonly messages: Uint32Array;
  readonly places: Uint32Array;
}

/** A beginning of a history, as a checkpoint is addressed by. */
export interface Prefix {
  /** Link of its last block, as a map key. */
  readonly key: string;
  /** The same without `system` messages. */
  readonly bareKey: string;
  /** How many messages it had when it was taken. */
  readonly messages: number;
  /** Details of all its blocks, 8 bytes each. */
  readonly details: Buffer;
}

const linkOf = (previous: string, skeleton: string): Buffer =>
  hash('sha256', previous + skeleton, 'buffer').subarray(0, LINK_BYTES);

/** A copy with memory of its own: a small `Buffer.from` is a piece of a slab of 8 KB, and keeps all of that. */
export function ownBytes(bytes: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}

/** The chain over the first messages of a history, from which it can be read on. */
export interface LineagePrefix {
  readonly messages: number;
  readonly lineage: Lineage;
}

/** The chain over the first `messages` messages of what `lineage` was read of, in memory of its own. */
export function beginningOf(lineage: Lineage, messages: number): LineagePrefix {
  let count = lineage.length;
  while (count > 0 && (lineage.messages[count - 1] ?? 0) >= messages) count -= 1;
  const links = ownBytes(lineage.links.subarray(0, count * LINK_BYTES));
  const bareLinks = lineage.bareLinks.subarray(0, count * LINK_BYTES);
  return {
    messages,
    lineage: {
      length: count,
      links,
      bareLinks: bareLinks.equals(links) ? links : ownBytes(bareLinks),
      details: ownBytes(lineage.details.subarray(0, detailsEnd(lineage, count))),
      detailCounts: lineage.detailCounts.slice(0, count),
      messages: lineage.messages.slice(0, count),
      places: lineage.places.slice(0, count),
    },
  };
}

const NOTHING: LineagePrefix = {
  messages: 0,
  lineage: {
    length: 0,
    links: Buffer.alloc(0),
    bareLinks: Buffer.alloc(0),
    details: Buffer.alloc(0),
    detailCounts: new Uint32Array(),
    messages: new Uint32Array(),
    places: new Uint32Array(),
  },
};

/** What stands in the bare chain before any block that counts there. */
const NO_LINK = '\0'.repeat(LINK_BYTES);

/**
 * Reads the chain over a history, message by message: a generator, so that whoever drives it can pause in between and a
 * history of megabytes holds nobody up.
 *
 * @param from what is known of it already
 * @returns null when a message is of no known shape
 */
export function* lineageSteps(history: History, from: LineagePrefix = NOTHING): Generator<void, Lineage | null> {
  const known = from.lineage;
  const links = [known.links];
  const bareLinks = [known.bareLinks];
  const details = [known.details];
  const detailCounts = Array.from(known.detailCounts);
  const places = Array.from(known.places);
  const owners = Array.from(known.messages);
  let detailed = detailCounts.at(-1) ?? 0;
  let previous = linkKey(known, known.length);
  let bare = linkKey(known, known.length, 'bare');
  if (bare === NO_LINK) bare = '';
  for (let index = from.messages; index < history.length; index += 1) {
    const message = history.message(index);
    if (message === null) return null;
    for (const print of fingerprints(message.role, blocksOf(message))) {
      const link = linkOf(previous, print.skeleton);
      // As long as there was no `system` message both chains are one.
      const same = bare === previous && message.role !== 'system';
      previous = link.toString('latin1');
      const bareLink = same
        ? link
        : message.role === 'system'
          ? Buffer.from(bare === '' ? NO_LINK : bare, 'latin1')
          : linkOf(bare, print.skeleton);
      if (message.role !== 'system') bare = bareLink.toString('latin1');
      bareLinks.push(bareLink);
      if (print.detail !== null) {
        details.push(print.detail);
        detailed += 1;
      }
      links.push(link);
      detailCounts.push(detailed);
      owners.push(index);
      places.push(print.block);
    }
    yield;
  }
  return {
    length: owners.length,
    links: Buffer.concat(links),
    bareLinks: Buffer.concat(bareLinks),
    details: Buffer.concat(details),
    detailCounts: Uint32Array.from(detailCounts),
    messages: Uint32Array.from(owners),
    places: Uint32Array.from(places),
  };
}

/** The chain over messages that are at hand and of a known shape. */
export function lineageOf(messages: readonly Message[]): Lineage {
  const steps = lineageSteps(historyFrom(messages));
  for (;;) {
    const step = steps.next();
    if (step.done === true && step.value !== null) return step.value;
  }
}

/** The link of a history's first block: what a conversation is known by as long as it is not compacted. '' for none. */
export function rootOf(history: History): string {
  for (let at = 0; at < history.length; at += 1) {
    const message = history.message(at);
    if (message === null) return '';
    const first = fingerprints(message.role, blocksOf(message))[0];
    if (first !== undefined) return hash('sha256', first.skeleton, 'hex').slice(0, 2 * LINK_BYTES);
  }
  return '';
}

/** How two histories are compared: `whole`, or `bare`, without their `system` messages. */
export type Comparison = 'whole' | 'bare';

/** The link of the first `count` blocks, as a map key; '' for none. */
export function linkKey(lineage: Lineage, count: number, comparison: Comparison = 'whole'): string {
  const links = comparison === 'whole' ? lineage.links : lineage.bareLinks;
  return count <= 0 ? '' : links.toString('latin1', (count - 1) * LINK_BYTES, count * LINK_BYTES);
}

const detailsEnd = (lineage: Lineage, count: number): number =>
  count <= 0 ? 0 : (lineage.detailCounts[count - 1] ?? 0) * DETAIL_BYTES;

/** The beginning of a history that is the whole of `lineage`. */
export function fullPrefix(lineage: Lineage): Prefix {
  const last = lineage.messages[lineage.length - 1];
  return {
    key: linkKey(lineage, lineage.length),
    bareKey: linkKey(lineage, lineage.length, 'bare'),
    messages: last === undefined ? 0 : last + 1,
    details: ownBytes(lineage.details),
  };
}

/** True when the first `count` blocks of `lineage` are what `prefix` was taken of. */
export function matchesAt(lineage: Lineage, count: number, prefix: Prefix, comparison: Comparison = 'whole'): boolean {
  const key = comparison === 'whole' ? prefix.key : prefix.bareKey;
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

/** How many blocks of `lineage` the prefix covers, or 0 when `lineage` does not begin with it. */
export function coveredBlocks(lineage: Lineage, prefix: Prefix, comparison: Comparison = 'whole'): number {
  for (let count = lineage.length; count > 0; count -= 1) {
    if (matchesAt(lineage, count, prefix, comparison)) return count;
  }
  return 0;
}

/** What comes behind the first `count` blocks: the rest of the message that the last of them stands in, then all that follow. */
export function messagesAfter(history: History, lineage: Lineage, count: number): Message[] {
  const owner = lineage.messages[count - 1];
  const place = lineage.places[count - 1];
  const after: Message[] = [];
  if (owner !== undefined && place !== undefined) {
    const shared = history.message(owner);
    const rest = shared === null ? [] : blocksOf(shared).slice(place + 1);
    if (shared !== null && rest.length > 0) after.push({ ...shared, content: rest });
  }
  for (let at = owner === undefined ? 0 : owner + 1; at < history.length; at += 1) {
    const message = history.message(at);
    if (message !== null) after.push(message);
  }
  return after;
}
