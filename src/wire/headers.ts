/** Raw header lists, `[name, value, name, value, …]`, in their received order and spelling. */

export type RawHeaders = readonly string[];

/**
 * True for the name of a hop-by-hop header (RFC 9110, 7.6.1): only these are changed. Compares the length first, because
 * it differs for most names.
 */
function isHopByHop(name: string): boolean {
  switch (name.length) {
    case 2:
      return hasName(name, 'te');
    case 7:
      return hasName(name, 'upgrade');
    case 10:
      return hasName(name, 'connection') || hasName(name, 'keep-alive');
    case 16:
      return hasName(name, 'proxy-connection');
    case 17:
      return hasName(name, 'transfer-encoding');
    case 18:
      return hasName(name, 'proxy-authenticate');
    case 19:
      return hasName(name, 'proxy-authorization');
    default:
      return false;
  }
}

/** The headers without those for whose name, as received, `drop` returns true. */
export function withoutHeaders(raw: RawHeaders, drop: (name: string) => boolean): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? '';
    if (!drop(name)) kept.push(name, raw[at + 1] ?? '');
  }
  return kept;
}

/** The end-to-end headers: without hop-by-hop ones, those that `connection` names, and those to `drop`. */
export function endToEnd(raw: RawHeaders, drop: (name: string) => boolean = () => false): string[] {
  const named = namedByConnection(raw);
  return withoutHeaders(raw, (name) => isHopByHop(name) || named?.has(name.toLowerCase()) === true || drop(name));
}

/** The names in `connection` headers that are not hop-by-hop by themselves; null for none. */
function namedByConnection(raw: RawHeaders): ReadonlySet<string> | null {
  let named: Set<string> | null = null;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    if (!hasName(raw[at], 'connection')) continue;
    const value = raw[at + 1] ?? '';
    if (isHopByHop(value)) continue;
    named ??= new Set();
    for (const token of value.split(',')) named.add(token.trim().toLowerCase());
  }
  // `connection: content-length` would remove the framing: a smuggling attempt.
  named?.delete('content-length');
  return named;
}

/** True when a header's name, as received, is `name` (lower case). */
export const hasName = (given: string | undefined, name: string): boolean =>
  given?.length === name.length && given.toLowerCase() === name;

/** The headers with each value of `name` (lower case) changed; the same list where nothing changes. */
export function withHeaderValue(raw: RawHeaders, name: string, change: (value: string) => string): RawHeaders {
  let out: string[] | null = null;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    if (!hasName(raw[at], name)) continue;
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
  for (let at = 0; at + 1 < raw.length; at += 2) if (hasName(raw[at], name)) return raw[at + 1];
  return undefined;
}

/** Number of headers with a name (lower case). */
export function countOf(raw: RawHeaders, name: string): number {
  let count = 0;
  for (let at = 0; at + 1 < raw.length; at += 2) if (hasName(raw[at], name)) count += 1;
  return count;
}
