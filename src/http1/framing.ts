/**
 * Finds the end of a message's body (RFC 9112, 6.3). The bytes are relayed unchanged, with chunk sizes, extensions and
 * trailers; a reader only determines where the body ends, and can pass the payload to a callback.
 */
import { hasName, type RawHeaders } from '../wire/headers.ts';
import { MalformedHead, type RequestHead, type ResponseHead } from './head.ts';

/** How a body is delimited. */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'sized'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** Ends with the connection: responses only. */
  | { readonly kind: 'close' };

const NONE: Framing = { kind: 'none' };

/** Removes only what HTTP calls white space: `trim` would also remove a no-break space, which other parsers keep. */
function trimBlanks(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;

/** All values of a header, from repeated lines and comma-separated lists. */
function allValues(headers: RawHeaders, name: string): string[] {
  const values: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    if (!hasName(headers[at], name)) continue;
    const line = headers[at + 1] ?? '';
    // Most lines have one value and need no split.
    if (line.includes(',')) for (const value of line.split(',')) values.push(trimBlanks(value));
    else values.push(trimBlanks(line));
  }
  return values;
}

/** The message's content length; undefined without the header. */
function contentLength(headers: RawHeaders): number | undefined {
  const values = allValues(headers, 'content-length');
  if (values.length === 0) return undefined;
  const [value = ''] = values;
  const length = Number(value);
  // Repeated equal values are refused too: a relay may not forward them as they are.
  if (values.length > 1 || !/^\d+$/.test(value) || !Number.isSafeInteger(length)) {
    throw new MalformedHead('content-length cannot be read');
  }
  return length;
}

/** True for chunked, false without transfer coding. Any other coding hides where the message ends. */
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
 * @throws MalformedHead when two parsers could disagree on where the body ends
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

/** True when the connection stays open after this message (RFC 9112, 9.3). */
export function keepsAlive(head: Pick<RequestHead, 'version' | 'headers'>): boolean {
  const has = (option: string): boolean => hasConnectionOption(head.headers, option);
  return head.version === 'HTTP/1.0' ? has('keep-alive') && !has('close') : !has('close');
}

/** True when any `connection` header has this option (lower case). */
export const hasConnectionOption = (headers: RawHeaders, option: string): boolean =>
  allValues(headers, 'connection').some((given) => given.toLowerCase() === option);

/** Result of reading some bytes. */
export interface BodySlice {
  /** How many of the bytes belong to the body. */
  readonly taken: number;
  /** True when the body is complete. */
  readonly done: boolean;
}

/** Reads one body to its end. */
export interface BodyReader {
  /** True from the start for a message without a body. */
  readonly done: boolean;
  /**
   * Reads the next bytes.
   *
   * @throws MalformedHead for invalid chunked framing
   */
  read(bytes: Buffer): BodySlice;
}

/** Receives the body without framing, as slices of the bytes given to `read`. */
type OnPayload = (bytes: Buffer) => void;

/** @param onPayload called with the payload, when given */
export function bodyReader(framing: Framing, onPayload?: OnPayload): BodyReader {
  switch (framing.kind) {
    case 'none':
      return { done: true, read: () => ({ taken: 0, done: true }) };
    case 'sized':
      return new SizedReader(framing.bytes, onPayload);
    case 'chunked':
      return new ChunkedReader(onPayload);
    case 'close':
      return {
        done: false,
        read(bytes) {
          onPayload?.(bytes);
          return { taken: bytes.length, done: false };
        },
      };
  }
}

class SizedReader implements BodyReader {
  private left: number;
  private readonly onPayload: OnPayload | undefined;

  constructor(bytes: number, onPayload: OnPayload | undefined) {
    this.left = bytes;
    this.onPayload = onPayload;
  }

  get done(): boolean {
    return this.left === 0;
  }

  read(bytes: Buffer): BodySlice {
    const payload = bytes.length <= this.left ? bytes : bytes.subarray(0, this.left);
    this.left -= payload.length;
    if (payload.length > 0) this.onPayload?.(payload);
    return { taken: payload.length, done: this.left === 0 };
  }
}

const LF = 0x0a;
const CR = 0x0d;
/** Limit of a chunk-size or trailer line. */
const MAX_LINE_LENGTH = 8 * 1024;

/** Longest chunk size that is parsed without creating a string. */
const MAX_FAST_DIGITS = 8;

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
  private readonly onPayload: OnPayload | undefined;

  constructor(onPayload: OnPayload | undefined) {
    this.onPayload = onPayload;
  }

  get done(): boolean {
    return this.state === 'done';
  }

  read(bytes: Buffer): BodySlice {
    let at = 0;
    while (at < bytes.length && this.state !== 'done') {
      if (this.state === 'data') {
        const end = Math.min(bytes.length, at + this.left);
        this.onPayload?.(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end));
        this.left -= end - at;
        at = end;
        if (this.left === 0) this.state = 'dataEnd';
        continue;
      }
      const next = this.readFastLine(bytes, at);
      if (next > 0) {
        at = next;
        continue;
      }
      const lf = bytes.indexOf(LF, at);
      const end = lf < 0 ? bytes.length : lf;
      this.line += bytes.toString('latin1', at, end);
      if (this.line.length > MAX_LINE_LENGTH) throw new MalformedHead('a line in a chunked body is too long');
      at = end + 1;
      if (lf < 0) break;
      this.readLine();
    }
    return { taken: Math.min(at, bytes.length), done: this.state === 'done' };
  }

  /**
   * Parses a plain chunk size or a chunk's end, as event streams consist of, without creating a string. Returns the
   * position after the line, or 0 for any other line.
   */
  private readFastLine(bytes: Buffer, from: number): number {
    if (this.line !== '') return 0;
    let at = from;
    let size = 0;
    if (this.state === 'size') {
      for (let digit = hexDigit(bytes[at]); digit >= 0; digit = hexDigit(bytes[at])) {
        size = size * 16 + digit;
        at += 1;
        if (at - from > MAX_FAST_DIGITS) return 0;
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

  private readLine(): void {
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
