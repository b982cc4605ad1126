/**
 * Finds, parses and formats the heads of HTTP/1.1 messages (RFC 9112). Names, values, order and repetition are preserved;
 * only what relaying needs is interpreted.
 *
 * A head is refused when two parsers could disagree on where the message ends (request smuggling).
 */
import type { RawHeaders } from '../wire/headers.ts';

/** Limit of start line and headers together. The API's own limit is far lower. */
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

/** The bytes are not a valid HTTP/1.1 head. `status` is the response to such a request. */
export class MalformedHead extends Error {
  readonly status: number;

  constructor(message: string, status = 400) {
    super(message);
    this.name = 'MalformedHead';
    this.status = status;
  }
}

const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/.source;
const VISIBLE = /[\x21-\x7e\x80-\xff]/.source;
/** Characters of a field value (RFC 9110, 5.5): the tab is the only control character. */
const TEXT = /[\t\x20-\x7e\x80-\xff]*/.source;
const REQUEST_LINE = new RegExp(`(${TOKEN}) (${VISIBLE}+) (HTTP/1\\.[01])\\r\\n`, 'y');
const STATUS_LINE = new RegExp(`(HTTP/1\\.[01]) ([1-9]\\d\\d)(?: (${TEXT}))?\\r\\n`, 'y');
/**
 * White space around a value is not part of it. Trailing white space is matched only after a value: otherwise a line of
 * blanks could be split in many ways, and matching would backtrack through all of them.
 */
const FIELD = new RegExp(`(${TOKEN}):[\\t ]*(?:(${VISIBLE}(?:${TEXT}${VISIBLE})?)[\\t ]*)?\\r\\n`, 'y');
const NAME = new RegExp(`^${TOKEN}:`);

const EMPTY_LINE = Buffer.from('\r\n\r\n');

/** Position after the empty line that ends a head, or -1 when there is none. */
export function endOfHead(bytes: Buffer, from = 0): number {
  const end = bytes.indexOf(EMPTY_LINE, Math.max(0, from - 3));
  return end < 0 ? -1 : end + 4;
}

/** Parses the header fields of a head's text from `at` on. */
function parseFields(text: string, at: number): string[] {
  const fields: string[] = [];
  FIELD.lastIndex = at;
  while (FIELD.lastIndex < text.length) {
    const from = FIELD.lastIndex;
    const field = FIELD.exec(text);
    if (field === null) throw malformedField(text.slice(from, text.indexOf('\r\n', from)));
    fields.push(field[1] ?? '', field[2] ?? '');
  }
  return fields;
}

const malformedField = (line: string): MalformedHead =>
  new MalformedHead(NAME.test(line) ? 'a header value has control characters in it' : 'a header line has no name');

/** The text of a head without its empty line. */
const textOf = (bytes: Buffer): string => bytes.toString('latin1', 0, bytes.length - 2);

/**
 * Parses a request's head.
 *
 * @param bytes up to and including the empty line
 * @throws MalformedHead
 */
export function parseRequestHead(bytes: Buffer): RequestHead {
  const text = textOf(bytes);
  REQUEST_LINE.lastIndex = 0;
  const [, method, target, version] = REQUEST_LINE.exec(text) ?? [];
  if (method === undefined || target === undefined || version === undefined) {
    throw new MalformedHead('the request line cannot be read');
  }
  return { method, target, version, headers: parseFields(text, REQUEST_LINE.lastIndex) };
}

/**
 * Parses a response's head.
 *
 * @throws MalformedHead
 */
export function parseResponseHead(bytes: Buffer): ResponseHead {
  const text = textOf(bytes);
  STATUS_LINE.lastIndex = 0;
  const [, version, status, reason = ''] = STATUS_LINE.exec(text) ?? [];
  if (version === undefined || status === undefined) throw new MalformedHead('the status line cannot be read', 502);
  return { version, status: Number(status), reason, headers: parseFields(text, STATUS_LINE.lastIndex) };
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
