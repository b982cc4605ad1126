/**
 * What of an answer has passed and was not looked at yet. What comes in a burst is not looked at in the middle of it: that
 * would hold up what comes behind.
 */

/** Shown after this long, in milliseconds … */
const SHOWN_AFTER_MS = 20;
/** … or when there is so much, so that little is kept for it. */
const MOST_BYTES = 1024 * 1024;
const MOST_PIECES = 4_096;

export class Unseen {
  readonly #look: (bytes: Buffer) => void;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | null = null;

  /** @param look is shown every piece, in order; it must not throw */
  constructor(look: (bytes: Buffer) => void) {
    this.#look = look;
  }

  /** Takes a piece. */
  add(bytes: Buffer): void {
    this.#pieces.push(bytes);
    this.#bytes += bytes.length;
  }

  /** To be called when the pieces have been sent on: they are shown a little later, or now when there are many. */
  later(): void {
    if (this.#bytes >= MOST_BYTES || this.#pieces.length >= MOST_PIECES) this.show();
    else if (this.#pieces.length > 0) this.#timer ??= setTimeout(() => this.show(), SHOWN_AFTER_MS);
  }

  /** Shows all of it. */
  show(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#bytes = 0;
    for (const bytes of this.#pieces.splice(0)) this.#look(bytes);
  }
}
