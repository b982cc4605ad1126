/**
 * An incremental reader of server-sent events (WHATWG HTML, section 9.2) for any splitting of the stream into chunks.
 * It is fed copies of bytes that have already gone on to the client: it can be wrong or give up without harm.
 */

/** Longest event that is kept; a longer one is passed over. The API's events are far smaller. */
const MAX_EVENT_BYTES = 8 * 1024 * 1024;

export interface ServerSentEvent {
  /** The `event:` field, or `message` where there is none. */
  readonly event: string;
  /** The `data:` lines, joined by newlines. */
  readonly data: string;
}

const LF = 0x0a;
const CR = 0x0d;
/** First letter of `data`. A field of any other name that begins so means nothing to a reader. */
const D = 0x64;

/** True when `chunk` holds exactly `line` from `start` to `end`. */
function isLine(line: Buffer, chunk: Buffer, start: number, end: number): boolean {
  if (end - start !== line.length) return false;
  for (let at = 0; at < line.length; at += 1) if (chunk[start + at] !== line[at]) return false;
  return true;
}

/** Reads one stream of events. */
export class SseReader {
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #skipping = false;
  #event = '';
  /** The last `event:` line and the name in it: most are like the one before. */
  #lastNamed: { readonly line: Buffer; readonly name: string } = { line: Buffer.alloc(0), name: '' };
  #data: string[] = [];
  #dataLength = 0;
  #lastWasCr = false;
  #first = true;
  readonly #onEvent: (event: ServerSentEvent) => void;
  readonly #wanted: (event: string) => boolean;

  /** @param wanted events by name whose data is worth decoding; of the others `onEvent` hears nothing */
  constructor(onEvent: (event: ServerSentEvent) => void, wanted: (event: string) => boolean = () => true) {
    this.#onEvent = onEvent;
    this.#wanted = wanted;
  }

  /** Takes the next bytes. Calls `onEvent` for every event that they complete. */
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
      if (this.#pendingBytes > 0 || this.#skipping || !this.#passOver(chunk, start, end)) {
        this.#takeLine(chunk.subarray(start, end));
      }
      start = end + 1;
      if (chunk[end] === CR) {
        if (start >= chunk.length) this.#lastWasCr = true;
        else if (chunk[start] === LF) start += 1;
      }
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
  }

  #keep(rest: Buffer): void {
    if (this.#pendingBytes + rest.length > MAX_EVENT_BYTES) {
      this.#skipping = true;
      this.#pending = [];
      this.#pendingBytes = 0;
    }
    if (this.#skipping) return;
    // A copy: a slice would keep the whole network buffer alive.
    this.#pending.push(Buffer.from(rest));
    this.#pendingBytes += rest.length;
  }

  /** Takes the lines that most of an answer consists of, without making anything of them. False for any other. */
  #passOver(chunk: Buffer, start: number, end: number): boolean {
    if (this.#first) return false;
    if (start === end) this.#dispatch();
    else if (chunk[start] === D) return this.#isUnwanted;
    else if (isLine(this.#lastNamed.line, chunk, start, end)) this.#event = this.#lastNamed.name;
    else return false;
    return true;
  }

  get #isUnwanted(): boolean {
    return this.#event !== '' && !this.#wanted(this.#event);
  }

  #takeLine(tail: Buffer): void {
    const skipped = this.#skipping;
    const bytes = this.#pending.length === 0 ? tail : Buffer.concat([...this.#pending, tail]);
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#skipping = false;
    if (skipped) return;
    // Most lines of an answer are data that nobody here reads.
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
      // A copy: a slice would keep the whole network buffer alive.
      this.#lastNamed = { line: Buffer.from(bytes), name: value };
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
