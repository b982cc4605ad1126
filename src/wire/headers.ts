/** Raw header lists, `[name, value, name, value, …]`, in the order and spelling in which they came. */

export type RawHeaders = readonly string[];

/**
 * True for the name of a header that belongs to one connection and not to the message (RFC 9110, 7.6.1): these alone may
 * change here. By length first, which most names are told apart by.
 */
function isHopByHop(name: string): boolean {
  switch (name.length) {
    case 2:
      return isNamed(name, 'te');
    case 7:
      return isNamed(name, 'upgrade');
    case 10:
      return isNamed(name, 'connection') || isNamed(name, 'keep-alive');
    case 16:
      return isNamed(name, 'proxy-connection');
    case 17:
      return isNamed(name, 'transfer-encoding');
    case 18:
      return isNamed(name, 'proxy-authenticate');
    case 19:
      return isNamed(name, 'proxy-authorization');
    default:
      return false;
  }
}

/** The headers without those for whose name, as it came, `drop` says true. */
export function withoutHeaders(raw: RawHeaders, drop: (name: string) => boolean): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? '';
    if (!drop(name)) kept.push(name, raw[at + 1] ?? '');
  }
  return kept;
}

/** The end-to-end headers: without hop-by-hop ones, without those that `connection` names, and those to `drop` as well. */
export function endToEnd(raw: RawHeaders, drop: (name: string) => boolean = () => false): string[] {
  const named = namedByConnection(raw);
  return withoutHeaders(raw, (name) => isHopByHop(name) || named?.has(name.toLowerCase()) === true || drop(name));
}

/** What `connection` headers name that is not hop-by-hop anyway; null for nothing. */
function namedByConnection(raw: RawHeaders): ReadonlySet<string> | null {
  let named: Set<string> | null = null;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    if (!isNamed(raw[at], 'connection')) continue;
    const value = raw[at + 1] ?? '';
    if (isHopByHop(value)) continue;
    named ??= new Set();
    for (const token of value.split(',')) named.add(token.trim().toLowerCase());
  }
  // `connection: content-length` would take the framing away; nobody honest sends it.
  named?.delete('content-length');
  return named;
}

/** True when a header's name, as it came, is `name` (lower case). Most differ in length, which is quick to see. */
export const isNamed = (given: string | undefined, name: string): boolean =>
  given?.length === name.length && given.toLowerCase() === name;

/**
 * The headers with the value of `name` (lower case) replaced wherever it stands; nothing is added. The same list where
 * nothing changes.
 */
export function withHeaderValue(raw: RawHeaders, name: string, change: (value: string) => string): RawHeaders {
  let out: string[] | null = null;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    if (!isNamed(raw[at], name)) continue;
    const value = raw[at + 1] ?? '';
    const changed = change(value);
    if (changed === value) continue;
    out ??= [...raw];
    out[at + 1] = changed;
  }
  return out ?? raw;
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
