/**
 * Finds the positions of values in a JSON text without parsing them: one value can be replaced with all other bytes
 * unchanged, and only the values that are needed are parsed. Strings, nearly all of a request, are skipped natively.
 *
 * For text that `JSON.parse` accepts; for any other the result is null, or spans without JSON in them.
 */
import { parseJson } from './json.ts';

/** Bytes from `start` (inclusive) to `end` (exclusive). */
export interface Span {
  readonly start: number;
  readonly end: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

/** Position after the string that begins at `start`; -1 when it has no end. */
function endOfString(bytes: Buffer, start: number): number {
  for (let at = start + 1; ;) {
    const quote = bytes.indexOf(QUOTE, at);
    if (quote < 0) return -1;
    let backslashes = 0;
    while (bytes[quote - 1 - backslashes] === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return quote + 1;
    at = quote + 1;
  }
}

function skipSpace(bytes: Buffer, at: number): number {
  let next = at;
  while (isSpace(bytes[next])) next += 1;
  return next;
}

/** Position after the value that begins at `start`; -1 when it has no end. */
function endOfValue(bytes: Buffer, start: number): number {
  let depth = 0;
  for (let at = start; at < bytes.length; at += 1) {
    switch (bytes[at]) {
      case QUOTE:
        at = endOfString(bytes, at) - 1;
        if (at < 0) return -1;
        if (depth === 0) return at + 1;
        break;
      case OPEN_BRACE:
      case OPEN_BRACKET:
        depth += 1;
        break;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        if (depth === 0) return at; // the end of a number or literal
        depth -= 1;
        if (depth === 0) return at + 1;
        break;
      case COMMA:
        if (depth === 0) return at;
        break;
      default:
        if (depth === 0 && isSpace(bytes[at])) return at;
    }
  }
  return -1;
}

/** Spans of the elements of the array that begins at `start`, and the position after it; null when it has no end. */
function scanArray(bytes: Buffer, start: number): { readonly elements: Span[]; readonly end: number } | null {
  const elements: Span[] = [];
  let at = skipSpace(bytes, start + 1);
  if (bytes[at] === CLOSE_BRACKET) return { elements, end: at + 1 };
  for (;;) {
    const end = endOfValue(bytes, at);
    if (end <= at) return null;
    elements.push({ start: at, end });
    at = skipSpace(bytes, end);
    if (bytes[at] === CLOSE_BRACKET) return { elements, end: at + 1 };
    if (bytes[at] !== COMMA) return null;
    at = skipSpace(bytes, at + 1);
  }
}

/** The top level of a JSON object. */
export interface TopLevel {
  /** The values by key; of a repeated key the last, as `JSON.parse` takes it. */
  readonly spans: ReadonlyMap<string, Span>;
  /** The elements of the array asked for, found in the same pass; null when its key holds no array. */
  readonly elements: readonly Span[] | null;
}

/**
 * Reads the top level of a JSON object.
 *
 * @param arrayKey the key of an array whose elements are wanted as well
 * @returns null for what is no JSON object
 */
export function readTopLevel(bytes: Buffer, arrayKey: string): TopLevel | null {
  let at = skipSpace(bytes, 0);
  if (bytes[at] !== OPEN_BRACE) return null;
  const spans = new Map<string, Span>();
  let elements: readonly Span[] | null = null;
  at = skipSpace(bytes, at + 1);
  while (bytes[at] === QUOTE) {
    const keyEnd = endOfString(bytes, at);
    if (keyEnd < 0) return null;
    const key = parseSpan(bytes, { start: at, end: keyEnd });
    if (typeof key !== 'string') return null;
    at = skipSpace(bytes, keyEnd);
    if (bytes[at] !== COLON) return null;
    const start = skipSpace(bytes, at + 1);
    const array = key === arrayKey && bytes[start] === OPEN_BRACKET ? scanArray(bytes, start) : undefined;
    if (array === null) return null;
    const end = array?.end ?? endOfValue(bytes, start);
    if (end < 0) return null;
    if (key === arrayKey) elements = array?.elements ?? null;
    spans.set(key, { start, end });
    at = skipSpace(bytes, end);
    if (bytes[at] !== COMMA) break;
    at = skipSpace(bytes, at + 1);
  }
  return bytes[at] === CLOSE_BRACE ? { spans, elements } : null;
}

/** The value at a span; undefined when there is no span or no JSON in it. */
export function parseSpan(bytes: Buffer, span: Span | undefined): unknown {
  return span === undefined ? undefined : parseJson(bytes.toString('utf8', span.start, span.end));
}
