/**
 * What of an answer's body has passed and was not looked at yet. What comes in a burst is not looked at in the middle of
 * it: that would hold up what comes behind.
 */
import { bodyReader, type BodyReader, type Framing } from '../http1/framing.ts';

/** Shown after this long, in milliseconds … */
const SHOWN_AFTER_MS = 20;
/** … or when there is so much, so that little is kept for it. */
const MOST_BYTES = 1024 * 1024;
const MOST_PIECES = 4_096;

export class DeferredBody {
  private readonly framing: Framing;
  private readonly look: (bytes: Buffer) => void;
  /** Made when it is first needed, which is not on the way of the bytes. */
  private body: BodyReader | null = null;
  private pieces: Buffer[] = [];
  private bytes = 0;
  private timer: NodeJS.Timeout | null = null;

  /**
   * @param framing how the body is delimited
   * @param look is shown what the body holds, in order, without its framing; it must not throw
   */
  constructor(framing: Framing, look: (bytes: Buffer) => void) {
    this.framing = framing;
    this.look = look;
  }

  /** Takes the next piece of the body, as it came. */
  add(bytes: Buffer): void {
    this.pieces.push(bytes);
    this.bytes += bytes.length;
  }

  /** To be called when the pieces have been sent on: they are shown a little later, or now when there are many. */
  later(): void {
    if (this.bytes >= MOST_BYTES || this.pieces.length >= MOST_PIECES) this.show();
    else if (this.pieces.length > 0) this.timer ??= setTimeout(() => this.show(), SHOWN_AFTER_MS);
  }

  /** Shows all of it. */
  show(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.bytes = 0;
    const body = (this.body ??= bodyReader(this.framing, this.look));
    for (const bytes of this.pieces.splice(0)) body.read(bytes);
  }
}
