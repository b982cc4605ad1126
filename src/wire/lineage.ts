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
import { ABSENT, fingerprints } from './fingerprint.ts';
import { blocksOf, type Message } from './message-request.ts';

const LINK_BYTES = 16;
const DETAIL_BYTES = ABSENT.length;

/** The chain over one request. `length` and all positions count blocks (those that count, see `fingerprint.ts`). */
export interface Lineage {
  readonly length: number;
  /** 16 bytes a block. */
  readonly links: Buffer;
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
  /** How many messages it had when it was taken. */
  readonly messages: number;
  /** Details of all its blocks, 8 bytes each. */
  readonly details: Buffer;
}

/** Computes the chain over `messages`. */
export function lineageOf(messages: readonly Message[]): Lineage {
  const links: Buffer[] = [];
  const details: Buffer[] = [];
  const detailCounts: number[] = [];
  const places: number[] = [];
  const owners: number[] = [];
  let previous = '';
  messages.forEach((message, index) => {
    for (const print of fingerprints(message.role, blocksOf(message))) {
      const link = hash('sha256', previous + print.skeleton, 'buffer').subarray(0, LINK_BYTES);
      previous = link.toString('latin1');
      if (print.detail !== null) details.push(print.detail);
      links.push(link);
      detailCounts.push(details.length);
      owners.push(index);
      places.push(print.block);
    }
  });
  return {
    length: links.length,
    links: Buffer.concat(links),
    details: Buffer.concat(details),
    detailCounts: Uint32Array.from(detailCounts),
    messages: Uint32Array.from(owners),
    places: Uint32Array.from(places),
  };
}

/** The link of the first `count` blocks, as a map key; '' for none. */
export function linkKey(lineage: Lineage, count: number): string {
  return count <= 0 ? '' : lineage.links.toString('latin1', (count - 1) * LINK_BYTES, count * LINK_BYTES);
}

const detailsEnd = (lineage: Lineage, count: number): number =>
  count <= 0 ? 0 : (lineage.detailCounts[count - 1] ?? 0) * DETAIL_BYTES;

/** The beginning of a history that is the whole of `lineage`. */
export function wholeOf(lineage: Lineage): Prefix {
  const last = lineage.messages[lineage.length - 1];
  return {
    key: linkKey(lineage, lineage.length),
    messages: last === undefined ? 0 : last + 1,
    details: Buffer.from(lineage.details),
  };
}

/** True when the first `count` blocks of `lineage` are what `prefix` was taken of. */
export function matchesAt(lineage: Lineage, count: number, prefix: Prefix): boolean {
  if (count <= 0 || linkKey(lineage, count) !== prefix.key) return false;
  const end = detailsEnd(lineage, count);
  if (end !== prefix.details.length) return false;
  if (lineage.details.compare(prefix.details, 0, end, 0, end) === 0) return true;
  for (let at = 0; at < end; at += DETAIL_BYTES) {
    const ours = lineage.details.subarray(at, at + DETAIL_BYTES);
    const theirs = prefix.details.subarray(at, at + DETAIL_BYTES);
    if (!ours.equals(theirs) && !ours.equals(ABSENT) && !theirs.equals(ABSENT)) return false;
  }
  return true;
}

/** How many blocks of `lineage` the prefix covers, or 0 when `lineage` does not begin with it. */
export function coveredBlocks(lineage: Lineage, prefix: Prefix): number {
  for (let count = lineage.length; count > 0; count -= 1) if (matchesAt(lineage, count, prefix)) return count;
  return 0;
}

/** The messages behind the first `count` blocks: what is left of the message that the last of them stands in, then all that follow. */
export function messagesAfter(messages: readonly Message[], lineage: Lineage, count: number): readonly Message[] {
  const owner = lineage.messages[count - 1];
  const place = lineage.places[count - 1];
  if (owner === undefined || place === undefined) return messages;
  const shared = messages[owner];
  const rest = shared === undefined ? [] : blocksOf(shared).slice(place + 1);
  const following = messages.slice(owner + 1);
  return shared === undefined || rest.length === 0 ? following : [{ ...shared, content: rest }, ...following];
}

const TRAIL_BYTES = 8;

/** A chain as it is kept between requests, to tell which conversation the next one belongs to: 8 bytes a block. */
export type Trail = Buffer & { readonly trail?: never };

export function trailOf(lineage: Lineage): Trail {
  const trail = Buffer.alloc(lineage.length * TRAIL_BYTES);
  for (let at = 0; at < lineage.length; at += 1) {
    lineage.links.copy(trail, at * TRAIL_BYTES, at * LINK_BYTES, at * LINK_BYTES + TRAIL_BYTES);
  }
  return trail;
}

/** How much two histories have in common at their beginning. */
export interface Common {
  /** Blocks of the new history that the known one begins with as well. */
  readonly blocks: number;
  /** True when the new history begins with the whole of the known one. */
  readonly whole: boolean;
}

/** Compares a known history with a new one. */
export function commonBeginning(known: Trail, lineage: Lineage): Common {
  const most = Math.min(known.length / TRAIL_BYTES, lineage.length);
  // Equal links mean equal beginnings, so the last equal pair can be found by halving.
  let low = 0;
  let high = most;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const at = (middle - 1) * LINK_BYTES;
    const from = (middle - 1) * TRAIL_BYTES;
    if (lineage.links.compare(known, from, from + TRAIL_BYTES, at, at + TRAIL_BYTES) === 0) low = middle;
    else high = middle - 1;
  }
  return { blocks: low, whole: low * TRAIL_BYTES === known.length };
}
