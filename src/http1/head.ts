/**
 * The heads of HTTP/1.1 messages (RFC 9112): found in bytes, taken apart, put together. Names, values, order and
 * repetition stay as they came; nothing is interpreted that relaying does not need.
 *
 * Strict where two readers could disagree on where a message ends (request smuggling): such a head is refused.
 */
import type { RawHeaders } from '../wire/headers.ts';

/** Longest head that is read: start line and headers together. The API's own limit is far below. */
export const MAX_HEAD_BYTES = 128 * 1024;

export interface RequestHead {
  readonly method: string;
  /** The request target as sent, e.g. `/v1/messages?beta=true`. */
  readonly target: string;
  /** `HTTP/1.1` or `HTTP/1.0`. */
  readonly version: string;
  readonly headers: RawHeaders;
}

export interface ResponseHead {
  readonly version: string;
  readonly status: number;
  /** Reason phrase as sent, '' where there is none. */
  readonly reason: string;
  readonly headers: RawHeaders;
}

/** Bytes that are no HTTP/1.1 head. `status` is what a request of that kind is answered. */
export class MalformedHead extends Error {
  readonly status: number;

  constructor(message: string, status = 400) {
    super(message);
    this.name = 'MalformedHead';
    this.status = status;
  }
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) (HTTP\/1\.[01])$/;
const STATUS_LINE = /^(HTTP\/1\.[01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
/** What may stand in a field value (RFC 9110, 5.5): no control characters but the tab. */
// eslint-disable-next-line no-control-regex -- they are what is looked for
const BAD_VALUE = /[\x00-\x08\x0a-\x1f\x7f]/;

/** Position behind the empty line that ends a head, or -1 while it is not there. */
export function endOfHead(bytes: Buffer, from = 0): number {
  const end = bytes.indexOf('\r\n\r\n', Math.max(0, from - 3), 'latin1');
  return end < 0 ? -1 : end + 4;
}

function linesOf(bytes: Buffer): string[] {
  return bytes.toString('latin1', 0, bytes.length - 4).split('\r\n');
}

function headersOf(lines: readonly string[]): string[] {
  const headers: string[] = [];
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon));
    const value = trim(line.slice(colon + 1));
    if (!TOKEN.test(name)) throw new MalformedHead('a header line has no name');
    if (BAD_VALUE.test(value)) throw new MalformedHead('a header value has control characters in it');
    headers.push(name, value);
  }
  return headers;
}

/** Optional white space around a field value is not part of it. */
function trim(value: string): string {
  let [start, end] = [0, value.length];
  while (start < end && isBlank(value.charCodeAt(start))) start += 1;
  while (end > start && isBlank(value.charCodeAt(end - 1))) end -= 1;
  return value.slice(start, end);
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;

/**
 * Reads a request's head.
 *
 * @param bytes up to and with the empty line
 * @throws MalformedHead
 */
export function parseRequestHead(bytes: Buffer): RequestHead {
  const lines = linesOf(bytes);
  const [, method, target, version] = REQUEST_LINE.exec(lines[0] ?? '') ?? [];
  if (method === undefined || target === undefined || version === undefined) {
    throw new MalformedHead('the request line cannot be read');
  }
  return { method, target, version, headers: headersOf(lines.slice(1)) };
}

/**
 * Reads a response's head.
 *
 * @throws MalformedHead
 */
export function parseResponseHead(bytes: Buffer): ResponseHead {
  const lines = linesOf(bytes);
  const [, version, status, reason = ''] = STATUS_LINE.exec(lines[0] ?? '') ?? [];
  if (version === undefined || status === undefined) throw new MalformedHead('the status line cannot be read', 502);
  return { version, status: Number(status), reason, headers: headersOf(lines.slice(1)) };
}

function formatHead(start: string, headers: RawHeaders): Buffer {
  let text = `${start}\r\n`;
  for (let at = 0; at + 1 < headers.length; at += 2) text += `${headers[at] ?? ''}: ${headers[at + 1] ?? ''}\r\n`;
  return Buffer.from(`${text}\r\n`, 'latin1');
}

export const formatRequestHead = (head: Pick<RequestHead, 'method' | 'target' | 'headers'>): Buffer =>
  formatHead(`${head.method} ${head.target} HTTP/1.1`, head.headers);

export const formatResponseHead = (head: Pick<ResponseHead, 'status' | 'reason' | 'headers'>): Buffer =>
  formatHead(`HTTP/1.1 ${head.status} ${head.reason}`, head.headers);
