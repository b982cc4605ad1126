/**
 * Where a message's body ends (RFC 9112, 6.3). The bytes pass as they came, chunk sizes, extensions and trailers
 * included; a reader only follows them to know the end, and shows what is payload to whoever wants to read along.
 */
import { isNamed, type RawHeaders } from '../wire/headers.ts';
import { MalformedHead, type RequestHead, type ResponseHead } from './head.ts';

/** How a body is delimited. */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'sized'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** Ends with the connection: responses only. */
  | { readonly kind: 'close' };

const NONE: Framing = { kind: 'none' };

/** Only what HTTP calls white space: `trim` also takes a no-break space off, which others leave. */
function trimBlanks(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;

/** The values of a header, however many lines and commas they stand in. */
function allValues(headers: RawHeaders, name: string): string[] {
  const values: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    if (!isNamed(headers[at], name)) continue;
    const line = headers[at + 1] ?? '';
    // Most lines have one value, and need not be taken apart.
    if (line.includes(',')) for (const value of line.split(',')) values.push(trimBlanks(value));
    else values.push(trimBlanks(line));
  }
  return values;
}

/** The one length that a message announces, or undefined. */
function contentLength(headers: RawHeaders): number | undefined {
  const values = allValues(headers, 'content-length');
  if (values.length === 0) return undefined;
  const [value = ''] = values;
  const length = Number(value);
  // Equal ones too: who relays them may not pass them on as they are.
  if (values.length > 1 || !/^\d+$/.test(value) || !Number.isSafeInteger(length)) {
    throw new MalformedHead('content-length cannot be read');
  }
  return length;
}

/** True for chunked, false for no transfer coding. Anything else hides where the message ends. */
function isChunked(headers: RawHeaders): boolean {
  const codings = allValues(headers, 'transfer-encoding');
  if (codings.length === 0) return false;
  if (codings.length > 1 || codings[0]?.toLowerCase() !== 'chunked')
    throw new MalformedHead('transfer-encoding is not understood', 501);
  return true;
}

/**
 * How a request's body is delimited.
 *
 * @throws MalformedHead where readers could disagree
 */
export function requestFraming(head: RequestHead): Framing {
  const chunked = isChunked(head.headers);
  const bytes = contentLength(head.headers);
  if (chunked && bytes !== undefined) throw new MalformedHead('both transfer-encoding and content-length are given');
  if (chunked) return { kind: 'chunked' };
  return bytes === undefined || bytes === 0 ? NONE : { kind: 'sized', bytes };
}

/**
 * How the body of a response to a `method` request is delimited.
 *
 * @throws MalformedHead
 */
export function responseFraming(head: ResponseHead, method: string): Framing {
  const { headers, status } = head;
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return NONE;
  if (isChunked(headers)) return { kind: 'chunked' };
  const bytes = contentLength(headers);
  if (bytes === undefined) return { kind: 'close' };
  return bytes === 0 ? NONE : { kind: 'sized', bytes };
}

/** True when the connection can carry another message after this one (RFC 9112, 9.3). */
export function keepsAlive(head: Pick<RequestHead, 'version' | 'headers'>): boolean {
  const has = (option: string): boolean => hasConnectionOption(head.headers, option);
  return head.version === 'HTTP/1.0' ? has('keep-alive') && !has('close') : !has('close');
}

/** True when a `connection` header, however many there are, has this option (lower case). */
export const hasConnectionOption = (headers: RawHeaders, option: string): boolean =>
  allValues(headers, 'connection').some((given) => given.toLowerCase() === option);

/** What a reader makes of some bytes. */
export interface BodySlice {
  /** How many of them belong to the body. */
  readonly taken: number;
  /** True when the body is complete with them. */
  readonly done: boolean;
}

/** Follows one body to its end. */
export interface BodyReader {
  /** True from the start for a message without a body. */
  readonly done: boolean;
  /**
   * Takes the next bytes.
   *
   * @throws MalformedHead for a chunked body that cannot be followed
   */
  read(bytes: Buffer): BodySlice;
}

/** Hears what a body holds, without its framing; slices of the bytes given to `read`. */
type Payload = (bytes: Buffer) => void;

