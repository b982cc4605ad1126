/** Raw header lists, `[name, value, name, value, …]`, in the order and spelling in which they came. */

export type RawHeaders = readonly string[];

/** Headers that belong to one connection and not to the message (RFC 9110, 7.6.1), which alone may change here. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/** The headers without those for which `drop` says true. */
export function withoutHeaders(raw: RawHeaders, drop: (name: string) => boolean): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? '';
    if (!drop(name.toLowerCase())) kept.push(name, raw[at + 1] ?? '');
  }
  return kept;
}

/** The end-to-end headers: without hop-by-hop ones, without those that `connection` names, and those to `drop` as well. */
export function endToEnd(raw: RawHeaders, drop: (name: string) => boolean = () => false): string[] {
  const named = namedByConnection(raw);
  return withoutHeaders(raw, (name) => HOP_BY_HOP.has(name) || named?.has(name) === true || drop(name));
}

/** What `connection` headers name; null where there is none. */
function namedByConnection(raw: RawHeaders): ReadonlySet<string> | null {
  let named: Set<string> | null = null;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    if (!isNamed(raw[at], 'connection')) continue;
    named ??= new Set();
    for (const token of (raw[at + 1] ?? '').split(',')) named.add(token.trim().toLowerCase());
  }
  // `connection: content-length` would take the framing away; nobody honest sends it.
  named?.delete('content-length');
  return named;
}

/** True when a header's name, as it came, is `name` (lower case). Most differ in length, which is quick to see. */
export const isNamed = (given: string | undefined, name: string): boolean =>
  given?.length === name.length && given.toLowerCase() === name;

/** The headers with the value of `name` (lower case) replaced wherever it stands; nothing is added. */
export function withHeaderValue(raw: RawHeaders, name: string, change: (value: string) => string): string[] {
  const out = [...raw];
  for (let at = 0; at + 1 < raw.length; at += 2) if (isNamed(raw[at], name)) out[at + 1] = change(raw[at + 1] ?? '');
  return out;
}

/** First value of a header (lower-case `name`), or undefined. */
export function headerValue(raw: RawHeaders, name: string): string | undefined {
  for (let at = 0; at + 1 < raw.length; at += 2) if (isNamed(raw[at], name)) return raw[at + 1];
  return undefined;
}

/** How often a header (lower-case `name`) stands in the list. */
export function countOf(raw: RawHeaders, name: string): number {
  let count = 0;
  for (let at = 0; at + 1 < raw.length; at += 2) if (isNamed(raw[at], name)) count += 1;
  return count;
}
