/**
 * An incremental parser of server-sent events (WHATWG HTML, section 9.2). It reads bytes that were already forwarded to the
 * client, so a mistake in it cannot harm an answer.
 */

/** Longer events are skipped. The API's events are far smaller. */
const MAX_EVENT_BYTES = 8 * 1024 * 1024;

export interface ServerSentEvent {
  /** The `event:` field, or `message` where there is none. */
  readonly event: string;
  /** The `data:` lines, joined by newlines. */
  readonly data: string;
}

const LF = 0x0a;
const CR = 0x0d;
/** First letter of `data`, the only field that begins with it and has a meaning. */
const D = 0x64;

/** True when `chunk` holds exactly `line` from `start` to `end`. */
function isLine(line: Buffer, chunk: Buffer, start: number, end: number): boolean {
  if (end - start !== line.length) return false;
  for (let at = 0; at < line.length; at += 1) if (chunk[start + at] !== line[at]) return false;
  return true;
}

export class SseReader {
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #skipping = false;
  #event = '';
  /** The last `event:` line and its name: most lines repeat the previous one. */
  #lastEventLine: { readonly line: Buffer; readonly name: string } = { line: Buffer.alloc(0), name: '' };
  #data: string[] = [];
  #dataLength = 0;
  #lastWasCr = false;
  #first = true;
  readonly #onEvent: (event: ServerSentEvent) => void;
  readonly #isWanted: (event: string) => boolean;

  /** @param wanted true for the names of events that are decoded and passed to `onEvent` */
  constructor(onEvent: (event: ServerSentEvent) => void, wanted: (event: string) => boolean = () => true) {
    this.#onEvent = onEvent;
    this.#isWanted = wanted;
  }

  /** Parses the next bytes; calls `onEvent` for each completed event. */
  push(chunk: Buffer): void {
    let start = 0;
    if (this.#lastWasCr && chunk[0] === LF) start = 1;
    if (chunk.length > 0) this.#lastWasCr = false;
    const hasCr = chunk.includes(CR);
    for (;;) {
      const lf = chunk.indexOf(LF, start);
      let end = lf;
      const cr = hasCr ? chunk.subarray(start, lf < 0 ? chunk.length : lf).indexOf(CR) : -1;
      if (cr >= 0) end = start + cr;
      if (end < 0) break;
      if (this.#pendingBytes > 0 || this.#skipping || !this.#takeFrequentLine(chunk, start, end)) {
        this.#takeLine(chunk.subarray(start, end));
      }
      start = end + 1;
      if (chunk[end] === CR) {
        if (start >= chunk.length) this.#lastWasCr = true;
        else if (chunk[start] === LF) start += 1;
      }
    }
    if (start < chunk.length) this.#buffer(chunk.subarray(start));
  }

  #buffer(rest: Buffer): void {
    if (this.#pendingBytes + rest.length > MAX_EVENT_BYTES) {
      this.#skipping = true;
      this.#pending = [];
      this.#pendingBytes = 0;
    }
    if (this.#skipping) return;
    // A copy: a view would keep the whole network buffer in memory.
    this.#pending.push(Buffer.from(rest));
    this.#pendingBytes += rest.length;
  }

  /** Handles the most frequent lines without decoding them; returns false for any other line. */
  #takeFrequentLine(chunk: Buffer, start: number, end: number): boolean {
    if (this.#first) return false;
    if (start === end) this.#dispatch();
    else if (chunk[start] === D) return this.#isUnwanted;
    else if (isLine(this.#lastEventLine.line, chunk, start, end)) this.#event = this.#lastEventLine.name;
    else return false;
    return true;
  }

  get #isUnwanted(): boolean {
    return this.#event !== '' && !this.#isWanted(this.#event);
  }

  #takeLine(tail: Buffer): void {
    const skipped = this.#skipping;
    const bytes = this.#pending.length === 0 ? tail : Buffer.concat([...this.#pending, tail]);
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#skipping = false;
    if (skipped) return;
    // Most lines of an answer.
    if (bytes[0] === D && this.#isUnwanted) return;
    let line = bytes.toString('utf8');
    if (this.#first) {
      this.#first = false;
      if (line.startsWith('\uFEFF')) line = line.slice(1);
    }
    if (line === '') {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? '' : line.slice(colon + 1);
    if (value.startsWith(' ')) value = value.slice(1);
    if (field === 'event') {
      this.#event = value;
      // A copy: a view would keep the whole network buffer in memory.
      this.#lastEventLine = { line: Buffer.from(bytes), name: value };
    } else if (field === 'data' && this.#dataLength + value.length <= MAX_EVENT_BYTES) {
      this.#data.push(value);
      this.#dataLength += value.length;
    }
  }

  #dispatch(): void {
    const event = this.#event;
    const data = this.#data;
    this.#event = '';
    if (data.length === 0) return;
    this.#data = [];
    this.#dataLength = 0;
    this.#onEvent({ event: event === '' ? 'message' : event, data: data.join('\n') });
  }
}
