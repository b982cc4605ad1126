/** Buffers forwarded bytes of an answer and parses them a little later, so that parsing never delays a burst. */
import { bodyReader, type BodyReader, type Framing } from '../http1/framing.ts';

/** Delay before parsing, in milliseconds. */
const FLUSH_AFTER_MS = 20;
/** Buffered bytes or chunks from which on there is no delay. */
const MAX_BYTES = 1024 * 1024;
const MAX_CHUNKS = 4_096;

export class DeferredBody {
  private readonly framing: Framing;
  private readonly onPayload: (bytes: Buffer) => void;
  /** Created on first use, off the path of the bytes. */
  private reader: BodyReader | null = null;
  private chunks: Buffer[] = [];
  private bytes = 0;
  private timer: NodeJS.Timeout | null = null;

  /**
   * @param framing how the body is delimited
   * @param onPayload called with the body in order, without its framing; it must not throw
   */
  constructor(framing: Framing, onPayload: (bytes: Buffer) => void) {
    this.framing = framing;
    this.onPayload = onPayload;
  }

  /** Adds the next chunk, framing included. */
  add(bytes: Buffer): void {
    this.chunks.push(bytes);
    this.bytes += bytes.length;
  }

  /** Schedules a flush of forwarded chunks; flushes now when they have reached a limit. */
  scheduleFlush(): void {
    if (this.bytes >= MAX_BYTES || this.chunks.length >= MAX_CHUNKS) this.flush();
    else if (this.chunks.length > 0) this.timer ??= setTimeout(() => this.flush(), FLUSH_AFTER_MS);
  }

  /** Parses all buffered chunks. */
  flush(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.bytes = 0;
    const body = (this.reader ??= bodyReader(this.framing, this.onPayload));
    for (const bytes of this.chunks.splice(0)) body.read(bytes);
  }
}
