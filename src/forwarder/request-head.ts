/** The head of a request as it goes to the upstream: what came, but for hop-by-hop headers, `Host` and the path's prefix. */
import { hasConnectionOption, type Framing } from '../http1/framing.ts';
import { formatRequestHead, type RequestHead } from '../http1/head.ts';
import { endToEnd, headerValue, withHeaderValue, type RawHeaders } from '../wire/headers.ts';
import { isLaunchHeader } from '../wire/launch-settings.ts';

export interface UpstreamName {
  /** Value of `Host` on the way out. */
  readonly upstreamHost: string;
  /** Path prefix of the upstream, '' for none. */
  readonly upstreamPrefix: string;
}

/**
 * The request's headers as they go to the upstream, on every road: end-to-end, `Host` in its place with the upstream's
 * name, without what the launcher told us by the way.
 */
export const requestHeaders = (raw: RawHeaders): string[] => endToEnd(raw, isLaunchHeader);

const isUpgrade = (headers: RawHeaders): boolean =>
  headerValue(headers, 'upgrade') !== undefined && hasConnectionOption(headers, 'upgrade');

/** The head of a request on its way out. `headers`: as {@link requestHeaders} gives them, changed or not. */
export function requestHead(
  upstream: UpstreamName,
  { framing, head }: { readonly framing: Framing; readonly head: RequestHead },
  headers: RawHeaders,
): Buffer {
  const host = upstream.upstreamHost;
  let all = withHeaderValue(headers, 'host', () => host);
  if (headerValue(headers, 'host') === undefined) all = ['Host', host, ...all];
  // Framing stands in hop-by-hop `transfer-encoding`; a chunked body passes chunk by chunk, so its header does too.
  if (framing.kind === 'chunked') all = [...all, 'Transfer-Encoding', 'chunked'];
  if (isUpgrade(head.headers)) {
    all = [...all, 'Connection', 'Upgrade', 'Upgrade', headerValue(head.headers, 'upgrade') ?? ''];
  }
  const target = head.target.startsWith('/') ? upstream.upstreamPrefix + head.target : head.target;
  return formatRequestHead({ method: head.method, target, headers: all });
}
