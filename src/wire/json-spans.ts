/**
 * Where the top-level values of a JSON object stand in its bytes, so that one of them can be changed and every other
 * byte stays as it came. For text that `JSON.parse` accepts; on anything else it may say null or nonsense.
 */

/** Bytes from `start` (inclusive) to `end` (exclusive). */
export interface Span {
  readonly start: number;
  readonly end: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN = new Set([0x7b, 0x5b]);
const CLOSE = new Set([0x7d, 0x5d]);
const SPACE = new Set([0x20, 0x09, 0x0a, 0x0d]);

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
  while (SPACE.has(bytes[next] ?? 0)) next += 1;
  return next;
}

/** Position after the value that begins at `start`; -1 when it has no end. */
function endOfValue(bytes: Buffer, start: number): number {
  let depth = 0;
  for (let at = start; at < bytes.length;) {
    const byte = bytes[at] ?? 0;
    if (byte === QUOTE) {
      at = endOfString(bytes, at);
      if (at < 0) return -1;
      if (depth === 0) return at;
      continue;
    }
    if (OPEN.has(byte)) depth += 1;
    else if (CLOSE.has(byte)) {
      if (depth === 0) return at; // a number or literal before the object's own bracket
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (byte === COMMA || SPACE.has(byte))) return at;
    at += 1;
  }
  return -1;
}

/** The spans of the values of a JSON object by key (of a repeated key the last, as `JSON.parse` takes it), or null. */
export function topLevelSpans(bytes: Buffer): ReadonlyMap<string, Span> | null {
  let at = skipSpace(bytes, 0);
  if (bytes[at] !== 0x7b) return null;
  const spans = new Map<string, Span>();
  at = skipSpace(bytes, at + 1);
  while (bytes[at] === QUOTE) {
    const keyEnd = endOfString(bytes, at);
    if (keyEnd < 0) return null;
    let key: unknown;
    try {
      key = JSON.parse(bytes.toString('utf8', at, keyEnd));
    } catch {
      return null;
    }
    at = skipSpace(bytes, keyEnd);
    if (bytes[at] !== COLON) return null;
    const start = skipSpace(bytes, at + 1);
    const end = endOfValue(bytes, start);
    if (end < 0) return null;
    spans.set(String(key), { start, end });
    at = skipSpace(bytes, end);
    if (bytes[at] !== COMMA) break;
    at = skipSpace(bytes, at + 1);
  }
  return bytes[at] === 0x7d ? spans : null;
}
