/**
 * Reads histories in slices, so that one of megabytes never holds up the bytes of another conversation; and of a history
 * that goes on from the one before only what is new.
 *
 * A client sends its whole history each time, and most of it byte for byte as before. Of the conversations that spoke
 * last it is kept how their histories began: the chain over all but the last messages, and a digest of the bytes it was
 * read of. When a history begins with the same bytes, the chain is read on from there. To compare megabytes takes a
 * tenth of the time that it takes to read them.
 */
import { createHash, type Hash } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { setImmediate as nextRound } from 'node:timers/promises';
import type { ConversationId } from '../../machines/units.ts';
import { lineagePrefixOf, lineageSteps, type LineagePrefix, type Lineage } from '../wire/lineage.ts';
import type { History } from '../wire/message-request.ts';

/** How long a slice may hold the event loop, in milliseconds. */
const SLICE_MS = 3;
/** Histories of so many bytes, where that can be told, begin with a pause. */
const LARGE = 256 * 1024;
/** Bytes that are digested at once: less than a millisecond. */
const PIECE = 1024 * 1024;

export interface LineageReaderOptions {
  /** Messages at a history's end that are likely to be written in another way next time: cache marks move, reminders come. */
  readonly unstableMessages: number;
  /** Beginnings of fewer bytes are read faster than they are looked up. */
  readonly minBytes: number;
  /** Conversations whose beginnings are kept: 36 bytes a block, 110 KB for a history of 4 MB. */
  readonly maxConversations: number;
}

const USUAL: LineageReaderOptions = { unstableMessages: 8, minBytes: 64 * 1024, maxConversations: 8 };

/** How a history began. */
interface KnownBeginning {
  readonly beginning: LineagePrefix;
  readonly bytes: number;
  readonly digest: Buffer;
}

/** Whoever works for long asks it every now and then whether it is somebody else's turn. */
class TimeSlicer {
  #began = performance.now();

  /** True when this slice has been long enough. */
  get due(): boolean {
    return performance.now() - this.#began >= SLICE_MS;
  }

  async pause(): Promise<void> {
    await nextRound();
    this.#began = performance.now();
  }
}

async function digest(bytes: Buffer, hash: Hash, pacer: TimeSlicer): Promise<Buffer> {
  for (let at = 0; at < bytes.length; at += PIECE) {
    hash.update(bytes.subarray(at, at + PIECE));
    if (pacer.due) await pacer.pause();
  }
  return hash.copy().digest();
}

export class LineageReader {
  readonly #options: LineageReaderOptions;
  /** The one that spoke last is the last. */
  readonly #kept = new Map<ConversationId, KnownBeginning>();

  constructor(options: LineageReaderOptions = USUAL) {
    this.#options = options;
  }

  /** The chain over a history; null when a message is of no known shape. */
  async read(conversation: ConversationId, history: History): Promise<Lineage | null> {
    const pacer = new TimeSlicer();
    // Whoever asks has just gone through all of its bytes.
    if ((history.bytesOfFirst(history.length)?.length ?? 0) >= LARGE) await pacer.pause();
    const before = this.#kept.get(conversation);
    let hash = createHash('sha256');
    let from: LineagePrefix | undefined;
    const same = before === undefined ? null : history.bytesOfFirst(before.beginning.messages);
    if (before !== undefined && same?.length === before.bytes) {
      if ((await digest(same, hash, pacer)).equals(before.digest)) from = before.beginning;
      else hash = createHash('sha256');
    }
    const lineage = await readOn(history, from, pacer);
    if (lineage === null) return null;
    const messages = history.length - this.#options.unstableMessages;
    const bytes = history.bytesOfFirst(messages);
    if (bytes === null || bytes.length < this.#options.minBytes) return lineage;
    const known = from === undefined ? 0 : (before?.bytes ?? 0);
    // A history that lost messages at its end begins as before, but ends sooner.
    if (bytes.length < known) return lineage;
    this.#keep(conversation, {
      beginning: lineagePrefixOf(lineage, messages),
      bytes: bytes.length,
      digest: await digest(bytes.subarray(known), hash, pacer),
    });
    return lineage;
  }

  /** The conversation is over. */
  forget(conversation: ConversationId): void {
    this.#kept.delete(conversation);
  }

  #keep(conversation: ConversationId, kept: KnownBeginning): void {
    this.#kept.delete(conversation);
    this.#kept.set(conversation, kept);
    for (const [oldest] of this.#kept) {
      if (this.#kept.size <= this.#options.maxConversations) break;
      this.#kept.delete(oldest);
    }
  }
}

async function readOn(history: History, from: LineagePrefix | undefined, pacer: TimeSlicer): Promise<Lineage | null> {
  const steps = lineageSteps(history, from);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (pacer.due) await pacer.pause();
  }
}
