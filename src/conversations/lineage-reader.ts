/**
 * Reads histories in time slices, so that a history of megabytes does not delay the bytes of other conversations; and
 * reads only the new part of a history that continues the one before.
 *
 * A client sends its whole history each time, most of it byte for byte as before. For the latest conversations the chain
 * over all but the last messages is kept, with a digest of the bytes it was read from. When a history begins with the same
 * bytes, reading goes on from there: comparing the bytes takes a tenth of the time of reading them.
 */
import { createHash, type Hash } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { setImmediate as nextRound } from 'node:timers/promises';
import type { ConversationId } from '../../machines/units.ts';
import { lineagePrefixOf, lineageSteps, type LineagePrefix, type Lineage } from '../wire/lineage.ts';
import type { History } from '../wire/message-request.ts';

/** How long a slice may block the event loop, in milliseconds. */
const SLICE_MS = 3;
/** Reading a history of at least so many bytes, where the size is known, begins with a pause. */
const LARGE = 256 * 1024;
/** Bytes that are hashed at once, which takes less than a millisecond. */
const PIECE = 1024 * 1024;

export interface LineageReaderOptions {
  /** Messages at the end of a history that the client is likely to change next time: cache marks move, reminders are added. */
  readonly unstableMessages: number;
  /** Shorter beginnings are not kept, because reading them is faster than comparing them. */
  readonly minBytes: number;
  /** Conversations whose beginnings are kept, at 36 bytes a block: 110 KB for a history of 4 MB. */
  readonly maxConversations: number;
}

const DEFAULTS: LineageReaderOptions = { unstableMessages: 8, minBytes: 64 * 1024, maxConversations: 8 };

/** The beginning of a history that was read. */
interface KnownBeginning {
  readonly beginning: LineagePrefix;
  readonly bytes: number;
  readonly digest: Buffer;
}

/** Divides long work into slices of {@link SLICE_MS}. */
class TimeSlicer {
  #began = performance.now();

  /** True when the current slice is over. */
  get isOver(): boolean {
    return performance.now() - this.#began >= SLICE_MS;
  }

  async pause(): Promise<void> {
    await nextRound();
    this.#began = performance.now();
  }
}

async function digest(bytes: Buffer, hash: Hash, slicer: TimeSlicer): Promise<Buffer> {
  for (let at = 0; at < bytes.length; at += PIECE) {
    hash.update(bytes.subarray(at, at + PIECE));
    if (slicer.isOver) await slicer.pause();
  }
  return hash.copy().digest();
}

export class LineageReader {
  readonly #options: LineageReaderOptions;
  /** In the order of their latest request. */
  readonly #known = new Map<ConversationId, KnownBeginning>();

  constructor(options: LineageReaderOptions = DEFAULTS) {
    this.#options = options;
  }

  /** The chain over a history; null when a message is of no known shape. */
  async read(conversation: ConversationId, history: History): Promise<Lineage | null> {
    const slicer = new TimeSlicer();
    // The caller has just parsed all of its bytes in this slice.
    if ((history.bytesOfFirst(history.length)?.length ?? 0) >= LARGE) await slicer.pause();
    const before = this.#known.get(conversation);
    let hash = createHash('sha256');
    let from: LineagePrefix | undefined;
    const same = before === undefined ? null : history.bytesOfFirst(before.beginning.messages);
    if (before !== undefined && same?.length === before.bytes) {
      if ((await digest(same, hash, slicer)).equals(before.digest)) from = before.beginning;
      else hash = createHash('sha256');
    }
    const lineage = await continueReading(history, from, slicer);
    if (lineage === null) return null;
    const messages = history.length - this.#options.unstableMessages;
    const bytes = history.bytesOfFirst(messages);
    if (bytes === null || bytes.length < this.#options.minBytes) return lineage;
    const known = from === undefined ? 0 : (before?.bytes ?? 0);
    // A history that was rewound is shorter than the known beginning, which stays valid for the next one.
    if (bytes.length < known) return lineage;
    this.#remember(conversation, {
      beginning: lineagePrefixOf(lineage, messages),
      bytes: bytes.length,
      digest: await digest(bytes.subarray(known), hash, slicer),
    });
    return lineage;
  }

  forget(conversation: ConversationId): void {
    this.#known.delete(conversation);
  }

  #remember(conversation: ConversationId, beginning: KnownBeginning): void {
    this.#known.delete(conversation);
    this.#known.set(conversation, beginning);
    for (const [oldest] of this.#known) {
      if (this.#known.size <= this.#options.maxConversations) break;
      this.#known.delete(oldest);
    }
  }
}

async function continueReading(
  history: History,
  from: LineagePrefix | undefined,
  slicer: TimeSlicer,
): Promise<Lineage | null> {
  const steps = lineageSteps(history, from);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (slicer.isOver) await slicer.pause();
  }
}