/** Follows a body; `payload` where somebody reads along. */
export function bodyReader(framing: Framing, payload?: Payload): BodyReader {
  switch (framing.kind) {
    case 'none':
      return { done: true, read: () => ({ taken: 0, done: true }) };
    case 'sized':
      return new SizedReader(framing.bytes, payload);
    case 'chunked':
      return new ChunkedReader(payload);
    case 'close':
      return {
        done: false,
        read(bytes) {
          payload?.(bytes);
          return { taken: bytes.length, done: false };
        },
      };
  }
}

class SizedReader implements BodyReader {
  private left: number;
  private readonly payload: Payload | undefined;

  constructor(bytes: number, payload: Payload | undefined) {
    this.left = bytes;
    this.payload = payload;
  }

  get done(): boolean {
    return this.left === 0;
  }

  read(bytes: Buffer): BodySlice {
    const mine = bytes.length <= this.left ? bytes : bytes.subarray(0, this.left);
    this.left -= mine.length;
    if (mine.length > 0) this.payload?.(mine);
    return { taken: mine.length, done: this.left === 0 };
  }
}

const LF = 0x0a;
const CR = 0x0d;
/** Longest chunk-size or trailer line. */
const MAX_LINE = 8 * 1024;

/** Digits of a chunk size that is read without making a string of it. */
const MAX_SHORT_SIZE = 8;

/** Value of a hexadecimal digit, -1 for any other byte. */
function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

type ChunkState = 'size' | 'data' | 'dataEnd' | 'trailer' | 'done';

/** RFC 9112, 7.1. */
class ChunkedReader implements BodyReader {
  private state: ChunkState = 'size';
  private left = 0;
  private line = '';
  private readonly payload: Payload | undefined;

  constructor(payload: Payload | undefined) {
    this.payload = payload;
  }

  get done(): boolean {
    return this.state === 'done';
  }

  read(bytes: Buffer): BodySlice {
    let at = 0;
    while (at < bytes.length && this.state !== 'done') {
      if (this.state === 'data') {
        const end = Math.min(bytes.length, at + this.left);
        this.payload?.(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end));
        this.left -= end - at;
        at = end;
        if (this.left === 0) this.state = 'dataEnd';
        continue;
      }
      const next = this.takeShortLine(bytes, at);
      if (next > 0) {
        at = next;
        continue;
      }
      const lf = bytes.indexOf(LF, at);
      const end = lf < 0 ? bytes.length : lf;
      this.line += bytes.toString('latin1', at, end);
      if (this.line.length > MAX_LINE) throw new MalformedHead('a line in a chunked body is too long');
      at = end + 1;
      if (lf < 0) break;
      this.takeLine();
    }
    return { taken: Math.min(at, bytes.length), done: this.state === 'done' };
  }

  /**
   * The lines that streams of events consist of, without making strings of them: a size and nothing else, or the end of
   * a chunk. Returns the position behind the line, 0 for any other.
   */
  private takeShortLine(bytes: Buffer, from: number): number {
    if (this.line !== '') return 0;
    let at = from;
    let size = 0;
    if (this.state === 'size') {
      for (let digit = hexDigit(bytes[at]); digit >= 0; digit = hexDigit(bytes[at])) {
        size = size * 16 + digit;
        at += 1;
        if (at - from > MAX_SHORT_SIZE) return 0;
      }
      if (at === from) return 0;
    } else if (this.state !== 'dataEnd') return 0;
    if (bytes[at] !== CR || bytes[at + 1] !== LF) return 0;
    if (this.state === 'dataEnd') this.state = 'size';
    else {
      this.left = size;
      this.state = size === 0 ? 'trailer' : 'data';
    }
    return at + 2;
  }

  private takeLine(): void {
    if (this.line.charCodeAt(this.line.length - 1) !== CR)
      throw new MalformedHead('a line in a chunked body has no CR');
    const line = this.line.slice(0, -1);
    this.line = '';
    switch (this.state) {
      case 'size': {
        const [, size] = /^([0-9a-fA-F]{1,12})[\t ]*(?:;.*)?$/.exec(line) ?? [];
        if (size === undefined) throw new MalformedHead('a chunk size cannot be read');
        this.left = parseInt(size, 16);
        this.state = this.left === 0 ? 'trailer' : 'data';
        return;
      }
      case 'dataEnd':
        if (line !== '') throw new MalformedHead('a chunk does not end where its size says');
        this.state = 'size';
        return;
      default:
        if (line === '') this.state = 'done';
    }
  }
}
